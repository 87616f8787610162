//! Containers outlive both daemons, and no exit code is lost.

use std::time::Duration;

use r1_cluster_tests::{can_run_containers, end, eventually, start};
use r1_localnet::{Node, start_time};

const PATIENCE: Duration = Duration::from_secs(60);
const MEMORY: u64 = 32 << 20;

fn running_pid(node: &Node, id: &str) -> i32 {
    eventually("the container to run", PATIENCE, || {
        let container = node.container(id).ok()??;
        let pid = container["pid"].as_i64().filter(|pid| *pid > 0)?;
        (container["state"] == "running")
            .then(|| i32::try_from(pid).ok())
            .flatten()
    })
}

#[test]
fn a_container_keeps_its_pid_and_its_exit_code_whoever_is_killed() {
    if !can_run_containers("a_container_keeps_its_pid_and_its_exit_code_whoever_is_killed") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 1, 0);
    let node = &mut network.nodes[0];
    assert!(node.wait_for_host(PATIENCE), "r1d finds r1-hostd");
    let long = node.run(&["sleep", "600"], MEMORY).expect("it starts");
    let pid = running_pid(node, &long);
    let born = start_time(pid).expect("it runs");

    for (r1d, hostd) in [(true, false), (false, true), (true, true)] {
        if r1d {
            node.r1d.kill();
        }
        if hostd {
            node.hostd.kill();
        }
        assert_eq!(
            start_time(pid),
            Some(born),
            "the container outlives r1d {r1d}, r1-hostd {hostd}"
        );
        node.start_hostd().expect("r1-hostd returns");
        node.start_r1d().expect("r1d returns");
        assert!(node.wait_for_host(PATIENCE), "r1d finds r1-hostd again");
        assert_eq!(
            running_pid(node, &long),
            pid,
            "adopted after r1d {r1d}, r1-hostd {hostd}"
        );
    }

    let short = node
        .run(&["sh", "-c", "sleep 2; exit 7"], MEMORY)
        .expect("it starts");
    let pid = running_pid(node, &short);
    node.r1d.kill();
    node.hostd.kill();
    eventually("the container to end", PATIENCE, || {
        start_time(pid).is_none().then_some(())
    });
    node.start_hostd().expect("r1-hostd returns");
    node.start_r1d().expect("r1d returns");
    assert!(node.wait_for_host(PATIENCE), "r1d finds r1-hostd again");
    let code = eventually("the exit code", PATIENCE, || {
        node.container(&short).ok()??["exit_code"].as_i64()
    });
    assert_eq!(code, 7);
    end(network);
}
