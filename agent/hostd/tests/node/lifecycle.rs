//! A container's ordinary life.

use std::time::Duration;

use r1_core::ContainerStatus;
use r1_host_api::{HostError, HostEvent, LogStream, UsageSource};
use tokio::time::timeout;

use crate::harness::{Node, PATIENCE, no_containers, request, skip, wait_over};

#[tokio::test]
async fn a_container_runs_exits_and_leaves_its_record_and_log_only() {
    if let Some(why) = no_containers() {
        return skip("a_container_runs_exits_and_leaves_its_record_and_log_only", why);
    }
    let (node, client) = Node::start().await;
    let mut events = client.events();
    let mut wanted = request("", "echo out $GREETING; echo err >&2; exit 7");
    wanted.env.insert("GREETING".into(), "hello".into());
    let id = client.run(&wanted).await.unwrap();
    let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    let HostEvent::Exited(info) = event else {
        panic!("{event:?}")
    };
    assert_eq!(
        (info.id.as_str(), info.exit_code, info.signal),
        (id.as_str(), Some(7), None)
    );
    assert_eq!(info.state, ContainerStatus::Stopped);
    assert!(
        info.started_at_ms >= info.created_at_ms && info.finished_at_ms >= Some(info.started_at_ms),
        "{info:?}"
    );
    assert!(info.cpu_ns > 0 && info.memory_peak_bytes > 0, "{info:?}");
    node.assert_gone(&id);
    assert_eq!(client.list().await.unwrap(), [info]);
    let mut lines: Vec<_> = client
        .logs(&id, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|line| (line.s, line.m))
        .collect();
    lines.sort_by_key(|(_, text)| text.clone());
    assert_eq!(
        lines,
        [
            (LogStream::Stderr, "err".into()),
            (LogStream::Stdout, "out hello".into())
        ]
    );
    client.remove(&id).await.unwrap();
    assert!(matches!(
        client.logs(&id, 10).await,
        Err(HostError::NotFound { .. })
    ));
    assert_eq!(client.list().await.unwrap(), []);
}

#[tokio::test]
async fn stop_asks_first_and_kills_what_does_not_listen() {
    if let Some(why) = no_containers() {
        return skip("stop_asks_first_and_kills_what_does_not_listen", why);
    }
    let (node, client) = Node::start().await;
    client
        .run(&request(
            "kind",
            "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done",
        ))
        .await
        .unwrap();
    client
        .run(&request(
            "deaf",
            "trap '' TERM; echo up; while :; do sleep 0.1; done",
        ))
        .await
        .unwrap();
    for id in ["kind", "deaf"] {
        wait_for_line(&client, id, "up").await;
    }
    let measured = client.measurements().await.unwrap();
    let usage = measured.usage;
    let metered = measured.hooks["sched_switch"].attached;
    assert_eq!(usage["kind"].source == UsageSource::Bpf, metered, "{usage:?}");
    assert!(usage["kind"].cpu_ns > 0, "{usage:?}");
    assert!(
        usage["kind"].pids > 0 && usage["kind"].memory_bytes > 0,
        "{usage:?}"
    );
    assert!(matches!(
        client.remove("kind").await,
        Err(HostError::Conflict { .. })
    ));
    assert!(matches!(
        client.run(&request("kind", "true")).await,
        Err(HostError::Conflict { .. })
    ));
    client.stop("kind", 20_000).await.unwrap();
    client.stop("deaf", 200).await.unwrap();
    let kind = wait_over(&client, "kind").await;
    let deaf = wait_over(&client, "deaf").await;
    assert_eq!((kind.exit_code, kind.signal), (Some(3), None));
    assert_eq!((deaf.exit_code, deaf.signal), (Some(137), Some(9)));
    client.stop("deaf", 0).await.unwrap();
    assert!(matches!(
        client.stop("nobody", 0).await,
        Err(HostError::NotFound { .. })
    ));
    node.assert_gone("kind");
    node.assert_gone("deaf");
}

