//! Documents of a network of four oracles: each is accepted as it is and refused, by name, once anything in it is changed.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle, NodeAddress};
use r1_economy::{LicenceRef, State};
use r1_oraclesync::{
    Block, Certificate, DecidedBlock, Domain, EpochClose, OracleKey, SignedTable, TableBody, keccak,
};
use r1_proof::{Document, Evidence, Fact, Missing, Subject};

fn key(seed: u8) -> OracleKey {
    OracleKey::from_secret(&[seed; 32]).unwrap()
}

fn oracles() -> Vec<OracleKey> {
    (1..=4).map(key).collect()
}

fn genesis() -> Genesis {
    let oracle = |key: OracleKey| GenesisOracle {
        address: key.node(),
        consensus_addr: String::new(),
        net_addr: String::new(),
    };
    let licence = |id| GenesisLicence {
        id,
        owner: key(9).eth(),
    };
    Genesis {
        network: "sample".to_owned(),
        chain_id: 31_337,
        epoch: EpochClock {
            genesis_ms: 1_000,
            length_ms: 60_000,
        },
        oracle_min_availability: 153,
        oracles: oracles().into_iter().map(oracle).collect(),
        economy: serde_json::from_str(ALLOCATIONS).unwrap(),
        licences: vec![licence(7), licence(8)],
    }
}

/// An account that holds 2.5 R1 from the start.
const ALLOCATIONS: &str = r#"{"allocations":[{"account":"0x00000000000000000000000000000000000000aa","r1":"2500000000000000000","usdc":"0"}]}"#;

fn agreed() -> BTreeMap<NodeAddress, u8> {
    (10..15).map(|seed| (key(seed).node(), 200 + seed)).collect()
}

/// The state after block 1, which closed epoch 0, and the block's certificate by some oracles.
struct Chain {
    state: State,
    block: Block,
}

impl Chain {
    fn new(faulty: bool) -> Self {
        let mut state = State::genesis(&genesis()).unwrap();
        let values = if faulty { BTreeMap::new() } else { agreed() };
        state.close_epoch(0, &values, faulty).unwrap();
        let domain = Domain::of(&genesis());
        let table = SignedTable::sign(&domain, &key(1), 0, TableBody::Values(values));
        let block = Block {
            network: domain.network(),
            height: 1,
            parent: domain.network(),
            timestamp_ms: 61_000,
            epoch_close: Some(EpochClose {
                epoch: 0,
                tables: vec![table],
            }),
            txs: Vec::new(),
            state_root: state.root(),
        };
        Self { state, block }
    }

    fn document(&mut self, subject: Subject) -> Document {
        let evidence = Evidence::of(subject, &mut self.state, Some(&agreed())).unwrap();
        Document::new(
            &genesis(),
            subject,
            decide(&self.block, &oracles()[..3]),
            evidence,
        )
    }
}

fn decide(block: &Block, signers: &[OracleKey]) -> DecidedBlock {
    let payload = block.encode().unwrap();
    let value_id = keccak(&payload);
    let digest = Domain::of(&genesis()).precommit(block.height, 0, &value_id);
    let signatures = signers.iter().map(|key| (key.eth(), key.sign(&digest))).collect();
    DecidedBlock {
        payload,
        certificate: Certificate {
            height: block.height,
            round: 0,
            value_id,
            signatures,
        },
    }
}

fn account() -> Subject {
    Subject::Account {
        address: "0x00000000000000000000000000000000000000aa".parse().unwrap(),
    }
}

fn licence(id: u64) -> Subject {
    Subject::Licence {
        licence: LicenceRef::Nd(id),
    }
}

fn availability(seed: u8) -> Subject {
    Subject::Availability {
        epoch: 0,
        node: key(seed).node(),
    }
}

fn refusal(document: &Document, genesis: &Genesis) -> String {
    document.verify(genesis).unwrap_err().to_string()
}

