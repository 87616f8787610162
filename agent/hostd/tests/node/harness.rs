//! A daemon of its own for each test: folders, control group, root file system.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use r1_host_api::{ContainerInfo, HostClient, RunRequest};

/// Longest wait for a condition.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Programs of the test image.
const APPLETS: [&str; 8] = ["sh", "true", "false", "echo", "sleep", "cat", "env", "id"];

/// Says that a test cannot run here, and fails where nothing may be left out.
pub fn skip(test: &str, why: &str) {
    eprintln!("SKIP {test}: {why}");
    assert!(
        env::var_os("R1_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{test} was skipped: {why}"
    );
}

/// The runtime: named by R1_RUNC, or built beside this test.
pub fn find_runc() -> Option<PathBuf> {
    if let Some(path) = env::var_os("R1_RUNC") {
        return Some(path.into());
    }
    let beside = Path::new(env!("CARGO_BIN_EXE_r1-hostd")).with_file_name("r1-runc");
    beside.is_file().then_some(beside)
}

/// Why containers cannot be made here, if so.
pub fn no_containers() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root");
    }
    if busybox().is_none() {
        return Some("needs a static busybox");
    }
    if find_runc().is_none() {
        return Some("needs r1-runc: build it or name it in R1_RUNC");
    }
    None
}

fn busybox() -> Option<&'static str> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
}

/// One daemon with its folders.
pub struct Node {
    folder: tempfile::TempDir,
    cgroup: String,
    daemon: Option<Child>,
}

impl Node {
    /// Folders with the test image, no daemon yet.
    pub fn prepare() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/r1-test-{}-{number}", std::process::id());
        let node = Self {
            folder,
            cgroup,
            daemon: None,
        };
        let bin = node.state().join("images/busybox/rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        if let Some(busybox) = busybox() {
            fs::copy(busybox, bin.join("busybox")).unwrap();
            APPLETS
                .iter()
                .for_each(|applet| symlink("busybox", bin.join(applet)).unwrap());
        }
        for name in ["proc", "sys", "dev", "tmp", "run", "etc"] {
            fs::create_dir_all(node.state().join("images/busybox/rootfs").join(name)).unwrap();
        }
        // The image is read by a user namespace's root, who is nobody here.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(node.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        node
    }

    /// A daemon that answers.
    pub async fn start() -> (Self, HostClient) {
        let mut node = Self::prepare();
        let client = node.restart().await;
        (node, client)
    }

    /// Starts the daemon (again) and waits until it answers.
    pub async fn restart(&mut self) -> HostClient {
        self.daemon = Some(self.command().spawn().unwrap());
        self.connect().await
    }

    /// Connects as soon as the daemon answers.
    pub async fn connect(&mut self) -> HostClient {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match HostClient::connect(&self.socket()).await {
                Ok(client) => return client,
                Err(error) => {
                    let ended = self.daemon.as_mut().and_then(|daemon| daemon.try_wait().unwrap());
                    assert!(ended.is_none(), "r1-hostd ended: {ended:?}");
                    assert!(Instant::now() < deadline, "{error}");
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The daemon's command line.
    pub fn command(&self) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_r1-hostd")))
    }

    /// The same, run by another user from a copy that this user can reach, wherever the build's folder lies.
    pub fn command_as(&self, uid: u32) -> Command {
        use std::os::unix::process::CommandExt as _;

        let copy = self.folder.path().join("r1-hostd");
        std::fs::copy(env!("CARGO_BIN_EXE_r1-hostd"), &copy).unwrap();
        let mut command = self.command_of(&copy);
        command.uid(uid).gid(uid);
        command
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--state")
            .arg(self.state())
            .arg("--run")
            .arg(self.run());
        command.arg("--cgroup").arg(&self.cgroup);
        command
            .arg("--runc")
            .arg(find_runc().unwrap_or_else(|| "/nonexistent/r1-runc".into()));
        command.env("R1_LOG", "r1_hostd=debug").stdin(Stdio::null());
        command
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.run().join("host.sock")
    }

    /// Folder of a live container.
    pub fn live(&self, id: &str) -> PathBuf {
        self.run().join("c").join(id)
    }

    /// The daemon's pid.
    pub fn pid(&self) -> i32 {
        self.daemon.as_ref().unwrap().id() as i32
    }

    /// Ends the daemon with a signal and waits for its end.
    pub fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        kill(Pid::from_raw(daemon.id() as i32), signal).unwrap();
        daemon.wait().unwrap()
    }

    /// Folders of a container's control groups that are there.
    pub fn groups(&self, id: &str) -> Vec<PathBuf> {
        let roots = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let path = format!("{}/{id}", self.cgroup.trim_start_matches('/'));
        roots
            .map(|root| root.join(&path))
            .filter(|folder| folder.is_dir())
            .collect()
    }

    /// Asserts that nothing of a container is left on the machine.
    pub fn assert_gone(&self, id: &str) {
        assert!(!self.live(id).exists(), "{} is left", self.live(id).display());
        assert_eq!(self.groups(id), Vec::<PathBuf>::new(), "control groups are left");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let live = self.live(id).display().to_string();
        assert!(!mounts.contains(&live), "mounts are left below {live}");
        assert_eq!(shims(&self.run(), id), Vec::<i32>::new(), "a shim is left");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_file(self.socket());
        // A last daemon ends what is left and removes the control groups.
        let mut command = self.command();
        command
            .arg("--stop-containers-on-exit")
            .arg("--without-bpf")
            .env("R1_LOG", "error");
        let Ok(mut cleaner) = command.spawn() else { return };
        let deadline = Instant::now() + PATIENCE;
        while !self.socket().exists() && cleaner.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = kill(Pid::from_raw(cleaner.id() as i32), Signal::SIGTERM);
        let _ = cleaner.wait();
    }
}

/// Waits until a container's end is stored and nothing of it lives.
pub async fn wait_over(client: &HostClient, id: &str) -> ContainerInfo {
    let info = wait_for(client, id, |info| info.is_over()).await;
    client.stop(id, PATIENCE.as_millis() as u64).await.unwrap();
    info
}

/// Pids of shims of a container, found by their command line.
pub fn shims(run: &Path, id: &str) -> Vec<i32> {
    let root = run.join("c").display().to_string();
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line
            .split(|byte| *byte == 0)
            .map(String::from_utf8_lossy)
            .collect();
        words.iter().any(|word| *word == root) && words.iter().any(|word| *word == id)
    })
    .collect()
}

/// A small container that runs a shell line.
pub fn request(id: &str, line: &str) -> RunRequest {
    RunRequest {
        id: id.into(),
        image: "busybox".into(),
        command: ["/bin/sh", "-c", line].map(String::from).to_vec(),
        env: BTreeMap::new(),
        cpu: 0.5,
        memory_bytes: 64 << 20,
        pids: 32,
        hostname: String::new(),
    }
}

/// Waits until a container is in the list and satisfies a condition.
pub async fn wait_for(client: &HostClient, id: &str, what: impl Fn(&ContainerInfo) -> bool) -> ContainerInfo {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = client.list().await.unwrap();
        let found = list.into_iter().find(|info| info.id == id);
        if let Some(info) = found.as_ref().filter(|info| what(info)) {
            return info.clone();
        }
        assert!(Instant::now() < deadline, "{id}: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
