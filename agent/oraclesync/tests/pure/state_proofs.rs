//! Proofs of state: a block, its certificate and something that leads to its root.

use r1_core::Genesis;
use r1_oraclesync::{
    CertificateError, DecodeError, Domain, StateProof, StateProofError, Tip, ValidatorSet, keccak,
};
use serde::{Deserialize, Serialize};

use crate::samples::{block, certificate, decide, domain, genesis, oracles};

/// Stands for a way to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Way {
    record: String,
}

fn sample() -> StateProof<Way> {
    let decided = decide(&block(&Tip::genesis(domain().network())));
    StateProof {
        block: decided.payload,
        certificate: decided.certificate,
        proof: Way {
            record: "one".to_owned(),
        },
    }
}

fn refusal(proof: &StateProof<Way>, genesis: &Genesis) -> StateProofError {
    let set = ValidatorSet::from_genesis(genesis).unwrap();
    proof.verify(&Domain::of(genesis), &set).unwrap_err()
}

#[test]
fn a_decided_block_gives_its_state_root() {
    let set = ValidatorSet::from_genesis(&genesis()).unwrap();
    let block = sample().verify(&domain(), &set).unwrap();
    assert_eq!((block.height, block.state_root), (1, [5; 32]));
}

#[test]
fn every_fault_has_its_own_name() {
    let mut tampered = sample();
    // The state root is the last field.
    *tampered.block.last_mut().unwrap() ^= 1;
    assert_eq!(
        refusal(&tampered, &genesis()),
        StateProofError::OtherBlock { height: 1 }
    );

    let mut few = sample();
    few.certificate = certificate(&oracles()[..2], 1, 0, keccak(&few.block));
    assert!(matches!(
        refusal(&few, &genesis()),
        StateProofError::Certificate(CertificateError::TooFew {
            signed: 2,
            oracles: 4,
            ..
        })
    ));

    let mut other = genesis();
    other.chain_id += 1;
    assert_eq!(refusal(&sample(), &other), StateProofError::Network { height: 1 });

    let mut high = sample();
    high.certificate = certificate(&oracles(), 2, 0, keccak(&high.block));
    let (height, certified) = (1, 2);
    assert_eq!(
        refusal(&high, &genesis()),
        StateProofError::Height { height, certified }
    );

    let mut no_block = sample();
    no_block.block = vec![9; 9];
    no_block.certificate = certificate(&oracles(), 1, 0, keccak(&no_block.block));
    assert!(matches!(
        refusal(&no_block, &genesis()),
        StateProofError::Decode(DecodeError::Version { .. })
    ));
}

#[test]
fn as_json_the_bytes_are_hex_beside_the_fields_of_the_proof() {
    let json = serde_json::to_value(sample()).unwrap();
    assert!(json["block"].as_str().unwrap().starts_with("0x02"));
    assert!(json["certificate"].as_str().unwrap().starts_with("0x02"));
    assert_eq!(json["record"], "one");
    assert_eq!(
        serde_json::from_value::<StateProof<Way>>(json.clone()).unwrap(),
        sample()
    );
    let mut cut = json;
    cut["certificate"] = "0x0201".into();
    let error = serde_json::from_value::<StateProof<Way>>(cut).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
