//! Real engines on loopback, several in one process: what they decide, when they stay silent, and how they come
//! back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod network;

use std::time::Duration;

use network::{Network, settle};
use r1_oraclesync::{Domain, ValidatorSet};

/// How long a decision may take on a loaded machine before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long silence is observed.
const SILENCE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_oracle_decides_when_there_is_work_and_is_silent_otherwise() {
    let Some(mut network) = Network::new("solo", 1) else {
        return;
    };
    network.start(0).await;
    settle(SILENCE).await;
    assert_eq!(network.tip(0), 0, "nothing to decide");
    assert_eq!(network.rounds(0), 0, "no round without work");
    network.goal(2);
    network.reach(2, PATIENCE).await;
    settle(SILENCE).await;
    assert_eq!(network.tip(0), 2, "no empty height");
    assert_eq!(network.rounds(0), 2, "a round for each height");
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_oracles_decide_the_same_and_then_are_silent() {
    let Some(mut network) = Network::new("four", 4) else {
        return;
    };
    network.start_all().await;
    settle(SILENCE).await;
    assert!(
        (0..4).all(|node| network.rounds(node) == 0),
        "no round without work"
    );
    network.goal(3);
    network.reach(3, PATIENCE).await;
    assert!(
        (0..4).any(|node| network.decided(node).decide_ms.is_some()),
        "nobody measured the decision"
    );
    settle(SILENCE).await;
    assert!((0..4).all(|node| network.tip(node) == 3), "no empty height");
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_known_to_one_proposer_is_enough() {
    let Some(mut network) = Network::new("hint", 4) else {
        return;
    };
    network.start_all().await;
    network.goal(1);
    network.reach(1, PATIENCE).await;
    let proposer = network.proposer(2);
    network.goal_of(proposer, 2);
    network.reach(2, PATIENCE).await;
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_go_on_without_the_fourth_which_catches_up() {
    let Some(mut network) = Network::new("late", 4) else {
        return;
    };
    for node in 0..3 {
        network.start(node).await;
    }
    network.goal(2);
    network.reach_by(&[0, 1, 2], 2, PATIENCE).await;
    network.start(3).await;
    network.reach(2, PATIENCE).await;
    network.stop(1).await;
    network.goal(4);
    network.reach_by(&[0, 2, 3], 4, PATIENCE).await;
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_four_decide_nothing_until_a_third_returns() {
    let Some(mut network) = Network::new("half", 4) else {
        return;
    };
    network.start_all().await;
    network.goal(1);
    network.reach(1, PATIENCE).await;
    network.stop(2).await;
    network.stop(3).await;
    network.goal(2);
    settle(Duration::from_secs(3)).await;
    assert!(
        network.tip(0) == 1 && network.tip(1) == 1,
        "two of four are no quorum"
    );
    network.start(3).await;
    network.reach_by(&[0, 1, 3], 2, PATIENCE).await;
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_oracle_continues_from_its_store() {
    let Some(mut network) = Network::new("again", 1) else {
        return;
    };
    network.start(0).await;
    network.goal(1);
    network.reach(1, PATIENCE).await;
    network.stop(0).await;
    network.start(0).await;
    assert_eq!(network.tip(0), 1, "the store is kept");
    assert_eq!(network.applied(0), vec![1], "what was decided is applied again");
    network.goal(3);
    network.reach(3, PATIENCE).await;
    assert_eq!(network.applied(0), vec![1, 2, 3]);
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_restart_while_idle_and_go_on() {
    let Some(mut network) = Network::new("reboot", 4) else {
        return;
    };
    network.start_all().await;
    network.goal(1);
    network.reach(1, PATIENCE).await;
    for node in 0..4 {
        network.stop(node).await;
    }
    network.start_all().await;
    settle(SILENCE).await;
    assert!((0..4).all(|node| network.tip(node) == 1));
    assert!(
        (0..4).all(|node| network.rounds(node) == 0),
        "no round without work"
    );
    network.goal(2);
    network.reach(2, PATIENCE).await;
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oracle_that_signs_twice_is_caught_and_splits_nothing() {
    let Some(mut network) = Network::new("twice", 4) else {
        return;
    };
    let liar = network.proposer(1);
    let others: Vec<_> = (0..4).filter(|node| *node != liar).collect();
    network.start(others[0]).await;
    network.start(liar).await;
    settle(SILENCE).await;
    network.goal(1);
    settle(SILENCE).await;
    // Without its log it does not know what it has signed, and signs something else.
    network.stop(liar).await;
    network.forget(liar);
    network.start(liar).await;
    settle(2 * SILENCE).await;
    network.start(others[1]).await;
    network.start(others[2]).await;
    network.reach(1, PATIENCE).await;
    network.evidence(others[0], PATIENCE).await;
    network.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_told() {
    let Some(mut network) = Network::new("taken", 1) else {
        return;
    };
    let _holder = network.hold_port(0);
    let error = network.failure(0, PATIENCE).await;
    assert!(
        error.contains("consensus address") && error.contains("in use"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_by_name() {
    let Some(network) = Network::new("stranger", 1) else {
        return;
    };
    let error = network.start_stranger().await;
    assert!(error.contains("is not an oracle of the genesis"), "{error}");
}

#[test]
fn certificates_of_one_network_mean_nothing_in_another() {
    let Some(network) = Network::new("here", 1) else {
        return;
    };
    let Some(other) = Network::new("there", 1) else {
        return;
    };
    assert_ne!(Domain::of(network.genesis()), Domain::of(other.genesis()));
    assert_eq!(ValidatorSet::from_genesis(network.genesis()).unwrap().len(), 1);
}
