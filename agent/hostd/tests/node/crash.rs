//! What survives which death.

use std::{fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use r1_core::{ContainerStatus, ShimState};
use r1_host_api::{GapCause, HostEvent};

use crate::harness::{Node, no_containers, request, skip, wait_for, wait_over};

fn shim_state(node: &Node, id: &str) -> ShimState {
    serde_json::from_slice(&fs::read(node.live(id).join("state.json")).unwrap()).unwrap()
}

/// True if there is such a process and it is more than a zombie, which only its parent can remove.
fn runs(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[tokio::test]
async fn a_killed_daemon_adopts_the_same_process() {
    if let Some(why) = no_containers() {
        return skip("a_killed_daemon_adopts_the_same_process", why);
    }
    let (mut node, client) = Node::start().await;
    client
        .run(&request("job", "while :; do sleep 0.1; done"))
        .await
        .unwrap();
    let before = wait_for(&client, "job", |info| info.state == ContainerStatus::Running).await;
    assert!(before.pid > 0);
    node.end(Signal::SIGKILL);
    client.closed().await;
    let client = node.restart().await;
    let after = wait_for(&client, "job", |info| info.state == ContainerStatus::Running).await;
    assert_eq!(
        (after.pid, after.started_at_ms),
        (before.pid, before.started_at_ms)
    );
    assert_eq!(
        (after.image.as_str(), after.created_at_ms),
        ("busybox", before.created_at_ms)
    );
    assert!(Path::new(&format!("/proc/{}", after.pid)).exists());
    client.stop("job", 100).await.unwrap();
    node.assert_gone("job");
}

#[tokio::test]
async fn an_orderly_end_of_the_daemon_touches_no_container() {
    if let Some(why) = no_containers() {
        return skip("an_orderly_end_of_the_daemon_touches_no_container", why);
    }
    let (mut node, client) = Node::start().await;
    client
        .run(&request("job", "while :; do sleep 0.1; done"))
        .await
        .unwrap();
    let before = wait_for(&client, "job", |info| info.state == ContainerStatus::Running).await;
    assert!(node.end(Signal::SIGTERM).success());
    assert!(!node.socket().exists());
    assert!(Path::new(&format!("/proc/{}", before.pid)).exists());
    let client = node.restart().await;
    assert_eq!(wait_for(&client, "job", |_| true).await.pid, before.pid);
}

#[tokio::test]
async fn an_end_while_the_daemon_is_dead_is_collected() {
    if let Some(why) = no_containers() {
        return skip("an_end_while_the_daemon_is_dead_is_collected", why);
    }
    let (mut node, client) = Node::start().await;
    client
        .run(&request("job", "sleep 0.5; echo done; exit 4"))
        .await
        .unwrap();
    node.end(Signal::SIGKILL);
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while !node.live("job").join("exit.json").exists() {
        assert!(std::time::Instant::now() < deadline, "the shim wrote no record");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let client = node.restart().await;
    let info = wait_over(&client, "job").await;
    assert_eq!((info.state, info.exit_code), (ContainerStatus::Stopped, Some(4)));
    assert_eq!(client.logs("job", 1).await.unwrap()[0].m, "done");
    node.assert_gone("job");
}

#[tokio::test]
async fn a_killed_shim_makes_its_container_lost_and_leaks_nothing() {
    if let Some(why) = no_containers() {
        return skip("a_killed_shim_makes_its_container_lost_and_leaks_nothing", why);
    }
    let (mut node, client) = Node::start().await;
    for id in ["seen", "unseen"] {
        client
            .run(&request(id, "while :; do sleep 0.1; done"))
            .await
            .unwrap();
    }
    let unseen = shim_state(&node, "unseen");
    let seen = shim_state(&node, "seen");
    kill(Pid::from_raw(seen.shim_pid), Signal::SIGKILL).unwrap();
    let info = wait_over(&client, "seen").await;
    assert_eq!((info.state, info.exit_code), (ContainerStatus::Lost, None));
    assert!(info.warnings.iter().any(|line| line.contains("shim")), "{info:?}");
    node.assert_gone("seen");
    node.end(Signal::SIGKILL);
    kill(Pid::from_raw(unseen.shim_pid), Signal::SIGKILL).unwrap();
    let client = node.restart().await;
    let info = wait_over(&client, "unseen").await;
    assert_eq!(info.state, ContainerStatus::Lost);
    node.assert_gone("unseen");
    for state in [seen, unseen] {
        assert!(!runs(state.pid), "its init still runs");
    }
}

#[tokio::test]
async fn a_container_killed_from_outside_has_an_exit_record() {
    if let Some(why) = no_containers() {
        return skip("a_container_killed_from_outside_has_an_exit_record", why);
    }
    let (node, client) = Node::start().await;
    client
        .run(&request("job", "while :; do sleep 0.1; done"))
        .await
        .unwrap();
    let pid = wait_for(&client, "job", |info| info.pid > 0).await.pid;
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let info = wait_over(&client, "job").await;
    assert_eq!(
        (info.state, info.exit_code, info.signal),
        (ContainerStatus::Stopped, Some(137), Some(9))
    );
    node.assert_gone("job");
}

#[tokio::test]
async fn a_daemon_that_stood_still_reports_a_gap() {
    let (node, client) = Node::start().await;
    let mut events = client.events();
    let pid = Pid::from_raw(node.pid());
    kill(pid, Signal::SIGSTOP).unwrap();
    // Longer than the probes' threshold of three seconds.
    tokio::time::sleep(std::time::Duration::from_millis(4500)).await;
    kill(pid, Signal::SIGCONT).unwrap();
    let event = tokio::time::timeout(crate::harness::PATIENCE, events.next())
        .await
        .unwrap();
    let Some(HostEvent::Gap(gap)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(gap.cause, GapCause::AgentDown, "{gap:?}");
    assert!(gap.to_ms - gap.from_ms >= 4000, "{gap:?}");
}

#[tokio::test]
async fn a_daemon_killed_while_it_makes_a_container_leaves_it_whole_or_not_at_all() {
    if let Some(why) = no_containers() {
        return skip(
            "a_daemon_killed_while_it_makes_a_container_leaves_it_whole_or_not_at_all",
            why,
        );
    }
    let (mut node, mut client) = Node::start().await;
    for delay_ms in [0, 10, 25, 50, 75, 100, 150] {
        let asking = client.clone();
        let asked =
            tokio::spawn(async move { asking.run(&request("job", "while :; do sleep 0.1; done")).await });
        tokio::time::sleep(std::time::Duration::from_millis(delay_ms)).await;
        node.end(Signal::SIGKILL);
        let promised = asked.await.unwrap().is_ok();
        client = node.restart().await;
        match client.list().await.unwrap().as_slice() {
            [] => {
                assert!(
                    !promised,
                    "{delay_ms} ms: the caller was told of a container that is not there"
                );
                node.assert_gone("job");
            }
            [info] => {
                assert_eq!(info.state, ContainerStatus::Running, "{delay_ms} ms: {info:?}");
                client.stop("job", 0).await.unwrap();
                client.remove("job").await.unwrap();
            }
            more => panic!("{delay_ms} ms: {more:?}"),
        }
    }
    node.assert_gone("job");
}

#[tokio::test]
async fn a_state_of_another_boot_or_process_kills_nobody() {
    if let Some(why) = no_containers() {
        return skip("a_state_of_another_boot_or_process_kills_nobody", why);
    }
    let mut node = Node::prepare();
    let mut bystander = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let pid = bystander.id() as i32;
    let here = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap()
        .trim()
        .to_owned();
    for (id, boot_id, starttime) in [("rebooted", "00000000-dead", 5), ("reused", here.as_str(), 5)] {
        let state = ShimState {
            version: 1,
            id: id.into(),
            status: ContainerStatus::Running,
            pid,
            pid_starttime: starttime,
            shim_pid: pid,
            shim_starttime: starttime,
            boot_id: boot_id.into(),
            bundle: String::new(),
            cgroup: String::new(),
            cgroup2: None,
            created_at_ms: 1,
            started_at_ms: 1,
            warnings: Vec::new(),
        };
        fs::create_dir_all(node.live(id)).unwrap();
        fs::write(
            node.live(id).join("state.json"),
            serde_json::to_vec(&state).unwrap(),
        )
        .unwrap();
    }
    fs::create_dir_all(node.live("unfinished").join("bundle")).unwrap();
    let client = node.restart().await;
    for id in ["rebooted", "reused"] {
        let info = wait_over(&client, id).await;
        assert_eq!(info.state, ContainerStatus::Lost, "{info:?}");
        node.assert_gone(id);
    }
    node.assert_gone("unfinished");
    assert!(bystander.try_wait().unwrap().is_none(), "a bystander was killed");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn the_flag_for_local_networks_ends_everything() {
    if let Some(why) = no_containers() {
        return skip("the_flag_for_local_networks_ends_everything", why);
    }
    let mut node = Node::prepare();
    let mut command = node.command();
    command.arg("--stop-containers-on-exit");
    let mut daemon = command.spawn().unwrap();
    let client = node.connect().await;
    client
        .run(&request("job", "while :; do sleep 0.1; done"))
        .await
        .unwrap();
    let pid = wait_for(&client, "job", |info| info.state == ContainerStatus::Running)
        .await
        .pid;
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(!runs(pid));
    node.assert_gone("job");
    assert_eq!(node.groups(""), Vec::<std::path::PathBuf>::new());
}
