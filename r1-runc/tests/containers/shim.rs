//! The supervisor, over its socket and its files.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nix::unistd::Pid;
use r1_core::{ContainerStatus, ExitRecord, ShimReply, ShimRequest, ShimState};
use serde_json::{Value, json};

use crate::support::{Fixture, Outcome, ended, finish, fixture, has_controller, is_v2, r1_runc, until};

/// A container under a shim, as r1-hostd drives it.
pub struct Shim {
    dir: PathBuf,
    socket: OwnedFd,
}

fn spawn(f: &Fixture, request: &Value, extra: &[&str]) -> Outcome {
    let bundle = f.bundle("bundle", request);
    fs::create_dir_all(f.path("run")).unwrap();
    let mut command = r1_runc();
    command
        .arg("shim")
        .arg("--root")
        .arg(f.path("run"))
        .args(["--id", "test"]);
    command
        .arg("--bundle")
        .arg(bundle)
        .arg("--cgroup")
        .arg(&f.cgroup)
        .args(extra);
    finish(command, &f.path("shim"))
}

fn dial(path: &PathBuf) -> nix::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

impl Shim {
    pub fn create(f: &Fixture, request: &Value) -> Shim {
        Shim::create_with(f, request, &[])
    }

    pub fn create_with(f: &Fixture, request: &Value, extra: &[&str]) -> Shim {
        let outcome = spawn(f, request, extra);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        let dir = f.path("run/test");
        let socket = dial(&dir.join("ctl.sock")).unwrap();
        Shim { dir, socket }
    }

    pub fn ask(&self, request: &ShimRequest) -> ShimReply {
        send(
            self.socket.as_raw_fd(),
            &serde_json::to_vec(request).unwrap(),
            MsgFlags::empty(),
        )
        .unwrap();
        let mut buffer = vec![0; 65_536];
        let n = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        serde_json::from_slice(&buffer[..n]).unwrap()
    }

    pub fn state(&self) -> (ShimState, Option<ExitRecord>) {
        match self.ask(&ShimRequest::State) {
            ShimReply::State { state, exit } => (state, exit),
            other => panic!("{other:?}"),
        }
    }

    pub fn start(&mut self) {
        assert_eq!(self.ask(&ShimRequest::Start), ShimReply::Ok);
    }

    /// CPU nanoseconds, memory and its peak in bytes, processes.
    pub fn usage(&self) -> (u64, u64, u64, u64) {
        match self.ask(&ShimRequest::Usage) {
            ShimReply::Usage {
                cpu_ns,
                memory_bytes,
                memory_peak_bytes,
                pids,
            } => (cpu_ns, memory_bytes, memory_peak_bytes, pids),
            other => panic!("{other:?}"),
        }
    }

    fn collect(self) -> ExitRecord {
        until("the container ends", || self.state().1.is_some());
        let (state, exit) = self.state();
        let exit = exit.unwrap();
        assert_eq!(state.status, ContainerStatus::Stopped);
        let stored: ExitRecord =
            serde_json::from_slice(&fs::read(self.dir.join("exit.json")).unwrap()).unwrap();
        assert_eq!(stored, exit);
        assert_eq!(self.ask(&ShimRequest::Ack), ShimReply::Ok);
        until("the shim leaves", || ended(state.shim_pid));
        assert!(!self.dir.join("ctl.sock").exists());
        assert!(!self.dir.join("engine").exists());
        exit
    }

    pub fn run_to_end(mut self) -> ExitRecord {
        self.start();
        self.collect()
    }

    pub fn kill_to_end(self) -> ExitRecord {
        assert_eq!(
            self.ask(&ShimRequest::Kill {
                signal: 9,
                all: false
            }),
            ShimReply::Ok
        );
        self.collect()
    }
}

