//! Against what the Ratio1 contracts paid when they were run (Ratio1/ratio1-sc c1bc3c14bf17 in an EVM). The folder
//! with the measurements is named by `R1_VECTORS`, or is a folder `vectors` of a neighbour of the checkout.
#![expect(clippy::unwrap_used, reason = "test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle, NodeAddress, U256, parse_wei};
use r1_economy::{
    Action, BlockContext, LicenceRef, Signature, State, Transaction, link_consent, reward::explain,
    sign_digest,
};
use r1_identity::NodeKey;
use serde_json::Value;

const SECRET: [u8; 32] = [7; 32];
const LICENCE: LicenceRef = LicenceRef::Nd(1);

fn folder() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("R1_VECTORS") {
        return Some(folder.into());
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let neighbours = fs::read_dir(checkout.parent()?).ok()?;
    neighbours
        .filter_map(|entry| Some(entry.ok()?.path().join("vectors")))
        .find(|folder| folder.join("nd_rewards.json").is_file())
}

fn vectors(test: &str, file: &str) -> Option<Value> {
    let Some(folder) = folder() else {
        assert!(
            env::var_os("R1_REQUIRE_ALL").is_none(),
            "{test}: R1_VECTORS names no folder"
        );
        eprintln!("SKIP {test}: R1_VECTORS names no folder with measurements");
        return None;
    };
    Some(serde_json::from_str(&fs::read_to_string(folder.join(file)).unwrap()).unwrap())
}

fn wei(value: &Value) -> U256 {
    parse_wei(value.as_str().unwrap()).unwrap()
}

fn state() -> State {
    let key = NodeKey::from_secret_bytes(&SECRET).unwrap();
    State::genesis(&Genesis {
        network: "vectors".into(),
        chain_id: 1,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: 86_400_000,
        },
        oracle_min_availability: 230,
        oracles: vec![GenesisOracle {
            address: key.address(),
            consensus_addr: String::new(),
            net_addr: String::new(),
        }],
        economy: Default::default(),
        licences: vec![GenesisLicence {
            id: 1,
            owner: key.eth_address(),
        }],
    })
    .unwrap()
}

/// The whole way: link, close every epoch, claim. Returns what was minted.
fn live_through(availabilities: &[u8]) -> U256 {
    let key = NodeKey::from_secret_bytes(&SECRET).unwrap();
    let mut state = state();
    let send = |state: &mut State, epoch, nonce, action| {
        let signed = Transaction {
            chain_id: 1,
            nonce,
            action,
        }
        .sign(&SECRET)
        .unwrap();
        state.apply(
            BlockContext {
                timestamp_ms: epoch * 86_400_000 + 1,
                epoch,
            },
            &signed,
        )
    };
    let node: NodeAddress = key.address();
    let consent = sign_digest(&SECRET, &link_consent(1, &key.eth_address(), LICENCE, &node, 0)).unwrap();
    send(
        &mut state,
        0,
        0,
        Action::Link {
            licence: LICENCE,
            node,
            consent: Signature(consent),
        },
    )
    .unwrap();
    for (epoch, value) in (0..).zip(availabilities) {
        state.close_epoch(epoch, &[(node, *value)].into(), false).unwrap();
    }
    let epoch = availabilities.len() as u64;
    match send(&mut state, epoch, 1, Action::Claim { licence: LICENCE }) {
        Ok(receipt) => receipt.minted(),
        Err(refusal) => {
            assert!(refusal.to_string().contains("nothing to claim"), "{refusal}");
            U256::ZERO
        }
    }
}

#[test]
fn rewards_are_the_contracts_to_the_wei() {
    let Some(vectors) = vectors("rewards_are_the_contracts_to_the_wei", "nd_rewards.json") else {
        return;
    };
    let params = state().params().nd.clone();
    assert_eq!(params.reward_per_epoch, wei(&vectors["maxReleasePerDay"]));
    assert_eq!(params.cap, wei(&vectors["maxMiningPerLicense"]));

    let single = vectors["per_availability_single_epoch"].as_array().unwrap();
    assert_eq!(single.len(), 256);
    for (value, reward) in (0..=255).zip(single) {
        assert_eq!(
            explain(&params, U256::ZERO, [(0, value)]).pays,
            wei(reward),
            "availability {value}"
        );
    }

    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let values: Vec<u8> = case["availabilities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_u64().unwrap() as u8)
            .collect();
        let first = case["lastClaimEpoch"].as_u64().unwrap();
        let claimed = wei(&case["totalClaimedBefore"]);
        let explained = explain(&params, claimed, (first..).zip(values.iter().copied()));
        assert_eq!(explained.pays, wei(&case["rewards"]), "{case}");
        if claimed.is_zero() {
            assert_eq!(live_through(&values), wei(&case["rewards"]), "{case}");
        }
    }
}

#[test]
fn every_row_of_every_file_is_what_the_contracts_did() {
    if vectors(
        "every_row_of_every_file_is_what_the_contracts_did",
        "nd_rewards.json",
    )
    .is_none()
    {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_vectors"))
        .arg(folder().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
}

#[test]
fn a_row_that_is_changed_fails_and_a_folder_without_files_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_vectors"))
            .arg(folder.path())
            .output()
            .unwrap()
    };
    assert_eq!(run().status.code(), Some(2));
    let rows = |price: &str| format!(r#"{{"table": [{{"jobType": 1, "pricePerEpoch_usdc6": "{price}"}}]}}"#);
    for (price, code, end) in [
        ("375000", 0, "1 passed, 0 failed"),
        ("375001", 1, "0 passed, 1 failed"),
    ] {
        fs::write(folder.path().join("poai_job_types.json"), rows(price)).unwrap();
        let output = run();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            (output.status.code(), text.trim_end().lines().last()),
            (Some(code), Some(end)),
            "{text}"
        );
    }
}