#[test]
fn account_licence_and_availability_are_proven_from_the_json_alone() {
    let mut chain = Chain::new(false);
    for subject in [account(), licence(8), availability(12)] {
        let json = serde_json::to_string(&chain.document(subject)).unwrap();
        let read: Document = serde_json::from_str(&json).unwrap();
        let proven = read.verify(&genesis()).unwrap();
        assert_eq!((proven.height, proven.signers, proven.oracles), (1, 3, 4));
        assert_eq!((proven.timestamp_ms, proven.network.as_str()), (61_000, "sample"));
        match proven.fact {
            Fact::Account { account, .. } => assert_eq!(account.r1.to_string(), "2500000000000000000"),
            Fact::NodeDeed { id, deed } => assert_eq!((id, deed.owner), (8, key(9).eth())),
            Fact::Availability { epoch, node, value } => {
                assert_eq!((epoch, node, value), (0, key(12).node(), 212));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_changed_block_is_not_the_one_that_was_signed() {
    let mut document = Chain::new(false).document(account());
    // The state root is the last field.
    *document.proof.block.last_mut().unwrap() ^= 1;
    assert_eq!(
        refusal(&document, &genesis()),
        "the block is not the one that the certificate of height 1 is for"
    );
}

#[test]
fn too_few_signers_decide_nothing() {
    let mut chain = Chain::new(false);
    let mut document = chain.document(account());
    document.proof.certificate = decide(&chain.block, &oracles()[..2]).certificate;
    assert_eq!(
        refusal(&document, &genesis()),
        "certificate of height 1: 2 of 4 oracles signed, more than two thirds must"
    );
}

#[test]
fn another_networks_genesis_refuses_the_block() {
    let document = Chain::new(false).document(account());
    let mut other = genesis();
    other.chain_id += 1;
    assert_eq!(refusal(&document, &other), "block 1 belongs to another network");
    let mut renamed = document;
    renamed.network = "mainnet".to_owned();
    assert_eq!(
        refusal(&renamed, &genesis()),
        "the document says network mainnet, its block says sample"
    );
}

#[test]
fn a_changed_record_leads_to_no_root() {
    let good = Chain::new(false).document(account());
    let broken = "the record does not lead to the root of its table \"accounts\"";
    let mut richer = good.clone();
    // The balance comes first.
    richer.proof.proof.record.value[0] ^= 1;
    assert_eq!(refusal(&richer, &genesis()), broken);
    let mut elsewhere = good.clone();
    elsewhere.proof.proof.record.path.position += 1;
    assert_eq!(refusal(&elsewhere, &genesis()), broken);
    let mut state = good;
    state.proof.proof.record.roots.0[1].1 += 1;
    let error = refusal(&state, &genesis());
    assert!(
        error.starts_with("the record belongs to the state 0x") && error.contains(", block 1 names 0x"),
        "{error}"
    );
}

#[test]
fn a_sound_record_of_something_else_proves_nothing() {
    let mut chain = Chain::new(false);
    let mut other_licence = chain.document(licence(7));
    other_licence.subject = licence(8);
    assert_eq!(
        refusal(&other_licence, &genesis()),
        "the record is not that of licence ND 8"
    );
    let mut other_table = chain.document(licence(7));
    other_table.subject = Subject::Licence {
        licence: LicenceRef::Mnd(7),
    };
    assert_eq!(
        refusal(&other_table, &genesis()),
        "the record is not that of licence MND 7"
    );
}

#[test]
fn a_wrong_leaf_of_the_epoch_is_refused() {
    let mut chain = Chain::new(false);
    let good = chain.document(availability(12));
    let refused = |change: &dyn Fn(&mut Document)| {
        let mut document = good.clone();
        change(&mut document);
        let error = refusal(&document, &genesis());
        let (subject, why) = error.rsplit_once(": ").unwrap();
        assert!(subject.starts_with("availability of 0xai_"), "{error}");
        why.to_owned()
    };
    let no_way = "the value does not lead to the root in the epoch's record";
    let leaf = |document: &mut Document| document.proof.proof.availability.take().unwrap();
    assert_eq!(
        refused(&|document| {
            let mut higher = leaf(document);
            higher.value = 255;
            document.proof.proof.availability = Some(higher);
        }),
        no_way
    );
    assert_eq!(
        refused(&|document| {
            let mut longer = leaf(document);
            longer.path.len += 1;
            document.proof.proof.availability = Some(longer);
        }),
        no_way
    );
    let others = chain.document(availability(13)).proof.proof.availability;
    assert_eq!(
        refused(&|document| document.proof.proof.availability = others.clone()),
        "the value is another node's"
    );
    assert_eq!(
        refused(&|document| drop(leaf(document))),
        "the node's value is missing"
    );
    let mut beside = chain.document(licence(7));
    beside.proof.proof.availability = others;
    assert_eq!(
        refusal(&beside, &genesis()),
        "licence ND 7: an availability proves nothing here"
    );
}

#[test]
fn a_faulty_epoch_is_proven_to_be_faulty_and_gives_no_value() {
    let mut chain = Chain::new(true);
    let subject = availability(12);
    let evidence = Evidence::of(subject, &mut chain.state, None).unwrap();
    let decided = decide(&chain.block, &oracles());
    let document = Document::new(&genesis(), subject, decided, evidence);
    let node = key(12).node();
    assert_eq!(
        document.verify(&genesis()).unwrap().fact,
        Fact::FaultyEpoch { epoch: 0, node }
    );
    let mut valued = document;
    valued.proof.proof.availability = Chain::new(false).document(subject).proof.proof.availability;
    assert!(refusal(&valued, &genesis()).contains("the epoch was faulty, no node has a value"));
}

#[test]
fn what_is_not_there_cannot_be_proven() {
    let mut state = Chain::new(false).state;
    let mut missing = |subject| Evidence::of(subject, &mut state, Some(&agreed())).unwrap_err();
    assert_eq!(missing(licence(9)), Missing::Record(licence(9)));
    assert_eq!(missing(availability(99)), Missing::Leaf(availability(99)));
    let closed_later = Subject::Availability {
        epoch: 1,
        node: key(12).node(),
    };
    assert_eq!(missing(closed_later), Missing::Record(closed_later));
}

#[test]
fn another_format_is_refused_by_its_name() {
    let mut document = Chain::new(false).document(account());
    document.format = "r1-state-proof/2".to_owned();
    assert_eq!(
        refusal(&document, &genesis()),
        "format \"r1-state-proof/2\" is not \"r1-state-proof/1\""
    );
}

#[test]
fn no_document_with_one_changed_character_is_accepted() {
    let good = serde_json::to_string(&Chain::new(false).document(availability(12))).unwrap();
    let mut refused = 0;
    // Every third: all fields are met, and the test takes a second.
    for at in (0..good.len())
        .step_by(3)
        .filter(|at| good.as_bytes()[*at].is_ascii_alphanumeric())
    {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'0' } else { b'1' };
        let accepted = serde_json::from_slice::<Document>(&bytes)
            .is_ok_and(|document| document.verify(&genesis()).is_ok());
        assert!(!accepted, "character {at} of {}", String::from_utf8_lossy(&bytes));
        refused += 1;
    }
    assert!(refused > 1_000, "{refused} documents");
}
