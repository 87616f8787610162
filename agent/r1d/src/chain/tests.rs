use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle};
use r1_economy::{Action, LicenceRef, Signature, Transaction, link_consent, sign_digest};
use r1_oraclesync::{Certificate, OracleKey, TableBody, ValidatorSet, keccak};

use super::*;

const EPOCH_MS: u64 = 10_000;
const WAIT_MS: u64 = 500;

struct Net {
    genesis: Genesis,
    keys: Vec<OracleKey>,
    chain: Chain,
    _dir: tempfile::TempDir,
}

fn net(oracles: u8) -> Net {
    let keys: Vec<_> = (1..=oracles)
        .map(|seed| OracleKey::from_secret(&[seed; 32]).unwrap())
        .collect();
    let oracle = |key: &OracleKey| GenesisOracle {
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
        oracles: keys.iter().map(oracle).collect(),
        economy: Default::default(),
        licences: vec![GenesisLicence {
            id: 1,
            owner: keys[0].eth(),
        }],
    };
    let dir = tempfile::tempdir().unwrap();
    let set = ValidatorSet::from_genesis(&genesis).unwrap();
    let ledger = Ledger::open(dir.path(), &genesis, set).unwrap();
    let chain = Chain::new(ledger, Domain::of(&genesis), WAIT_MS);
    Net {
        genesis,
        keys,
        chain,
        _dir: dir,
    }
}

impl Net {
    fn table(&self, oracle: usize, epoch: u64, value: u8) -> SignedTable {
        let values = [(self.keys[0].node(), value)].into();
        let domain = Domain::of(&self.genesis);
        SignedTable::sign(&domain, &self.keys[oracle], epoch, TableBody::Values(values))
    }

    fn link(&self) -> Vec<u8> {
        let (owner, node) = (self.keys[0].eth(), self.keys[0].node());
        let consent = sign_digest(&[1; 32], &link_consent(7, &owner, LicenceRef::Nd(1), &node, 0)).unwrap();
        let action = Action::Link {
            licence: LicenceRef::Nd(1),
            node,
            consent: Signature(consent),
        };
        Transaction {
            chain_id: 7,
            nonce: 0,
            action,
        }
        .sign(&[1; 32])
        .unwrap()
        .encode()
    }

    /// A block that was changed by hand, with the root of the state that now follows.
    fn sealed(&mut self, mut block: Block) -> Block {
        let (clock, set) = (*self.chain.ledger.clock(), self.chain.ledger.set().clone());
        let state = self.chain.ledger.state_mut();
        state.begin();
        run(state, &clock, &set, &block).unwrap();
        block.state_root = state.root();
        state.rollback();
        block
    }

    fn decide(&mut self, now_ms: u64) -> Block {
        let block = self.chain.build(now_ms).unwrap();
        let payload = block.encode().unwrap();
        self.chain.check(&payload, Some(now_ms)).unwrap();
        let certificate = Certificate {
            height: block.height,
            round: 0,
            value_id: keccak(&payload),
            signatures: vec![],
        };
        self.chain
            .apply(&DecidedBlock { payload, certificate }, Some(1))
            .unwrap();
        block
    }
}

#[test]
fn a_block_names_the_state_after_it_and_no_other() {
    let mut net = net(1);
    let before = net.chain.ledger.state_mut().root();
    let link = net.link();
    net.chain.add_transaction(5_000, &link).unwrap();
    net.chain.add_table(net.table(0, 0, 255)).unwrap();
    let good = net.chain.build(EPOCH_MS).unwrap();
    assert_eq!(
        net.chain.ledger.state_mut().root(),
        before,
        "building changes nothing"
    );
    assert_ne!(good.state_root, before);
    let wrong = Block {
        state_root: before,
        ..good.clone()
    };
    let payload = wrong.encode().unwrap();
    for now_ms in [Some(EPOCH_MS), None] {
        assert!(matches!(
            net.chain.check(&payload, now_ms),
            Err(ChainError::Ledger(LedgerError::StateRoot { height: 1, found, named }))
                if found == good.state_root && named == before
        ));
    }
    let certificate = Certificate {
        height: 1,
        round: 0,
        value_id: keccak(&payload),
        signatures: vec![],
    };
    let refused = net.chain.apply(&DecidedBlock { payload, certificate }, None);
    assert!(matches!(
        refused,
        Err(ChainError::Ledger(LedgerError::StateRoot { .. }))
    ));
    assert_eq!(net.chain.ledger.height(), 0);
    assert_eq!(net.decide(EPOCH_MS), good);
    assert_eq!(net.chain.ledger.state_mut().root(), good.state_root);
}

#[test]
fn nothing_is_proposed_when_nothing_waits() {
    let mut net = net(4);
    assert_eq!(net.chain.build(5_000), None);
    let link = net.link();
    net.chain.add_transaction(5_000, &link).unwrap();
    assert!(matches!(
        net.chain.add_transaction(5_000, &link),
        Err(PoolError::Known { .. })
    ));
    assert_eq!(net.decide(5_000).txs.len(), 1);
    assert_eq!(net.chain.build(5_001), None);
    assert!(matches!(
        net.chain.add_transaction(5_002, &link),
        Err(PoolError::Refused(_))
    ));
}

