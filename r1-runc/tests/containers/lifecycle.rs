//! The OCI command line, from create to delete.

use std::fs::{self, OpenOptions};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Fixture, fixture, has_controller, r1_runc, until};

fn state(f: &Fixture, id: &str) -> Value {
    let outcome = f.oci(&["state", id]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn create(f: &Fixture, script: &str) {
    let bundle = f.bundle("bundle", &f.request(script));
    let outcome = f.oci(&["create", "--bundle", bundle.to_str().unwrap(), "c"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

#[test]
fn create_start_delete() {
    let Some(f) = fixture("create") else { return };
    let bundle = f.bundle("bundle", &f.request("echo ran > /tmp/x; sleep 60"));
    let pid_file = f.path("pid");
    let (bundle, file) = (bundle.to_str().unwrap(), pid_file.to_str().unwrap());
    assert_eq!(
        f.oci(&["create", "--bundle", bundle, "--pid-file", file, "c"])
            .code,
        0
    );
    let created = state(&f, "c");
    assert_eq!(created["status"], "created");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), created["pid"].to_string());
    assert_eq!(
        created["bundle"],
        fs::canonicalize(bundle).unwrap().to_str().unwrap()
    );

    let twice = f.oci(&["create", "--bundle", bundle, "c"]);
    assert!(
        twice.code == 1 && twice.stderr.contains("already exists"),
        "{twice:?}"
    );
    assert_eq!(f.oci(&["start", "c"]).code, 0);
    assert_eq!(state(&f, "c")["status"], "running");
    assert_eq!(f.oci(&["start", "c"]).code, 1);
    let refused = f.oci(&["delete", "c"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("running"),
        "{refused:?}"
    );
    assert_eq!(f.oci(&["list", "-q"]).stdout, "c\n");
    let pids: Vec<i32> = serde_json::from_str(&f.oci(&["ps", "--format", "json", "c"]).stdout).unwrap();
    assert!(
        pids.contains(&(created["pid"].as_i64().unwrap() as i32)),
        "{pids:?}"
    );

    assert_eq!(f.oci(&["kill", "c", "KILL"]).code, 0);
    until("the container stops", || state(&f, "c")["status"] == "stopped");
    let late = f.oci(&["kill", "c", "KILL"]);
    assert!(late.code == 1 && late.stderr.contains("not running"), "{late:?}");
    assert_eq!(f.oci(&["delete", "c"]).code, 0);
    assert!(f.oci(&["state", "c"]).stderr.contains("does not exist"));
    assert_eq!(f.oci(&["delete", "--force", "c"]).code, 0);
    assert!(!f.path("state/c").exists());
    f.assert_no_cgroup();
}

#[test]
fn killed_from_outside_is_137() {
    let Some(f) = fixture("killed") else { return };
    let bundle = f.bundle("bundle", &f.request("sleep 60"));
    let mut command = r1_runc();
    command
        .arg("--root")
        .arg(f.path("state"))
        .args(["run", "--bundle", bundle.to_str().unwrap(), "c"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the container runs", || {
        f.oci(&["state", "c"]).stdout.contains("\"running\"")
    });
    assert_eq!(f.oci(&["kill", "c", "9"]).code, 0);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(!f.path("state/c").exists());
    f.assert_no_cgroup();
}

#[test]
fn run_passes_signals_on() {
    let Some(f) = fixture("forward") else { return };
    let bundle = f.bundle(
        "bundle",
        &f.request("trap 'exit 42' TERM; while :; do sleep 0.05; done"),
    );
    let mut command = r1_runc();
    command
        .arg("--root")
        .arg(f.path("state"))
        .args(["run", "--bundle", bundle.to_str().unwrap(), "c"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the container runs", || {
        f.oci(&["state", "c"]).stdout.contains("\"running\"")
    });
    until("the trap is set", || {
        let pid = state(&f, "c")["pid"].to_string();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        // Bit 14 is SIGTERM.
        let caught = status
            .lines()
            .find_map(|l| l.strip_prefix("SigCgt:"))
            .unwrap_or("0")
            .trim()
            .to_owned();
        u64::from_str_radix(&caught, 16).unwrap() & (1 << 14) != 0
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

#[test]
fn no_sigchld_is_lost() {
    let Some(f) = fixture("sigchld") else { return };
    let mut request = f.request("");
    request["command"] = json!(["true"]);
    let bundle = f.bundle("bundle", &request);
    for round in 0..30 {
        let id = format!("c{round}");
        let outcome = f.oci(&["run", "--bundle", bundle.to_str().unwrap(), &id]);
        assert_eq!(outcome.code, 0, "round {round}: {outcome:?}");
    }
    assert_eq!(fs::read_dir(f.path("state")).unwrap().count(), 0);
    f.assert_no_cgroup();
}

#[test]
fn a_reused_pid_is_not_killed() {
    let Some(f) = fixture("reused-pid") else { return };
    create(&f, "sleep 60");
    let file = f.path("state/c/state.json");
    let original = fs::read_to_string(&file).unwrap();
    let mut record: Value = serde_json::from_str(&original).unwrap();
    let pid = record["init"]["pid"].as_i64().unwrap();
    record["init"]["starttime"] = json!(record["init"]["starttime"].as_u64().unwrap() - 1);
    fs::write(&file, record.to_string()).unwrap();
    assert_eq!(state(&f, "c")["status"], "stopped");
    let outcome = f.oci(&["kill", "c", "KILL"]);
    assert!(
        outcome.code == 1 && outcome.stderr.contains("not running"),
        "{outcome:?}"
    );
    // Signal 0 asks whether it is still there.
    assert!(kill(Pid::from_raw(pid as i32), None).is_ok());
    fs::write(&file, original).unwrap();
    assert_eq!(f.oci(&["delete", "--force", "c"]).code, 0);
    assert!(!f.path("state/c").exists());
    f.assert_no_cgroup();
}

#[test]
fn pause_resume_update() {
    let Some(f) = fixture("pause") else { return };
    create(&f, "sleep 60");
    assert_eq!(f.oci(&["start", "c"]).code, 0);
    assert_eq!(f.oci(&["pause", "c"]).code, 0);
    assert_eq!(state(&f, "c")["status"], "paused");
    assert_eq!(f.oci(&["resume", "c"]).code, 0);
    assert_eq!(state(&f, "c")["status"], "running");
    let limits = [
        "--memory",
        "134217728",
        "--memory-swap",
        "134217728",
        "--pids-limit",
        "9",
    ];
    let outcome = f.oci(&[&["update"], &limits[..], &["c"]].concat());
    if has_controller("memory") && has_controller("pids") {
        assert_eq!(outcome.code, 0, "{outcome:?}");
    } else {
        assert!(
            outcome.code == 1 && outcome.stderr.contains("memory.max"),
            "{outcome:?}"
        );
    }
    if let Some(limit) = f.cgroup_file("memory", "memory.limit_in_bytes") {
        assert_eq!(limit, "134217728");
        assert_eq!(f.cgroup_file("pids", "pids.max").as_deref(), Some("9"));
    }
    assert_eq!(f.oci(&["pause", "c"]).code, 0);
    assert_eq!(f.oci(&["delete", "--force", "c"]).code, 0);
    f.assert_no_cgroup();
}

#[test]
fn a_container_that_cannot_be_made_leaves_nothing() {
    let Some(f) = fixture("cannot") else { return };
    let mut request = f.request("");
    request["command"] = json!(["/bin/no-such-program"]);
    let bundle = f.bundle("bundle", &request);
    let log = f.path("log.json");
    let mut args = vec!["--log", log.to_str().unwrap(), "--log-format", "json"];
    args.extend(["create", "--bundle", bundle.to_str().unwrap(), "c"]);
    let outcome = f.oci(&args);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("no-such-program"), "{}", outcome.stderr);
    let logged: Value = serde_json::from_str(fs::read_to_string(&log).unwrap().trim()).unwrap();
    assert!(logged["level"] == "error" && logged["msg"].as_str().unwrap().contains("no-such-program"));
    assert!(!f.path("state/c").exists());
    f.assert_no_cgroup();
}

#[test]
fn an_unknown_capability_is_named() {
    let Some(f) = fixture("capability") else { return };
    let bundle = f.bundle("bundle", &f.request("true"));
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    config["process"]["capabilities"]["bounding"] = json!(["CAP_TIME_TRAVEL"]);
    fs::write(&file, config.to_string()).unwrap();
    let outcome = f.oci(&["run", "--bundle", bundle.to_str().unwrap(), "c"]);
    assert!(
        outcome.code == 1 && outcome.stderr.contains("CAP_TIME_TRAVEL"),
        "{outcome:?}"
    );
}

#[test]
fn the_program_file_cannot_be_written_from_inside() {
    let Some(f) = fixture("sealed") else { return };
    create(&f, "true");
    // Until start its init still is r1-runc: the file behind this link is what a container could reach.
    let exe = format!("/proc/{}/exe", state(&f, "c")["pid"]);
    let error = OpenOptions::new().write(true).open(&exe).unwrap_err();
    assert!(
        matches!(error.raw_os_error(), Some(nix::libc::EROFS | nix::libc::ETXTBSY)),
        "{error}"
    );
    assert_ne!(error.raw_os_error(), None);
    assert_eq!(f.oci(&["delete", "--force", "c"]).code, 0);
}

#[test]
fn features_and_spec_are_json() {
    let Some(f) = fixture("features") else { return };
    let features: Value = serde_json::from_str(&f.oci(&["features"]).stdout).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    let folder = f.dir.path().to_str().unwrap();
    assert_eq!(f.oci(&["spec", "--bundle", folder]).code, 0);
    let spec: Value = serde_json::from_str(&fs::read_to_string(f.path("config.json")).unwrap()).unwrap();
    assert_eq!(spec["linux"]["seccomp"]["defaultErrnoRet"], 38);
}
