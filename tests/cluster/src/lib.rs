//! What crosses rooms: faults of whole networks of real processes. This is what the tests share.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use r1_localnet::{Network, Node, Plan};
use serde_json::Value;

/// Epochs of the tests: short, and long enough for a busy machine (heartbeats every 400 ms).
pub const EPOCH: Duration = Duration::from_secs(12);
/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Reward of an epoch with availability 255, wei.
const REWARD: u128 = 1_458_508_188_386_985_115;

/// The folder of the programs: `R1_BIN_DIR`, else where this test lies.
///
/// # Panics
/// If r1d is not there.
pub fn programs() -> PathBuf {
    let beside = || Some(env::current_exe().ok()?.parent()?.parent()?.to_owned());
    let folder = env::var_os("R1_BIN_DIR")
        .map(PathBuf::from)
        .or_else(beside)
        .unwrap_or_default();
    assert!(
        folder.join("r1d").exists(),
        "{}: no r1d; build the programs with `cargo build --workspace --bins`, or set R1_BIN_DIR",
        folder.display()
    );
    folder
}

/// What network a test runs.
pub fn plan(dir: &Path, oracles: usize, workers: usize) -> Plan {
    Plan {
        dir: dir.to_owned(),
        bin: programs(),
        oracles,
        workers,
        epoch: EPOCH,
    }
}

/// A running network in a folder.
///
/// # Panics
/// If it does not start.
pub fn start(dir: &Path, oracles: usize, workers: usize) -> Network {
    match Network::start(&plan(dir, oracles, workers), &mut |line| eprintln!("{line}")) {
        Ok(network) => network,
        Err(error) => panic!("{error}"),
    }
}

/// True if this machine can run containers; else the test is skipped by name, or fails under `R1_REQUIRE_ALL=1`.
///
/// # Panics
/// If something is missing and nothing may be skipped.
pub fn can_run_containers(test: &str) -> bool {
    let lacks = r1_localnet::lacks();
    let Some(lack) = lacks.first() else { return true };
    assert!(
        env::var("R1_REQUIRE_ALL").as_deref() != Ok("1"),
        "{test}: {} ({})",
        lack.what,
        lack.remedy
    );
    eprintln!("SKIP {test}: {}", lack.what);
    false
}

/// Waits for a condition.
///
/// # Panics
/// If it does not come true within `patience`: with what was waited for.
pub fn eventually<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {} s in vain: {what}",
            patience.as_secs()
        );
        sleep(POLL);
    }
}

/// A node's status; `Null` while it does not answer.
pub fn status(node: &Node) -> Value {
    node.get("/v1/status").unwrap_or_default()
}

/// The last closed epoch as a node knows it.
pub fn closed(node: &Node) -> Option<u64> {
    status(node)["last_closed_epoch"].as_u64()
}

/// The epoch that runs now.
pub fn current_epoch(node: &Node) -> Option<u64> {
    status(node)["epoch"]["id"].as_u64()
}

/// Waits until a node knows an epoch to be closed.
///
/// # Panics
/// If that takes longer than `patience`.
pub fn wait_closed(node: &Node, epoch: u64, patience: Duration) {
    let what = format!("{} to see epoch {epoch} closed", node.layout.name);
    eventually(&what, patience, || closed(node).filter(|closed| *closed >= epoch));
}

/// What a node knows of each closed epoch, without what is its own (how long the decision took here).
pub fn epochs(node: &Node) -> BTreeMap<u64, Value> {
    let mut answer = node.get("/v1/epochs?limit=1000").unwrap_or_default();
    let list = answer["epochs"]
        .as_array_mut()
        .map(std::mem::take)
        .unwrap_or_default();
    list.into_iter()
        .filter_map(|mut epoch| {
            let record = epoch.as_object_mut()?;
            record.remove("decide_ms");
            record.remove("signers");
            Some((epoch["epoch"].as_u64()?, epoch))
        })
        .collect()
}

/// The agreed value of a node in an epoch.
pub fn value(epochs: &BTreeMap<u64, Value>, epoch: u64, address: &str) -> u64 {
    let record = &epochs[&epoch];
    if record["faulty"] == true {
        255
    } else {
        record["availability"][address].as_u64().unwrap_or(0)
    }
}

/// The credit of an epoch, wei: rounded down.
pub fn credit(value: u64) -> u128 {
    REWARD * u128::from(value) / 255
}

/// Now, ms since 1970-01-01 UTC.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Ends a network and demands that nothing is left of it.
///
/// # Panics
/// If something is left.
pub fn end(mut network: Network) {
    let left = network.end();
    assert!(left.is_empty(), "{left:?}");
}
