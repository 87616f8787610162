//! r1-runc as the runtime of podman, which calls what containerd and others call. Run with `--ignored`.

use std::process::{Command, Stdio};

use crate::support::{Fixture, Outcome, finish, fixture, skip};

fn podman(f: &Fixture, args: &[&str]) -> Outcome {
    let mut command = Command::new("podman");
    command
        .stdin(Stdio::null())
        .arg("--root")
        .arg(f.path("podman"))
        .arg("--runroot")
        .arg(f.path("podman-run"));
    command.args([
        "--storage-driver",
        "vfs",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "none",
    ]);
    command
        .args(["--runtime", env!("CARGO_BIN_EXE_r1-runc")])
        .args(args);
    finish(command, &f.path("podman-output"))
}

#[test]
#[ignore = "needs podman and some seconds"]
fn podman_runs_pauses_and_kills() {
    let Some(f) = fixture("podman") else { return };
    if Command::new("podman")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        return skip("podman", "is not installed");
    }
    let archive = f.path("image.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(f.path("rootfs"))
        .arg("-cf")
        .arg(&archive)
        .arg(".");
    assert_eq!(finish(tar, &f.path("tar")).code, 0);
    assert_eq!(podman(&f, &["import", archive.to_str().unwrap(), "bb:1"]).code, 0);
    let alone = ["--network", "none", "bb:1"];
    let run = |args: &[&str], command: &[&str]| podman(&f, &[&["run"], args, &alone, command].concat());

    let outcome = run(&["--rm"], &["/bin/sh", "-c", "echo here; exit 9"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (9, "here\n"),
        "{outcome:?}"
    );
    let outcome = run(&["--rm", "-t"], &["/bin/readlink", "/proc/self/fd/1"]);
    assert_eq!(outcome.stdout.trim(), "/dev/pts/0", "{outcome:?}");
    assert_eq!(run(&["-d", "--name", "d"], &["/bin/sleep", "60"]).code, 0);
    for command in [
        &["pause", "d"][..],
        &["unpause", "d"],
        &["kill", "d"],
        &["rm", "-f", "d"],
    ] {
        let outcome = podman(&f, command);
        assert_eq!(outcome.code, 0, "{command:?}: {outcome:?}");
    }
}
