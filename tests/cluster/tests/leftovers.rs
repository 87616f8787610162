//! A network leaves nothing behind, and goes on where it stopped.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use r1_cluster_tests::{can_run_containers, closed, end, epochs, plan, start, status, wait_closed};
use r1_localnet::Network;

const PATIENCE: Duration = Duration::from_secs(90);

/// Control groups of that name in any hierarchy.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    hierarchies
        .map(|entry| entry.path().join(name.trim_start_matches('/')))
        .filter(|group| group.is_dir())
        .collect()
}

/// Processes whose command line names a folder.
fn processes_of(dir: &Path) -> Vec<String> {
    let needle = dir.display().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&needle) && line.contains("r1"))
        .collect()
}

#[test]
fn nothing_is_left_and_a_second_start_goes_on() {
    if !can_run_containers("nothing_is_left_and_a_second_start_goes_on") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let network = start(dir.path(), 1, 0);
    network.nodes[0].wait_for_host(PATIENCE);
    network.nodes[0]
        .run(&["sleep", "600"], 32 << 20)
        .expect("a container");
    wait_closed(&network.nodes[0], 0, PATIENCE);
    let (address, before) = (
        status(&network.nodes[0])["address"].clone(),
        epochs(&network.nodes[0]),
    );
    let layout = network.layout.clone();
    let second = Network::start(&plan(dir.path(), 1, 0), &mut |_| {})
        .err()
        .map(|error| error.to_string());
    assert!(
        second.as_deref().unwrap_or_default().contains("another `up`"),
        "{second:?}"
    );
    end(network);

    assert_eq!(cgroups(&layout.cgroup), Vec::<PathBuf>::new());
    assert!(!layout.run.exists(), "{} is left", layout.run.display());
    assert_eq!(processes_of(dir.path()), Vec::<String>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(&dir.path().display().to_string()), "{mounts}");

    let network = start(dir.path(), 1, 0);
    assert_eq!(status(&network.nodes[0])["address"], address, "the key is kept");
    let after = epochs(&network.nodes[0]);
    assert!(
        before
            .iter()
            .all(|(epoch, record)| after.get(epoch) == Some(record)),
        "{before:?} {after:?}"
    );
    let was = closed(&network.nodes[0]).expect("an epoch");
    wait_closed(&network.nodes[0], was + 1, PATIENCE);
    end(network);
}

#[test]
fn what_a_killed_starter_left_is_ended_by_the_next() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hold_network"))
        .arg(dir.path())
        .env("R1_BIN_DIR", r1_cluster_tests::programs())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    holder.kill().expect("it is killed");
    holder.wait().expect("it ends");
    assert!(!processes_of(dir.path()).is_empty(), "its daemons live on");

    let mut told = Vec::new();
    let network = Network::start(&plan(dir.path(), 1, 0), &mut |line| told.push(line.to_owned()));
    let network = network.unwrap_or_else(|error| panic!("{error}"));
    assert!(told.iter().any(|line| line.contains("left behind")), "{told:?}");
    end(network);
    assert_eq!(processes_of(dir.path()), Vec::<String>::new());
}