#[tokio::test]
async fn too_much_memory_is_reported_as_such() {
    if let Some(why) = no_containers() {
        return skip("too_much_memory_is_reported_as_such", why);
    }
    let (node, client) = Node::start().await;
    let mut wanted = request("big", "x=a; while :; do x=$x$x; done");
    wanted.memory_bytes = 16 << 20;
    client.run(&wanted).await.unwrap();
    let info = wait_over(&client, "big").await;
    assert!(info.oom_killed, "{info:?}");
    assert_eq!(info.exit_code, Some(137), "{info:?}");
    node.assert_gone("big");
}

#[tokio::test]
async fn many_short_containers_leave_nothing_behind() {
    if let Some(why) = no_containers() {
        return skip("many_short_containers_leave_nothing_behind", why);
    }
    let (node, client) = Node::start().await;
    // Eight at a time; R1_CHURN=1000 makes an endurance test of it.
    let total: u32 = std::env::var("R1_CHURN")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(16);
    let next = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, next) = (client.clone(), std::sync::Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= total {
                    return;
                }
                let (id, code) = (format!("short-{number}"), number as i32 % 100);
                client.run(&request(&id, &format!("exit {code}"))).await.unwrap();
                let info = wait_over(&client, &id).await;
                assert_eq!(info.exit_code, Some(code), "{info:?}");
                client.remove(&id).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    (0..total).for_each(|number| node.assert_gone(&format!("short-{number}")));
    let text = client.metrics().await.unwrap();
    assert!(
        text.contains(&format!("r1_container_events_total{{event=\"exited\"}} {total}")),
        "{text}"
    );
    assert_eq!(client.list().await.unwrap(), []);
}

#[tokio::test]
async fn facts_and_measurements_describe_this_machine() {
    let (node, client) = Node::start().await;
    let facts = client.facts().await.unwrap();
    assert!(
        facts.cpu.cores > 0 && facts.memory.total_bytes > 0 && facts.disk.total_bytes > 0,
        "{facts:?}"
    );
    assert_eq!(facts.images, ["busybox"]);
    assert_eq!(facts.gpus.is_empty(), facts.no_gpu_reason.is_some());
    assert!(
        facts.degraded.iter().all(|what| !what.why.is_empty()),
        "{facts:?}"
    );
    let first = client.measurements().await.unwrap().evidence;
    assert_eq!(first.boot_id, facts.boot_id);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = client.measurements().await.unwrap().evidence;
    assert!(second.boottime_ns > first.boottime_ns && second.monotonic_ns > first.monotonic_ns);
    assert_eq!(client.version().await.unwrap(), env!("CARGO_PKG_VERSION"));
    let text = client.metrics().await.unwrap();
    for name in [
        "r1_heartbeat_ticks_total ",
        "r1_ebpf_hook{",
        "r1_containers{",
        "r1_hostd_process_resident_memory_bytes ",
    ] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    drop(node);
    check_with_promtool(&text);
}

/// Prometheus' own opinion of the text, where its tool is installed.
fn check_with_promtool(text: &str) {
    use std::{io::Write as _, process::Stdio};
    let mut command = std::process::Command::new("promtool");
    let Ok(mut tool) = command.args(["check", "metrics"]).stdin(Stdio::piped()).spawn() else {
        return skip(
            "facts_and_measurements_describe_this_machine",
            "needs promtool for its last step",
        );
    };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(tool.wait().unwrap().success(), "{text}");
}

#[tokio::test]
async fn systemd_is_told_when_the_socket_answers() {
    let node = Node::prepare();
    let path = node.run().join("notify");
    std::fs::create_dir_all(node.run()).unwrap();
    let told = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut daemon = node.command().env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let mut text = [0; 64];
    let length = told.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"READY=1");
    assert!(node.socket().exists());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

async fn wait_for_line(client: &r1_host_api::HostClient, id: &str, text: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !client
        .logs(id, 100)
        .await
        .unwrap()
        .iter()
        .any(|line| line.m == text)
    {
        assert!(std::time::Instant::now() < deadline, "{id} never wrote {text:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
