//! Against `eth_account` from PyPI: random messages of every layout give the same hash and the same signature there, it
//! recovers our signer, and we accept its signatures. It is installed beside the Ratio1 package, which needs it
//! (`tests/peers/ratio1.sh`).
#![expect(clippy::unwrap_used, reason = "test")]

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use r1_core::{EthAddress, U256};
use r1_economy::{
    controller::Controller,
    message::{self, Packed},
    sign_digest,
};
use r1_identity::NodeKey;
use serde_json::{Value, json};

/// Messages of each layout.
const CASES: usize = 60;

fn python() -> Option<PathBuf> {
    let installed = || {
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
        Some(cache.join("r1-agent/ratio1-3.5.60/bin/python"))
    };
    env::var_os("R1_RATIO1_PYTHON")
        .map(PathBuf::from)
        .or_else(installed)
        .filter(|python| python.exists())
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// What random messages are made of.
#[derive(Debug, Clone)]
struct Parts {
    secret: [u8; 32],
    wallet: [u8; 20],
    nodes: Vec<[u8; 20]>,
    first: u64,
    values: Vec<u8>,
    invoice: [u8; 32],
    limit: u64,
    vat: u16,
}

fn parts() -> impl Strategy<Value = Parts> {
    let secret = any::<[u8; 32]>().prop_filter("a key", |secret| NodeKey::from_secret_bytes(secret).is_ok());
    let nodes = prop::collection::vec(any::<[u8; 20]>(), 1..6);
    let values = prop::collection::vec(any::<u8>(), 1..40);
    let wallet = any::<[u8; 20]>();
    let sale = (any::<[u8; 32]>(), any::<u64>(), any::<u16>());
    (secret, wallet, nodes, any::<u32>(), values, sale).prop_map(
        |(secret, wallet, nodes, first, values, (invoice, limit, vat))| Parts {
            secret,
            wallet,
            nodes,
            first: first.into(),
            values,
            invoice,
            limit,
            vat,
        },
    )
}

impl Parts {
    fn epochs(&self) -> Vec<u64> {
        (self.first..).take(self.values.len()).collect()
    }

    fn ours(&self, layout: &str) -> Packed {
        let (wallet, node) = (EthAddress::new(self.wallet), EthAddress::new(self.nodes[0]));
        let epochs: Vec<U256> = self.epochs().into_iter().map(U256::from).collect();
        match layout {
            "claim_v1" => message::claim_v1(&node, &epochs, &self.values),
            "claim_v2" => message::claim_v2(&node, epochs[0], epochs[epochs.len() - 1], &self.values),
            "link" => message::link(&wallet, &node),
            "link_multi" => {
                let nodes: Vec<_> = self.nodes.iter().copied().map(EthAddress::new).collect();
                message::link_multi(&wallet, &nodes)
            }
            _ => message::buy(
                &wallet,
                &self.invoice,
                U256::from(self.limit),
                U256::from(self.vat),
            ),
        }
    }

    fn fields(&self) -> Value {
        json!({
            "wallet": hex0x(&self.wallet),
            "node": hex0x(&self.nodes[0]),
            "nodes": self.nodes.iter().map(|node| hex0x(node)).collect::<Vec<_>>(),
            "epochs": self.epochs(),
            "values": self.values,
            "invoice": hex0x(&self.invoice),
            "limit": self.limit,
            "vat": self.vat,
        })
    }
}

fn ask(python: &Path, cases: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eth_account_peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(cases).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "eth_account failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn hashes_and_signatures_are_those_of_eth_account() {
    let Some(python) = python() else {
        assert!(
            env::var_os("R1_REQUIRE_ALL").is_none(),
            "eth_account is not installed"
        );
        eprintln!(
            "SKIP hashes_and_signatures_are_those_of_eth_account: no Python with ratio1 3.5.60 (tests/peers/ratio1.sh installs it)"
        );
        return;
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut cases, mut expected) = (Vec::new(), Vec::new());
    for layout in ["claim_v1", "claim_v2", "link", "link_multi", "buy"] {
        for _ in 0..CASES {
            let parts = parts().new_tree(&mut runner).unwrap().current();
            let hash = parts.ours(layout).hash();
            let signature = sign_digest(&parts.secret, &hash).unwrap();
            cases.push(json!({
                "layout": layout,
                "fields": parts.fields(),
                "secret": hex0x(&parts.secret),
                "signature": hex0x(&signature),
            }));
            let address = NodeKey::from_secret_bytes(&parts.secret).unwrap().eth_address();
            expected.push((hash, signature, address));
        }
    }
    let answers = ask(&python, &cases);
    assert_eq!(answers.len(), expected.len());
    for ((answer, (hash, signature, address)), case) in answers.iter().zip(expected).zip(&cases) {
        let ours = json!({
            "digest": hex0x(&hash),
            "address": address.to_string(),
            "signature": hex0x(&signature),
            "recovered": address.to_string(),
        });
        assert_eq!(*answer, ours, "{case}");
        let mut controller = Controller::new(1);
        controller.add(address, 0).unwrap();
        let theirs = hex::decode(&answer["signature"].as_str().unwrap()[2..]).unwrap();
        assert_eq!(controller.verify(&hash, &[theirs], true), Ok(address));
    }
}
