//! Cgroups and helper processes, gone when their guards are dropped.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use r1_hostd::probe::{HookState, Probe, ProbeConfig, Rung};

/// Environment variable that gives this program a role.
pub const ROLE: &str = "R1_PROBE_ROLE";
/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Skips: prints why, or fails where everything is required.
pub fn skip(test: &str, why: &str) {
    assert!(
        std::env::var_os("R1_REQUIRE_ALL").is_none_or(|v| v != "1"),
        "{test}: {why}"
    );
    eprintln!("SKIP {test}: {why}");
}

/// A probe whose `hooks` are all served by BPF, or none.
pub fn probe(test: &str, hooks: &[&str]) -> Option<Probe> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "not root");
        return None;
    }
    let probe = Probe::start(ProbeConfig::default());
    let missing = |h: &HookState| hooks.contains(&h.hook) && (!h.rung.is_bpf() || h.rung == Rung::Tracepoint);
    if let Some(state) = probe.hook_states().into_iter().find(missing) {
        skip(test, &format!("{}: {}", state.hook, state.detail));
        return None;
    }
    Some(probe)
}

/// A name that no other test or process uses.
pub fn unique(kind: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "r1probe-{kind}{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A cgroup of its own.
pub struct Cgroup(pub PathBuf);

impl Cgroup {
    /// In the v2 hierarchy.
    pub fn v2(test: &str) -> Option<Self> {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let root = roots.iter().find(|r| Path::new(r).join("cgroup.procs").exists());
        let Some(root) = root else {
            skip(test, "no cgroup2 hierarchy");
            return None;
        };
        Some(Self::make(Path::new(root)))
    }

    /// Below `root`.
    pub fn make(root: &Path) -> Self {
        let path = root.join(unique("cg"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Moves a process in.
    pub fn admit(&self, pid: u32) {
        self.set("cgroup.procs", &pid.to_string());
    }

    /// Writes a file of the cgroup.
    pub fn set(&self, file: &str, value: &str) {
        fs::write(self.0.join(file), value).unwrap_or_else(|e| panic!("{file} of {}: {e}", self.0.display()));
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may still be on its way out.
        let end = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// This program in a role: it waits for a line before each step and answers with a line.
pub struct Helper {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts it, in a network namespace if one is named.
    pub fn start(role: &str, netns: Option<&str>) -> Self {
        let exe = std::env::current_exe().unwrap();
        let mut command = match netns {
            Some(name) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", name]).arg(exe);
                ip
            }
            None => Command::new(exe),
        };
        command
            .args(["role", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let mut helper = Self { process, out };
        assert_eq!(helper.hear(), "ready", "{role}");
        helper
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells it to go on.
    pub fn say(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Its next answer; empty if it has ended.
    pub fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            if self.out.read_line(&mut line).unwrap() == 0 {
                return String::new();
            }
            // What the test harness prints comes without the mark.
            if let Some((_, answer)) = line.split_once('@') {
                return answer.trim().to_owned();
            }
        }
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Waits for its end; the signal that ended it, if one did.
    pub fn end(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        drop(self.process.stdin.take());
        self.process.wait().unwrap().signal()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a role: answers the test.
pub fn answer(line: impl std::fmt::Display) {
    println!("@{line}");
}

/// In a role: waits for the test; `None` when it is gone.
pub fn listen() -> Option<String> {
    let mut line = String::new();
    let got = std::io::stdin().read_line(&mut line).unwrap();
    (got > 0).then(|| line.trim().to_owned())
}

/// Waits until `done` gives a value.
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