#[test]
fn output_and_exit_are_recorded() {
    let Some(f) = fixture("shim-log") else { return };
    let script = "echo one; echo two >&2; echo three > /dev/stdout; printf unfinished; exit 3";
    let exit = Shim::create(&f, &f.request(script)).run_to_end();
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (3, None, false));
    assert!(exit.cpu_ns > 0 || !has_controller("cpu"));
    assert!(exit.started_at_ms > 0 && exit.finished_at_ms >= exit.started_at_ms);
    let log = fs::read_to_string(f.path("run/test/log")).unwrap();
    let mut lines: Vec<(String, String)> = log
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(value["t"].as_u64().unwrap() >= exit.started_at_ms);
            (
                value["s"].as_str().unwrap().to_owned(),
                value["m"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    lines.sort();
    let expect = [
        ("stderr", "two"),
        ("stdout", "one"),
        ("stdout", "three"),
        ("stdout", "unfinished"),
    ];
    assert_eq!(lines, expect.map(|(s, m)| (s.to_owned(), m.to_owned())));
    f.assert_no_cgroup();
}

#[test]
fn it_answers_in_every_state() {
    let Some(f) = fixture("shim-states") else { return };
    let mut shim = Shim::create(&f, &f.request("sleep 60"));
    let (state, exit) = shim.state();
    assert_eq!((state.status, exit), (ContainerStatus::Created, None));
    assert!(state.pid > 0 && state.pid_starttime > 0 && state.shim_pid > 0);
    assert!(matches!(shim.ask(&ShimRequest::Ack), ShimReply::Error { .. }));
    shim.start();
    assert!(matches!(shim.ask(&ShimRequest::Start), ShimReply::Error { .. }));
    assert_eq!(shim.state().0.status, ContainerStatus::Running);
    let stored: ShimState =
        serde_json::from_slice(&fs::read(f.path("run/test/state.json")).unwrap()).unwrap();
    assert_eq!(stored, shim.state().0);
    let (cpu, memory, peak, pids) = shim.usage();
    assert!(cpu > 0 || !has_controller("cpu"));
    assert!(memory > 0 && peak >= memory || !has_controller("memory"));
    assert!(pids >= 1 || !has_controller("pids"));
    // Not a request: told so, and the connection lives on.
    send(shim.socket.as_raw_fd(), b"{}", MsgFlags::empty()).unwrap();
    let mut buffer = [0; 4096];
    let n = recv(shim.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
    assert!(buffer[..n].starts_with(br#"{"reply":"error""#));
    assert!(matches!(
        shim.ask(&ShimRequest::Kill {
            signal: 999,
            all: false
        }),
        ShimReply::Error { .. }
    ));
    assert_eq!(
        shim.ask(&ShimRequest::Kill { signal: 9, all: true }),
        ShimReply::Ok
    );
    assert_eq!(shim.collect().code, 137);
}

#[test]
fn it_survives_its_parent_and_its_clients() {
    let Some(f) = fixture("shim-parent") else { return };
    let shim = Shim::create(&f, &f.request("sleep 60"));
    let (state, _) = shim.state();
    let stat = fs::read_to_string(format!("/proc/{}/stat", state.shim_pid)).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    // Parent, process group and session: none of this test's.
    assert_ne!(fields[1], std::process::id().to_string());
    assert_ne!(fields[3], nix::unistd::getsid(None).unwrap().to_string());
    // In no cgroup of its starter's, unless that is a hierarchy's root.
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", state.shim_pid)).unwrap();
    let own = f.cgroup.replace("/c", "/shim");
    // In the lane of cgroup v2, v1's hierarchies are still there but out of reach.
    for line in groups.lines().filter(|line| line.starts_with("0:") || !is_v2()) {
        let path = line.rsplit(':').next().unwrap();
        assert!(path == "/" || path == own, "{line}");
    }
    let Shim { dir, socket } = shim;
    drop(socket);
    let again = Shim {
        socket: dial(&dir.join("ctl.sock")).unwrap(),
        dir,
    };
    assert_eq!(again.ask(&ShimRequest::Start), ShimReply::Ok);
    // A signal to end the shim means the container; sh as pid 1 ignores TERM, so it must still be there.
    kill(Pid::from_raw(state.shim_pid), Signal::SIGTERM).unwrap();
    assert_eq!(again.state().0.status, ContainerStatus::Running);
    assert_eq!(again.kill_to_end().code, 137);
}

#[test]
fn a_killed_shim_leaves_enough_to_conclude_lost() {
    let Some(f) = fixture("shim-lost") else { return };
    let mut shim = Shim::create(&f, &f.request("sleep 60"));
    shim.start();
    let (state, _) = shim.state();
    kill(Pid::from_raw(state.shim_pid), Signal::SIGKILL).unwrap();
    until("the shim is gone", || ended(state.shim_pid));
    let stored: ShimState =
        serde_json::from_slice(&fs::read(f.path("run/test/state.json")).unwrap()).unwrap();
    assert_eq!(stored, state);
    assert!(!f.path("run/test/exit.json").exists());
    assert!(dial(&f.path("run/test/ctl.sock")).is_err());
    // The folder is not taken over before it was collected.
    let outcome = spawn(&f, &f.request("true"), &[]);
    assert!(
        outcome.code == 1 && outcome.stderr.contains("state.json"),
        "{outcome:?}"
    );
    // What r1-hostd does: end the rest by its cgroup.
    let _ = kill(Pid::from_raw(state.pid), Signal::SIGKILL);
    until("its cgroup can be removed", || {
        for mount in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let _ = fs::remove_dir(mount.path().join(f.cgroup.trim_start_matches('/')));
        }
        let _ = fs::remove_dir(f.cgroup_dir("pids"));
        !f.cgroup_dir("pids").exists() && !f.cgroup_dir("memory").exists()
    });
    f.assert_no_cgroup();
}

#[test]
fn a_failed_creation_is_one_line_and_leaves_nothing() {
    let Some(f) = fixture("shim-fails") else { return };
    let mut request = f.request("");
    request["command"] = json!(["/bin/no-such-program"]);
    let outcome = spawn(&f, &request, &["--cgroup2", &f.cgroup.clone()]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("no-such-program") && outcome.stderr.lines().count() == 1,
        "{outcome:?}"
    );
    assert_eq!(fs::read_dir(f.path("run/test")).unwrap().count(), 0);
    f.assert_no_cgroup();
}

#[test]
fn a_flood_of_output_is_bounded() {
    let Some(f) = fixture("shim-flood") else { return };
    let script = "yes 0123456789012345678901234567890123456789 | head -c 3000000; \
                  head -c 50000 /dev/zero; echo; echo last";
    let exit = Shim::create_with(&f, &f.request(script), &["--log-max-bytes", "262144"]).run_to_end();
    assert_eq!(exit.code, 0);
    for name in ["log", "log.1"] {
        let text = fs::read_to_string(f.path("run/test").join(name)).unwrap();
        assert!(text.len() <= 300_000 + 6 * 16_384, "{name}: {}", text.len());
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            assert!(value["m"].as_str().unwrap().len() <= 16_384);
        }
    }
    let log = fs::read_to_string(f.path("run/test/log")).unwrap();
    assert!(
        log.trim_end().ends_with(r#""m":"last"}"#),
        "{}",
        &log[log.len() - 100..]
    );
}

#[test]
fn its_leaf_in_cgroup2_comes_and_goes() {
    let Some(f) = fixture("shim-leaf") else { return };
    let leaf = PathBuf::from(format!("/sys/fs/cgroup/unified{}", f.cgroup));
    if !PathBuf::from("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        return crate::support::skip("shim-leaf", "needs a hybrid cgroup layout");
    }
    let mut shim = Shim::create_with(&f, &f.request("sleep 60"), &["--cgroup2", &f.cgroup.clone()]);
    let pid = shim.state().0.pid.to_string();
    assert_eq!(fs::read_to_string(leaf.join("cgroup.procs")).unwrap().trim(), pid);
    shim.start();
    assert_eq!(shim.kill_to_end().code, 137);
    f.assert_no_cgroup();
}

#[test]
fn it_needs_no_descriptor_of_its_starter() {
    let Some(f) = fixture("shim-fds") else { return };
    let bundle = f.bundle("bundle", &f.request("sleep 60"));
    fs::create_dir_all(f.path("run")).unwrap();
    let mut command = r1_runc();
    command
        .arg("shim")
        .arg("--root")
        .arg(f.path("run"))
        .args(["--id", "test"]);
    command.arg("--bundle").arg(bundle).arg("--cgroup").arg(&f.cgroup);
    // With pipes: a starter that reads to the end must not wait for the container.
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let dir = f.path("run/test");
    let shim = Shim {
        socket: dial(&dir.join("ctl.sock")).unwrap(),
        dir,
    };
    assert_eq!(shim.kill_to_end().code, 137);
}
