//! A network of four oracles and blocks of it.

use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle, NodeAddress};
use r1_oraclesync::{
    Block, Certificate, DecidedBlock, Domain, EpochClose, Hash, OracleKey, SignedTable, TableBody, Tip,
    keccak,
};

pub fn key(seed: u8) -> OracleKey {
    OracleKey::from_secret(&[seed; 32]).unwrap()
}

/// Keys 1..=4 are the oracles.
pub fn oracles() -> Vec<OracleKey> {
    (1..=4).map(key).collect()
}

pub fn genesis() -> Genesis {
    let oracle = |key: OracleKey| GenesisOracle {
        address: key.node(),
        consensus_addr: "/ip4/127.0.0.1/tcp/9001".to_owned(),
        net_addr: "/ip4/127.0.0.1/tcp/9101".to_owned(),
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
        economy: Default::default(),
        licences: vec![GenesisLicence {
            id: 7,
            owner: key(9).eth(),
        }],
    }
}

pub fn domain() -> Domain {
    Domain::of(&genesis())
}

/// A node that is no oracle.
pub fn node() -> NodeAddress {
    key(8).node()
}

pub fn table(signer: &OracleKey, epoch: u64, value: u8) -> SignedTable {
    SignedTable::sign(
        &domain(),
        signer,
        epoch,
        TableBody::Values([(node(), value)].into()),
    )
}

pub fn close(epoch: u64, values: [Option<u8>; 4]) -> EpochClose {
    let mut tables: Vec<_> = oracles()
        .iter()
        .zip(values)
        .map(|(key, value)| match value {
            Some(value) => table(key, epoch, value),
            None => SignedTable::sign(&domain(), key, epoch, TableBody::Abstained),
        })
        .collect();
    tables.sort_by_key(|table| table.oracle);
    EpochClose { epoch, tables }
}

/// The block behind a tip.
pub fn block(tip: &Tip) -> Block {
    Block {
        network: domain().network(),
        height: tip.height + 1,
        parent: tip.id,
        timestamp_ms: tip.timestamp_ms + 1_000,
        epoch_close: Some(close(tip.height, [Some(10), Some(20), Some(30), None])),
        txs: vec![vec![1, 2, 3]],
        state_root: [5; 32],
    }
}

/// A certificate of some signers over a value.
pub fn certificate(signers: &[OracleKey], height: u64, round: u32, value_id: Hash) -> Certificate {
    let digest = domain().precommit(height, round, &value_id);
    let signatures = signers.iter().map(|key| (key.eth(), key.sign(&digest))).collect();
    Certificate {
        height,
        round,
        value_id,
        signatures,
    }
}

pub fn decide(block: &Block) -> DecidedBlock {
    let payload = block.encode().unwrap();
    let certificate = certificate(&oracles()[..3], block.height, 0, keccak(&payload));
    DecidedBlock { payload, certificate }
}