#[test]
fn an_epoch_closes_at_once_with_all_tables_and_after_a_wait_with_two_thirds() {
    let mut net = net(4);
    for oracle in 0..3 {
        net.chain.add_table(net.table(oracle, 0, 200)).unwrap();
    }
    assert_eq!(net.chain.build(EPOCH_MS - 1), None, "the epoch is open");
    assert_eq!(net.chain.build(EPOCH_MS), None, "the fourth may still come");
    assert!(net.chain.build(EPOCH_MS + WAIT_MS).is_some());
    net.chain.add_table(net.table(3, 0, 200)).unwrap();
    assert_eq!(net.decide(EPOCH_MS).epoch_close.unwrap().tables.len(), 4);
    assert_eq!(
        net.chain.ledger().epoch(0).unwrap().unwrap().availability[&net.keys[0].node()],
        200
    );
    assert_eq!(net.chain.build(EPOCH_MS + 1), None);
}

#[test]
fn too_few_tables_close_nothing() {
    let mut net = net(4);
    for oracle in 0..2 {
        net.chain.add_table(net.table(oracle, 0, 200)).unwrap();
    }
    assert_eq!(net.chain.build(EPOCH_MS * 9), None);
}

#[test]
fn a_table_must_be_signed_by_an_oracle_about_an_open_epoch_and_once() {
    let mut net = net(4);
    let good = net.table(1, 0, 9);
    let mut forged = good.clone();
    forged.oracle = net.keys[2].node();
    assert!(matches!(
        net.chain.add_table(forged),
        Err(StatementError::Signature { .. })
    ));
    let mut stranger = good.clone();
    stranger.oracle = OracleKey::from_secret(&[77; 32]).unwrap().node();
    assert!(matches!(
        net.chain.add_table(stranger),
        Err(StatementError::NotOracle { .. })
    ));
    let far = net.table(1, crate::statements::MAX_OPEN_EPOCHS, 9);
    assert!(matches!(
        net.chain.add_table(far),
        Err(StatementError::Epoch { .. })
    ));
    net.chain.add_table(good).unwrap();
    assert!(matches!(
        net.chain.add_table(net.table(1, 0, 10)),
        Err(StatementError::Known { .. })
    ));
}

#[test]
fn a_block_from_the_future_or_about_an_open_epoch_is_refused() {
    let mut net = net(1);
    net.chain.add_table(net.table(0, 0, 255)).unwrap();
    let mut block = net.chain.build(EPOCH_MS).unwrap();
    let payload = block.encode().unwrap();
    let early = EPOCH_MS - MAX_CLOCK_SKEW_MS - 1;
    assert!(matches!(
        net.chain.check(&payload, Some(early)),
        Err(ChainError::Future { .. })
    ));
    net.chain.check(&payload, None).unwrap();
    block.timestamp_ms = EPOCH_MS - 1;
    let payload = block.encode().unwrap();
    assert!(matches!(
        net.chain.check(&payload, Some(EPOCH_MS)),
        Err(ChainError::EpochOpen { .. })
    ));
}

#[test]
fn a_close_that_hides_tables_to_make_an_epoch_faulty_is_refused() {
    let mut net = net(4);
    for oracle in 0..3 {
        net.chain.add_table(net.table(oracle, 0, 200)).unwrap();
    }
    let mut block = net.chain.build(EPOCH_MS + WAIT_MS).unwrap();
    let abstention = SignedTable::sign(&Domain::of(&net.genesis), &net.keys[3], 0, TableBody::Abstained);
    let close = block.epoch_close.as_mut().unwrap();
    close.tables[2] = abstention;
    close.tables.sort_by_key(|table| table.oracle);
    let block = net.sealed(block);
    let payload = block.encode().unwrap();
    let now = EPOCH_MS + WAIT_MS;
    assert!(matches!(
        net.chain.check(&payload, Some(now)),
        Err(ChainError::HiddenTables { epoch: 0, .. })
    ));
    net.chain.check(&payload, None).unwrap();
}

#[test]
fn a_faulty_close_waits_for_the_missing_tables_for_another_epoch() {
    let mut net = net(4);
    for oracle in 0..2 {
        net.chain.add_table(net.table(oracle, 0, 200)).unwrap();
    }
    let abstention = SignedTable::sign(&Domain::of(&net.genesis), &net.keys[3], 0, TableBody::Abstained);
    net.chain.add_table(abstention).unwrap();
    assert_eq!(net.chain.build(EPOCH_MS + WAIT_MS), None);
    assert!(net.chain.build(2 * EPOCH_MS).is_some());
    net.chain.add_table(net.table(2, 0, 200)).unwrap();
    let block = net.chain.build(EPOCH_MS + WAIT_MS).unwrap();
    assert_eq!(block.epoch_close.unwrap().tables.len(), 4);
}
