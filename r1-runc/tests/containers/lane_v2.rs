//! All of these tests once more on a host with cgroup v2 alone: in a mount namespace where the one hierarchy lies over
//! those of v1. Controllers that v1 has taken are missing there, and the checks that need them are left out.

use std::process::{Command, Stdio};

use crate::support::{PATIENCE, finish_within, fixture, is_v2, skip};

#[test]
fn everything_on_cgroup_v2() {
    let Some(f) = fixture("lane-v2") else { return };
    if is_v2() {
        // Then the other tests have been through it.
        return;
    }
    if !std::path::Path::new("/sys/fs/cgroup/unified").exists() {
        return skip("lane-v2", "needs a hybrid cgroup layout");
    }
    let script = "umount /sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--skip", "lane_v2"]);
    command.stdin(Stdio::null()).env_remove("R1_REQUIRE_ALL");
    let outcome = finish_within(command, &f.path("tests"), PATIENCE * 4);
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("0 failed"), "{}", outcome.stdout);
}
