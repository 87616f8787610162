use r1_core::{GenesisLicence, GenesisOracle, U256};
use r1_economy::{Action, LicenceRef, Signature, Transaction, link_consent, sign_digest};
use r1_oraclesync::{Domain, EpochClose, OracleKey, SignedTable, TableBody, network_hash};

use super::*;

const SECRET: [u8; 32] = [3; 32];
const EPOCH_MS: u64 = 60_000;

fn genesis() -> (Genesis, OracleKey) {
    let key = OracleKey::from_secret(&SECRET).unwrap();
    let oracle = GenesisOracle {
        address: key.node(),
        consensus_addr: String::new(),
        net_addr: String::new(),
    };
    let genesis = Genesis {
        network: "test".into(),
        chain_id: 7,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: EPOCH_MS,
        },
        oracle_min_availability: 153,
        oracles: vec![oracle],
        economy: Default::default(),
        licences: vec![GenesisLicence {
            id: 1,
            owner: key.eth(),
        }],
    };
    (genesis, key)
}

fn open(dir: &Path) -> Ledger {
    let (genesis, _) = genesis();
    let set = ValidatorSet::from_genesis(&genesis).unwrap();
    Ledger::open(dir, &genesis, set).unwrap()
}

fn link() -> Vec<u8> {
    let (_, key) = genesis();
    let consent = sign_digest(
        &SECRET,
        &link_consent(7, &key.eth(), LicenceRef::Nd(1), &key.node(), 0),
    )
    .unwrap();
    let action = Action::Link {
        licence: LicenceRef::Nd(1),
        node: key.node(),
        consent: Signature(consent),
    };
    Transaction {
        chain_id: 7,
        nonce: 0,
        action,
    }
    .sign(&SECRET)
    .unwrap()
    .encode()
}

fn block(height: u64, close: Option<(u64, u8)>, txs: Vec<Vec<u8>>) -> Block {
    let (genesis, key) = genesis();
    let epoch_close = close.map(|(epoch, value)| {
        let body = TableBody::Values([(key.node(), value)].into());
        EpochClose {
            epoch,
            tables: vec![SignedTable::sign(&Domain::of(&genesis), &key, epoch, body)],
        }
    });
    let network = network_hash(&genesis);
    Block {
        network,
        height,
        parent: network,
        timestamp_ms: 1,
        epoch_close,
        txs,
        state_root: [0; 32],
    }
}

/// A block with the root of the state after it.
fn sealed(ledger: &mut Ledger, mut block: Block) -> Block {
    let (clock, set) = (*ledger.clock(), ledger.set().clone());
    let state = ledger.state_mut();
    state.begin();
    run(state, &clock, &set, &block).unwrap();
    block.state_root = state.root();
    state.rollback();
    block
}

fn decided(height: u64) -> DecidedBlock {
    let certificate = Certificate {
        height,
        round: 0,
        value_id: [0; 32],
        signatures: Vec::new(),
    };
    DecidedBlock {
        payload: Vec::new(),
        certificate,
    }
}

#[test]
fn what_is_applied_is_there_after_a_restart_and_is_applied_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path());
    let first = sealed(&mut ledger, block(1, None, vec![link()]));
    ledger.apply(&first, &decided(1), Some(5)).unwrap();
    let second = sealed(&mut ledger, block(2, Some((0, 255)), vec![]));
    ledger.apply(&second, &decided(2), Some(5)).unwrap();
    let hash = ledger.state().clone().root();
    drop(ledger);

    let mut ledger = open(dir.path());
    assert_eq!((ledger.height(), ledger.state().clone().root()), (2, hash));
    ledger.apply(&second, &decided(2), None).unwrap();
    assert_eq!(
        ledger.state().clone().root(),
        hash,
        "a replayed block changes nothing"
    );
    let licence = ledger.state().licences().next().unwrap();
    assert_eq!(licence.claimable, U256::from(1_458_508_188_386_985_115_u64));
    let record = ledger.epoch(0).unwrap().unwrap();
    assert_eq!((record.tables, record.oracles, record.faulty), (1, 1, false));
    assert_eq!(ledger.last_epochs(9).unwrap(), [record]);
}

#[test]
fn a_refused_block_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path());
    let before = ledger.state().clone().root();
    for (bad, word) in [
        (block(2, None, vec![link()]), "does not follow"),
        (block(1, Some((4, 1)), vec![]), "epoch 4"),
        (block(1, None, vec![link(), link()]), "nonce"),
        (block(1, None, vec![vec![9, 9]]), "version"),
    ] {
        let error = ledger.apply(&bad, &decided(1), None).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!((ledger.height(), ledger.state().clone().root()), (0, before));
    drop(ledger);
    assert_eq!(open(dir.path()).height(), 0);
}

#[test]
fn a_block_that_names_another_state_is_not_applied() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path());
    let before = ledger.state().clone().root();
    let good = sealed(&mut ledger, block(1, Some((0, 255)), vec![link()]));
    for named in [before, [0; 32], [7; 32]] {
        let wrong = Block {
            state_root: named,
            ..good.clone()
        };
        let error = ledger.apply(&wrong, &decided(1), None).unwrap_err().to_string();
        let expected = format!(
            "block 1: the state after it has root {}, the block names {}",
            Hex(good.state_root),
            Hex(named)
        );
        assert_eq!(error, expected);
        assert_eq!((ledger.height(), ledger.state().clone().root()), (0, before));
    }
    ledger.apply(&good, &decided(1), None).unwrap();
    assert_eq!(ledger.state().clone().root(), good.state_root);
}

#[test]
fn what_could_not_be_stored_is_not_applied_and_is_stored_by_the_next_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path());
    let before = ledger.state().clone().root();
    // The genesis is not stored yet, so its records are part of what the first block stores.
    let size = ledger.state_mut().changes().len();
    ledger.state_mut().begin();
    ledger
        .state_mut()
        .close_epoch(0, &BTreeMap::new(), false)
        .unwrap();
    assert!(ledger.state_mut().changes().len() >= size);
    ledger.state_mut().rollback();
    assert_eq!(ledger.state_mut().root(), before);
    assert_eq!(ledger.state_mut().changes().len(), size, "nothing is forgotten");
    let first = sealed(&mut ledger, block(1, None, vec![link()]));
    ledger.apply(&first, &decided(1), None).unwrap();
    assert!(ledger.state_mut().changes().is_empty(), "all is stored");
    let root = ledger.state().clone().root();
    drop(ledger);
    assert_eq!(open(dir.path()).state().clone().root(), root);
}

#[test]
fn records_of_other_rooms_are_kept_by_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let entries: Vec<_> = (0u8..4).map(|n| ([b'h', n], [n])).collect();
    ledger
        .put_records(entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())))
        .unwrap();
    ledger
        .put_records([(b"x1".as_slice(), b"other".as_slice())])
        .unwrap();
    assert_eq!(ledger.records(b"h").unwrap().len(), 4);
    assert_eq!(ledger.delete_records(&[b'h', 0], &[b'h', 2]).unwrap(), 2);
    assert_eq!(ledger.records(b"h").unwrap()[0].1, [2]);
}
