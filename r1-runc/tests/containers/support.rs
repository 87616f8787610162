//! A root file system, a place for state and a cgroup per test, and commands that cannot hang.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest run of one command.
pub const PATIENCE: Duration = Duration::from_secs(30);
const BUSYBOX: &str = "/usr/bin/busybox";
const APPLETS: &str = "sh true false echo cat ls id sleep mount hostname ps dd head yes kill unshare wc grep touch \
    ip stat env setsid seq trap mkdir chmod chown readlink pwd nc";

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// One test's surroundings.
pub struct Fixture {
    pub dir: TempDir,
    pub cgroup: String,
}

/// Says that a check is left out; panics where everything is required.
pub fn skip(test: &str, why: &str) {
    assert!(
        std::env::var("R1_REQUIRE_ALL").as_deref() != Ok("1"),
        "{test}: {why}"
    );
    eprintln!("SKIP {test}: {why}");
}

/// The surroundings of a test, or `None` where the machine cannot hold containers.
pub fn fixture(test: &str) -> Option<Fixture> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "needs root");
        return None;
    }
    if !Path::new(BUSYBOX).exists() {
        skip(test, "needs a static busybox at /usr/bin/busybox");
        return None;
    }
    if !Path::new("/proc/self/ns/user").exists() {
        skip(test, "needs user namespaces");
        return None;
    }
    let dir = TempDir::with_prefix("r1-runc-test-").unwrap();
    let bin = dir.path().join("rootfs/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
    fs::set_permissions(bin.join("busybox"), fs::Permissions::from_mode(0o755)).unwrap();
    for applet in APPLETS.split_ascii_whitespace() {
        symlink("busybox", bin.join(applet)).unwrap();
    }
    let cgroup = format!("/r1-runc-test-{}-{test}/c", std::process::id());
    Some(Fixture { dir, cgroup })
}

impl Drop for Fixture {
    /// Removes the shim's cgroup and the base above both, once the shim has left.
    fn drop(&mut self) {
        let base = PathBuf::from(self.cgroup.trim_matches('/').trim_end_matches("/c"));
        let mut mounts: Vec<PathBuf> = vec![PathBuf::from("/sys/fs/cgroup")];
        mounts.extend(
            fs::read_dir("/sys/fs/cgroup")
                .into_iter()
                .flatten()
                .flatten()
                .map(|m| m.path()),
        );
        if std::thread::panicking() {
            // A test that failed in the middle leaves a container and its shim.
            let groups = mounts
                .iter()
                .flat_map(|m| ["c", "shim"].map(|g| m.join(&base).join(g)));
            for procs in groups.filter_map(|g| fs::read_to_string(g.join("cgroup.procs")).ok()) {
                for pid in procs.lines().filter_map(|line| line.parse().ok()) {
                    let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while mounts.iter().any(|mount| mount.join(&base).exists()) && Instant::now() < deadline {
            for mount in &mounts {
                let _ = fs::remove_dir(mount.join(&base).join("shim"));
                let _ = fs::remove_dir(mount.join(&base));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Fixture {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A request for a shell script in the default sandbox.
    pub fn request(&self, script: &str) -> Value {
        json!({
            "id": "test", "command": ["sh", "-c", script], "cpu": 1.0, "memory_bytes": 64 << 20, "pids": 64,
            "hostname": "box", "cgroup": self.cgroup, "uid_base": 100_000, "env": { "GREETING": "hello world" },
        })
    }

    /// Writes a bundle for a request.
    pub fn bundle(&self, name: &str, request: &Value) -> PathBuf {
        let bundle = self.path(name);
        fs::create_dir_all(&bundle).unwrap();
        let file = self.path("request.json");
        fs::write(&file, request.to_string()).unwrap();
        let mut command = r1_runc();
        command
            .arg("spec")
            .arg("--bundle")
            .arg(&bundle)
            .arg("--rootfs")
            .arg(self.path("rootfs"));
        command.stdin(File::open(&file).unwrap());
        let outcome = finish(command, &self.path("spec"));
        assert_eq!(outcome.code, 0, "{outcome:?}");
        bundle
    }

    /// The OCI command line over this test's state.
    pub fn oci(&self, args: &[&str]) -> Outcome {
        let mut command = r1_runc();
        command.arg("--root").arg(self.path("state")).args(args);
        finish(command, &self.path("oci"))
    }

    /// Runs a script in the default sandbox.
    pub fn run(&self, script: &str) -> Outcome {
        self.run_request(&self.request(script))
    }

    pub fn run_request(&self, request: &Value) -> Outcome {
        let bundle = self.bundle("bundle", request);
        self.oci(&["run", "--bundle", bundle.to_str().unwrap(), "c"])
    }

    /// Asserts that nothing of any container is left in the cgroup hierarchies.
    pub fn assert_no_cgroup(&self) {
        assert!(!self.cgroup_dir("pids").exists(), "{} is left", self.cgroup);
        for mount in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let dir = mount.path().join(self.cgroup.trim_start_matches('/'));
            assert!(!dir.exists(), "{} is left", dir.display());
        }
    }

    /// Folder of the container's cgroup: one hierarchy's of v1, or the one of v2.
    pub fn cgroup_dir(&self, controller: &str) -> PathBuf {
        let path = self.cgroup.trim_start_matches('/');
        if is_v2() {
            Path::new("/sys/fs/cgroup").join(path)
        } else {
            Path::new("/sys/fs/cgroup").join(controller).join(path)
        }
    }

    /// A file of the container's cgroup in a v1 hierarchy.
    pub fn cgroup_file(&self, controller: &str, file: &str) -> Option<String> {
        let path = format!("/sys/fs/cgroup/{controller}{}/{file}", self.cgroup);
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }
}

/// True where cgroup v2 alone is used.
pub fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.procs").exists()
}

/// True if the kernel limits what this controller counts.
pub fn has_controller(name: &str) -> bool {
    if is_v2() {
        let names = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        return names.split_ascii_whitespace().any(|n| n == name);
    }
    Path::new("/sys/fs/cgroup").join(name).is_dir()
}

pub fn r1_runc() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_r1-runc"));
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end with files for its output: a container inherits them and may outlive it.
pub fn finish(command: Command, output: &Path) -> Outcome {
    finish_within(command, output, PATIENCE)
}

/// The same with a patience of its own.
pub fn finish_within(mut command: Command, output: &Path, patience: Duration) -> Outcome {
    let name = |suffix: &str| PathBuf::from(format!("{}.{suffix}", output.display()));
    command
        .stdout(File::create(name("out")).unwrap())
        .stderr(File::create(name("err")).unwrap());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} hangs: {}", fs::read_to_string(name("err")).unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Outcome {
        code: status.code().unwrap_or(-1),
        stdout: fs::read_to_string(name("out")).unwrap(),
        stderr: fs::read_to_string(name("err")).unwrap(),
    }
}

/// Waits for a condition.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// True if a process has ended, reaped or not: who reaps an orphan, and when, is the host's business.
pub fn ended(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat[stat.rfind(')').unwrap()..].starts_with(") Z"),
        Err(_) => true,
    }
}
