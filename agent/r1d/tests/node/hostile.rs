//! Heartbeats that do not count, sent through a real peer: each is refused, counted by its reason, and hurts nobody.

use std::sync::Arc;

use r1_identity::envelope;
use r1_net::{NetError, with_peer};
use r1_poa::{BeatBody, Evidence};
use r1d::{gossip, node::Node};
use serde_json::{Map, Value};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_heartbeats_are_refused_and_counted() {
    // In the middle of an epoch, so that slots have both a past and a future.
    let solo = Solo::since(now_ms() - 300_000, 600_000);
    let running = solo.start().await;
    let node = &running.node;

    // The stranger owns a licence, so its heartbeats count.
    let recorded = || {
        node.recorder()
            .slots(&solo.stranger.address(), 0)
            .map_or(0, |slots| slots.count())
    };
    let good = beat(node, &solo.stranger, 0);
    send(node, serde_json::to_vec(&good).unwrap()).await.unwrap();
    until("a sound heartbeat", || recorded() == 1).await;
    let spaced = serde_json::to_vec_pretty(&good).unwrap();
    expect(node, "replayed", spaced).await;

    let unknown = beat(node, &NodeKey::generate(&mut rand::rngs::OsRng), 0);
    expect(node, "unknown_sender", serde_json::to_vec(&unknown).unwrap()).await;

    let mut forged = beat(node, &solo.stranger, 1);
    forged.insert("UPTIME".into(), 999.into());
    expect(node, "forged", serde_json::to_vec(&forged).unwrap()).await;

    let mut impostor = beat(node, &solo.stranger, 1);
    impostor.insert("EE_SENDER".into(), node.address().to_string().into());
    expect(node, "forged", serde_json::to_vec(&impostor).unwrap()).await;

    let late = beat(node, &solo.stranger, -5);
    expect(node, "late", serde_json::to_vec(&late).unwrap()).await;
    let early = beat(node, &solo.stranger, 5);
    expect(node, "early", serde_json::to_vec(&early).unwrap()).await;

    expect(node, "malformed", b"\xff\x00garbage".to_vec()).await;
    expect(node, "oversized", vec![b' '; r1_poa::MAX_BEAT_BYTES + 1]).await;
    let error = send(node, vec![b' '; (64 << 10) + 1]).await.unwrap_err();
    assert!(matches!(error, NetError::MessageTooLarge { .. }), "{error}");
    assert_eq!(recorded(), 1, "only the sound one counts");
    let (code, _) = get(&node.config.control_socket(), "/v1/status").await;
    assert_eq!(code, 200);
    running.stop().await;
}

/// A signed heartbeat for the slot that is due now, or one so many slots later.
fn beat(node: &Node, key: &NodeKey, later: i64) -> Map<String, Value> {
    let due = node
        .schedule
        .next_at(now_ms().saturating_sub(node.schedule.spacing_ms() / 2));
    let seq = due.checked_add_signed(later).unwrap();
    let evidence = Evidence::default();
    let body = BeatBody {
        network: &node.genesis.network,
        seq,
        prev: None,
        alias: "stranger",
        version: "test",
        uptime_s: 0,
        evidence: &evidence,
        machine: Map::new(),
    };
    let mut fields = body.fields(&node.schedule);
    envelope::sign(key, &mut fields).unwrap();
    fields
}

fn count(node: &Node, series: &str) -> u64 {
    let page = node.metrics.encode().unwrap();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series))
        .unwrap_or("0");
    line.trim().parse().unwrap()
}

/// Sends bytes and waits until they are refused for a reason.
async fn expect(node: &Arc<Node>, reason: &str, bytes: Vec<u8>) {
    let series = format!("r1_poa_refused_total{{reason=\"{reason}\"}}");
    let before = count(node, &series);
    send(node, bytes).await.unwrap();
    until(reason, || count(node, &series) == before + 1).await;
}

/// Publishes bytes as heartbeats through a peer of their own, whose score nobody has spoilt yet.
async fn send(node: &Arc<Node>, bytes: Vec<u8>) -> Result<(), NetError> {
    let key = NodeKey::generate(&mut rand::rngs::OsRng);
    let mut config = r1_net::Config::new(node.genesis.network.clone(), key.secret_bytes());
    config.topics = gossip::topics();
    let listening = node.net.wait(|state| !state.listen.is_empty()).await?;
    config.bootstrap = vec![with_peer(&listening.listen[0], &node.address())];
    let (peer, mut events) = r1_net::spawn(config, r1_net::Metrics::default())?;
    let drain = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let start = Instant::now();
    let result = loop {
        match peer.publish(gossip::HEARTBEAT, bytes.clone()).await {
            Err(NetError::NoPeers { .. }) if start.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(50)).await
            }
            result => break result,
        }
    };
    if result.is_ok() {
        // Published means queued: give the connection the time to carry it.
        sleep(Duration::from_millis(500)).await;
    }
    peer.shutdown().await;
    drain.abort();
    result
}
