//! Oracles that die and return: epochs go on with one of four dead, stop with two, and resume.

use std::time::Duration;

use r1_cluster_tests::{
    EPOCH, closed, credit, current_epoch, end, epochs, eventually, start, status, value, wait_closed,
};
use r1_localnet::{Network, Node};

const PATIENCE: Duration = Duration::from_secs(90);

fn node<'a>(network: &'a mut Network, name: &str) -> &'a mut Node {
    network.node(name).expect("it is in the network")
}

/// Every licence has been credited for exactly the epochs since its link (made in the first or second epoch).
fn assert_paid_to_the_wei(network: &Network) {
    let oracle = &network.nodes[0];
    let (licences, epochs) = eventually("licences and epochs of one height", PATIENCE, || {
        let before = status(oracle)["height"].as_u64();
        let answers = (oracle.get("/v1/licences").ok()?, epochs(oracle));
        (before == status(oracle)["height"].as_u64()).then_some(answers)
    });
    for node in &network.nodes {
        let address = node.layout.address.as_str();
        let licence = licences["licences"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|licence| licence["node"] == address);
        let licence = licence.unwrap_or_else(|| panic!("{} is not linked", node.layout.name));
        let wei = |key: &str| {
            licence[key]
                .as_str()
                .expect("a number")
                .parse::<u128>()
                .expect("a number")
        };
        let credited = wei("claimed_wei") + wei("claimable_wei");
        let since = |first: u64| -> u128 {
            epochs
                .keys()
                .filter(|e| **e >= first)
                .map(|e| credit(value(&epochs, *e, address)))
                .sum()
        };
        assert!(
            (0..=1).any(|first| since(first) == credited),
            "{address}: {credited} wei credited, {} or {} expected from {epochs:?}",
            since(0),
            since(1)
        );
    }
}

/// All nodes that live know the same about every epoch that all of them have closed.
fn assert_same_epochs(network: &Network) {
    let known: Vec<_> = network
        .nodes
        .iter()
        .map(epochs)
        .filter(|epochs| !epochs.is_empty())
        .collect();
    let shared = known
        .iter()
        .filter_map(|epochs| epochs.keys().next_back().copied())
        .min()
        .expect("epochs");
    for other in &known[1..] {
        for epoch in 0..=shared {
            assert_eq!(known[0].get(&epoch), other.get(&epoch), "epoch {epoch}");
        }
    }
}

#[test]
fn one_dead_oracle_stops_nothing_two_stop_everything_and_it_resumes() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 4, 1);

    // Healthy: a full epoch, everybody there, paid to the wei.
    let full = current_epoch(&network.nodes[0]).expect("an epoch") + 1;
    for node in &network.nodes {
        wait_closed(node, full, PATIENCE);
    }
    let agreed = epochs(&network.nodes[0]);
    for node in &network.nodes {
        assert_eq!(
            value(&agreed, full, &node.layout.address),
            255,
            "{} in epoch {full}: {agreed:?}",
            node.layout.name
        );
    }
    assert_same_epochs(&network);
    assert_paid_to_the_wei(&network);

    // One of four dead: epochs go on.
    node(&mut network, "oracle-4").r1d.kill();
    let before = closed(&network.nodes[0]).expect("an epoch");
    wait_closed(&network.nodes[0], before + 2, PATIENCE);
    node(&mut network, "oracle-4").start_r1d().expect("it returns");
    wait_closed(node(&mut network, "oracle-4"), before + 2, PATIENCE);

    // Two of four dead: nothing is decided.
    node(&mut network, "oracle-3").r1d.kill();
    node(&mut network, "oracle-4").r1d.kill();
    let died_in = current_epoch(&network.nodes[0]).expect("an epoch");
    eventually("two epochs to pass", EPOCH * 4, || {
        current_epoch(&network.nodes[0]).filter(|epoch| *epoch >= died_in + 2)
    });
    let stuck = closed(&network.nodes[0]);
    assert!(
        stuck < Some(died_in),
        "epoch {stuck:?} was closed by two of four, who died in {died_in}"
    );
    assert_same_epochs(&network);

    // One returns: it resumes, and nobody knows anything else than before.
    node(&mut network, "oracle-3").start_r1d().expect("it returns");
    wait_closed(&network.nodes[0], died_in + 1, PATIENCE);
    wait_closed(node(&mut network, "oracle-3"), died_in + 1, PATIENCE);
    node(&mut network, "oracle-4").start_r1d().expect("it returns");
    wait_closed(node(&mut network, "oracle-4"), died_in + 1, PATIENCE);
    wait_closed(node(&mut network, "worker-1"), died_in + 1, PATIENCE);
    assert_same_epochs(&network);
    assert_paid_to_the_wei(&network);
    end(network);
}

#[test]
fn a_node_without_state_catches_up_by_verifying() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 1, 1);
    wait_closed(&network.nodes[0], 1, PATIENCE);
    let state = network.nodes[1].layout.state();
    network.nodes[1].r1d.kill();
    std::fs::remove_dir_all(state).expect("its state goes");
    network.nodes[1].start_r1d().expect("it starts anew");
    wait_closed(&network.nodes[1], 1, PATIENCE);
    assert_same_epochs(&network);
    end(network);
}
