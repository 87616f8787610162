//! A node that was away for part of an epoch gets what the formula gives: neither 255 nor 0.

use std::time::Duration;

use nix::sys::signal::Signal;
use r1_cluster_tests::{
    EPOCH, current_epoch, end, epochs, eventually, now_ms, start, status, value, wait_closed,
};
use r1_localnet::Node;

const PATIENCE: Duration = Duration::from_secs(90);
/// Spacing of the heartbeats in these epochs, ms.
const SPACING_MS: u64 = EPOCH.as_millis() as u64 / 30;

/// Waits until the running epoch is a quarter through.
fn wait_for_a_quarter(node: &Node) -> u64 {
    let first = current_epoch(node).expect("an epoch");
    eventually("a new epoch, a quarter through", PATIENCE, || {
        let status = status(node);
        let epoch = status["epoch"]["id"].as_u64().filter(|epoch| *epoch > first)?;
        let started = status["epoch"]["started_at_ms"].as_u64()?;
        let gone = now_ms().checked_sub(started)?;
        (gone >= EPOCH.as_millis() as u64 / 4 && gone < EPOCH.as_millis() as u64 / 2).then_some(epoch)
    })
}

/// The values that an absence of this length leaves, whatever the phase of the heartbeats around it.
fn expected(away_ms: u64) -> std::ops::RangeInclusive<u64> {
    let length = EPOCH.as_millis() as u64;
    let of = |proven_ms: u64| proven_ms * 255 / length;
    // Up to two spacings are lost at its edges, and a restart takes its time.
    of(length.saturating_sub(away_ms + 5 * SPACING_MS))..=of(length.saturating_sub(away_ms) + SPACING_MS) + 1
}

#[test]
fn a_stopped_worker_gets_the_part_it_was_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 1, 1);
    let epoch = wait_for_a_quarter(&network.nodes[0]);
    let worker = &mut network.nodes[1];
    let begun = now_ms();
    worker.r1d.signal(Signal::SIGSTOP);
    eventually("a third of an epoch", EPOCH, || {
        (now_ms() - begun > EPOCH.as_millis() as u64 / 3).then_some(())
    });
    worker.r1d.signal(Signal::SIGCONT);
    let away = now_ms() - begun;

    let address = worker.layout.address.clone();
    let oracle = &network.nodes[0];
    wait_closed(oracle, epoch, PATIENCE);
    let agreed = value(&epochs(oracle), epoch, &address);
    assert!(
        expected(away).contains(&agreed),
        "away {away} ms of {EPOCH:?}: {agreed}, not in {:?}",
        expected(away)
    );
    assert!(agreed > 0 && agreed < 255);

    let why = oracle
        .get(&format!("/v1/why/node/{address}?epoch={epoch}"))
        .expect("an answer");
    assert_eq!(why["value"].as_u64(), Some(agreed));
    let gaps = why["gaps"].as_array().expect("a list");
    let longest = gaps
        .iter()
        .filter_map(|gap| Some(gap["to_ms"].as_u64()? - gap["from_ms"].as_u64()?))
        .max();
    assert!(
        longest.is_some_and(|ms| ms.abs_diff(away) <= 3 * SPACING_MS),
        "away {away} ms, explained by {why}"
    );
    end(network);
}
