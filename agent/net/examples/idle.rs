//! What a network that does nothing costs: `cargo run --release -p r1-net --example idle -- <nodes> <seconds>`.
//!
//! Starts so many nodes in one process, lets them meet and prints memory and CPU time of the process per node.
#![expect(clippy::unwrap_used, reason = "a measurement ends at its first surprise")]

use std::{env, fs, time::Duration};

use r1_net::{Config, Metrics, TopicConfig, spawn, with_peer};

/// One figure of `/proc/self/status`, KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// CPU time of this process, clock ticks (10 ms).
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::main]
async fn main() {
    let mut numbers = env::args().skip(1).map(|text| text.parse::<u8>().unwrap());
    let (count, seconds) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(10));
    println!("before      {:>6} KiB resident", memory("VmRSS"));
    let mut nodes = Vec::new();
    let mut first = None;
    for number in 1..=count {
        let mut config = Config::new("idle", [number; 32].into());
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        config.topics = vec![TopicConfig::new("heartbeat/1", 4096)];
        config.bootstrap = first.iter().cloned().collect();
        let (handle, events) = spawn(config, Metrics::default()).unwrap();
        let state = handle.wait(|state| !state.listen.is_empty()).await.unwrap();
        if first.is_none() {
            let key = libp2p::identity::secp256k1::SecretKey::try_from_bytes([number; 32]).unwrap();
            let public = libp2p::identity::secp256k1::Keypair::from(key)
                .public()
                .to_bytes();
            first = Some(with_peer(
                &state.listen[0],
                &r1_core::NodeAddress::from_compressed(public).unwrap(),
            ));
        }
        nodes.push((handle, events));
    }
    for (handle, _) in &nodes {
        handle
            .wait(|state| state.peers.len() + 1 == usize::from(count))
            .await
            .unwrap();
    }
    println!(
        "connected   {:>6} KiB resident, {} ms CPU",
        memory("VmRSS"),
        ticks() * 10
    );
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
    let used = (ticks() - before) as f64 * 10.0;
    let per_node = used / f64::from(count) / f64::from(seconds);
    println!(
        "idle {seconds:>3} s  {:>6} KiB resident, {per_node:.2} ms CPU per node and second",
        memory("VmRSS")
    );
}
