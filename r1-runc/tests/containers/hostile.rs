//! Root file systems and configurations that try to reach the host (classes of CVE-2019-19921, CVE-2021-30465,
//! CVE-2023-27561, CVE-2024-21626, CVE-2024-45310 and CVE-2025-31133).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Fixture, fixture};

/// Replaces a name in the image by a link and runs a harmless program.
fn run_with_link(f: &Fixture, name: &str, target: &str) -> crate::support::Outcome {
    let path = f.path("rootfs").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, &path).unwrap();
    f.run("echo alive; cat /proc/keys | wc -c")
}

#[test]
fn proc_and_sys_as_links_are_refused() {
    for name in ["proc", "sys"] {
        let Some(f) = fixture(&format!("link-{name}")) else {
            return;
        };
        fs::create_dir(f.path("rootfs/elsewhere")).unwrap();
        let outcome = run_with_link(&f, name, "/elsewhere");
        assert!(
            outcome.code != 0 && !outcome.stdout.contains("alive"),
            "{name}: {outcome:?}"
        );
        f.assert_no_cgroup();
    }
}

#[test]
fn links_of_mount_points_stay_inside() {
    for name in ["tmp", "run", "dev/shm"] {
        let Some(f) = fixture(&format!("link-{}", name.replace('/', "-"))) else {
            return;
        };
        // Absolute and upwards: on the host both would lead to a folder of the test.
        let outside = f.path("outside");
        fs::create_dir(&outside).unwrap();
        let target = format!("../../../../../../../../..{}/made", outside.display());
        let outcome = run_with_link(&f, name, &target);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}: {outcome:?}");
        f.assert_no_cgroup();
    }
}

#[test]
fn a_false_dev_null_masks_nothing_of_the_host() {
    let Some(f) = fixture("dev-null") else { return };
    fs::create_dir_all(f.path("rootfs/dev")).unwrap();
    fs::write(f.path("secret"), "host").unwrap();
    symlink(f.path("secret"), f.path("rootfs/dev/null")).unwrap();
    // The sandbox mounts its own /dev over the image's, so the link is out of reach.
    let outcome = f.run("cat /proc/keys; echo x > /dev/null; stat -c %F /dev/null");
    assert_eq!(outcome.stdout.trim(), "character special file", "{outcome:?}");
    assert_eq!(fs::read_to_string(f.path("secret")).unwrap(), "host");
}

#[test]
fn a_working_folder_outside_is_refused() {
    let Some(f) = fixture("cwd") else { return };
    let bundle = f.bundle("bundle", &f.request("pwd -P; ls"));
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for fd in 3..16 {
        config["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}"));
        fs::write(&file, config.to_string()).unwrap();
        let outcome = f.oci(&["run", "--bundle", bundle.to_str().unwrap(), "c"]);
        let inside = outcome.stdout.lines().any(|line| line == "bin" || line == "proc");
        assert!(outcome.code != 0 || inside, "fd {fd}: {outcome:?}");
        assert!(!outcome.stdout.contains("state.json"), "fd {fd}: {outcome:?}");
    }
}

#[test]
fn the_host_cannot_be_reached_through_descriptors() {
    let Some(f) = fixture("descriptors") else { return };
    let outcome = f.run("for d in /proc/1/fd/*; do readlink $d; done; ls /proc/1/root/; echo end");
    let links: Vec<PathBuf> = outcome.stdout.lines().map(PathBuf::from).collect();
    let host = f.dir.path();
    assert!(
        links.iter().all(|link| !link.starts_with(host.join("state"))),
        "{outcome:?}"
    );
    assert!(outcome.stdout.ends_with("end\n"));
}
