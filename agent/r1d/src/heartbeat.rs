//! The node's own heartbeat: one per slot, chained to the one before.

use std::{sync::Arc, time::Duration};

use r1_identity::envelope;
use r1_net::NetError;
use r1_poa::{Beat, BeatBody};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::{clock::now_ms, gossip::HEARTBEAT, node::Node};

/// Longest sleep: the wall clock may be set meanwhile.
const MAX_SLEEP_MS: u64 = 5_000;

/// Signs and publishes heartbeats, for ever.
pub async fn run(node: Arc<Node>) {
    let schedule = node.schedule;
    let mut last = node.recorder().last(&node.address()).map(|last| last.seq);
    loop {
        // Up to half a spacing after its instant a slot can still be signed.
        let due = schedule.next_at(now_ms().saturating_sub(schedule.spacing_ms() / 2));
        let seq = match last {
            // After a step back of the clock the slots come round again; they were signed before.
            Some(last) if last >= due => last + 1,
            _ => due,
        };
        let wait_ms = schedule.stamp_ms(seq).saturating_sub(now_ms());
        if wait_ms > 0 {
            sleep(Duration::from_millis(wait_ms.min(MAX_SLEEP_MS))).await;
            continue;
        }
        last = Some(seq);
        if schedule.may_sign(seq, now_ms()) {
            beat(&node, seq).await;
        } else {
            node.figures.poa_skipped.inc();
            tracing::warn!(seq, "a heartbeat was not signed: the timer came too late");
        }
    }
}

async fn beat(node: &Node, seq: u64) {
    let limit = Duration::from_millis((node.schedule.spacing_ms() / 4).clamp(20, 1_000));
    let evidence = node.host.evidence(limit).await;
    let body = BeatBody {
        network: &node.genesis.network,
        seq,
        prev: node.recorder().last(&node.address()).map(|last| last.hash),
        alias: &node.config.alias,
        version: concat!("r1-agent ", env!("CARGO_PKG_VERSION")),
        uptime_s: now_ms().saturating_sub(node.started_ms) / 1000,
        evidence: &evidence,
        machine: machine(node),
    };
    let mut fields = body.fields(&node.schedule);
    if let Err(error) = envelope::sign(&node.key, &mut fields) {
        tracing::error!(seq, %error, "own heartbeat cannot be signed");
        return;
    }
    node.figures.poa_signed.inc();
    record(node, seq, &fields);
    let Ok(bytes) = serde_json::to_vec(&fields) else {
        return;
    };
    match node.net.publish(HEARTBEAT, bytes).await {
        // A single node of a network has nobody to tell.
        Ok(()) | Err(NetError::NoPeers { .. }) => {}
        Err(error) => tracing::warn!(seq, %error, "heartbeat was not published"),
    }
}

/// A node is its own first witness.
fn record(node: &Node, seq: u64, fields: &Map<String, Value>) {
    let recorded =
        Beat::read(node.address(), fields).and_then(|beat| node.recorder().handle(now_ms(), &beat));
    match recorded {
        Ok(records) => {
            node.figures.poa_accepted.inc();
            node.persistence.add(&records);
        }
        Err(refusal) => {
            tracing::debug!(seq, %refusal, "own heartbeat is not recorded");
        }
    }
}

/// What the machine has, in upstream's units (GB).
fn machine(node: &Node) -> Map<String, Value> {
    let mut fields = Map::new();
    let Some(facts) = node.host.facts() else {
        return fields;
    };
    let gb = |bytes: u64| json!((bytes as f64 / 1e7).round() / 100.0);
    fields.insert("CPU".into(), json!(facts.cpu.model));
    fields.insert("CPU_NR_CORES".into(), json!(facts.cpu.cores));
    fields.insert("MACHINE_MEMORY".into(), gb(facts.memory.total_bytes));
    fields.insert("AVAILABLE_MEMORY".into(), gb(facts.memory.available_bytes));
    fields.insert("TOTAL_DISK".into(), gb(facts.disk.total_bytes));
    fields.insert("AVAILABLE_DISK".into(), gb(facts.disk.free_bytes));
    fields
}
