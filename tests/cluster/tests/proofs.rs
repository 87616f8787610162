//! What a node proves is checked by another program that has the genesis and nothing else: real processes throughout.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use r1_cluster_tests::{epochs, programs, start, value, wait_closed};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);

fn r1ctl(socket: &Path, arguments: &[&str]) -> Output {
    Command::new(programs().join("r1ctl"))
        .arg("--socket")
        .arg(socket)
        .args(arguments)
        .output()
        .expect("r1ctl starts")
}

/// Standard output of a run that succeeds.
fn said(socket: &Path, arguments: &[&str]) -> String {
    let output = r1ctl(socket, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// The one line of a run that fails.
fn refused(socket: &Path, arguments: &[&str]) -> String {
    let output = r1ctl(socket, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_worker_proves_and_anybody_checks_without_a_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 1, 1);
    let worker = &network.nodes[1];
    wait_closed(worker, 1, PATIENCE);
    let (socket, address) = (worker.layout.run.join("r1d.sock"), worker.layout.address.clone());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (account, licence, availability) = (file("account"), file("licence"), file("availability"));
    said(&socket, &["prove", "account", "--out", &account]);
    let out = said(&socket, &["prove", "licence", "1", "--out", &licence]);
    assert!(out.contains("proof of licence ND 1 at height "), "{out}");
    said(&socket, &["prove", "availability", "1", "--out", &availability]);
    let agreed = value(&epochs(worker), 1, &address);
    let nobody = refused(&socket, &["prove", "licence", "nd-999"]);
    assert!(
        nobody.contains("licence ND 999: the ledger has no such record"),
        "{nobody}"
    );
    network.end();

    // From here on no node runs.
    let (none, genesis) = (dir.path().join("none.sock"), file("genesis.json"));
    let verify = |proof: &str| said(&none, &["verify", proof, "--genesis", &genesis]);
    let words = verify(&account);
    assert!(
        words.starts_with("account 0x") && words.contains(" R1 and 1000 USDC\n"),
        "{words}"
    );
    assert!(words.contains(", decided by 1 of 1 oracles at 20"), "{words}");
    assert!(verify(&licence).starts_with("licence ND 1 belongs to 0x"));
    let words = verify(&availability);
    let expected = format!("node {address} was available {agreed} of 255 in epoch 1\n");
    assert!(words.starts_with(&expected), "{words} is not {expected}");
    let json = said(&none, &["--json", "verify", &availability, "--genesis", &genesis]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["fact"]["value"], &json["fact"]["kind"]),
        (&agreed.into(), &"availability".into())
    );

    // A lie about the value, and another network's genesis.
    let mut lie: Value =
        serde_json::from_slice(&std::fs::read(&availability).expect("a file")).expect("JSON");
    lie["availability"]["value"] = (255 - agreed).into();
    std::fs::write(file("lie"), lie.to_string()).expect("written");
    let line = refused(&none, &["verify", &file("lie"), "--genesis", &genesis]);
    assert!(
        line.ends_with("the value does not lead to the root in the epoch's record\n")
            && line.lines().count() == 1,
        "{line}"
    );
    let mut other: Value = serde_json::from_slice(&std::fs::read(&genesis).expect("a file")).expect("JSON");
    other["chain_id"] = 1.into();
    std::fs::write(file("other.json"), other.to_string()).expect("written");
    let line = refused(&none, &["verify", &account, "--genesis", &file("other.json")]);
    assert!(line.ends_with("belongs to another network\n"), "{line}");
}
