//! What the oracles decide: blocks, each naming its parent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    certificate::{Certificate, ValidatorSet, WireCertificate},
    digest::{Domain, Hash, keccak},
    median::{Outcome, median},
    table::{SignedTable, WireTable},
    wire::{self, DecodeError, MAX_BLOCK_BYTES, MAX_DECIDED_BYTES, MAX_ORACLES, MAX_TX_BYTES, MAX_TXS},
};

/// The end of a chain of decided blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Height of the last block; 0 before the first.
    pub height: u64,
    /// Keccak256 of the last block's bytes; the network's hash before the first.
    pub id: Hash,
    /// Timestamp of the last block, milliseconds since 1970-01-01 UTC; 0 before the first.
    pub timestamp_ms: u64,
}

impl Tip {
    /// Where every chain of a network begins.
    pub fn genesis(network: Hash) -> Self {
        Self {
            height: 0,
            id: network,
            timestamp_ms: 0,
        }
    }
}

/// The tables that close an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochClose {
    /// The epoch.
    pub epoch: u64,
    /// The oracles' tables, abstentions among them, sorted by the oracle's node address.
    pub tables: Vec<SignedTable>,
}

/// One block: the payload of a height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The network's hash.
    pub network: Hash,
    /// The height, from 1.
    pub height: u64,
    /// Keccak256 of the previous block's bytes; the network's hash in the first block.
    pub parent: Hash,
    /// When its proposer made it, milliseconds since 1970-01-01 UTC; never before its parent's.
    pub timestamp_ms: u64,
    /// The epoch it closes, if it closes one.
    pub epoch_close: Option<EpochClose>,
    /// Transactions, opaque here.
    pub txs: Vec<Vec<u8>>,
    /// Root of the application's state after this block; opaque here. Whoever has a certificate for the block can check
    /// a record of that state without having the state.
    pub state_root: Hash,
}

/// Why a block does not belong here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Another network's block.
    #[error("block {height} belongs to another network")]
    Network {
        /// The block's height.
        height: u64,
    },
    /// Not the next height.
    #[error("block {height} does not follow height {tip}")]
    Height {
        /// The block's height.
        height: u64,
        /// The height it had to follow.
        tip: u64,
    },
    /// It names another parent.
    #[error("block {height} names another parent than the decided one")]
    Parent {
        /// The block's height.
        height: u64,
    },
    /// It is older than its parent.
    #[error("block {height} is stamped {timestamp_ms} ms, before its parent at {parent_ms} ms")]
    Time {
        /// The block's height.
        height: u64,
        /// Its timestamp.
        timestamp_ms: u64,
        /// Its parent's timestamp.
        parent_ms: u64,
    },
    /// Nothing in it.
    #[error("block {height} decides nothing")]
    Empty {
        /// The block's height.
        height: u64,
    },
    /// A table is not of an oracle, twice there, out of order, about another epoch or wrongly signed.
    #[error("close of epoch {epoch}: table of {oracle}: {why}")]
    Table {
        /// The epoch to be closed.
        epoch: u64,
        /// Whose table.
        oracle: r1_core::NodeAddress,
        /// What is wrong.
        why: &'static str,
    },
    /// Tables (or abstentions) of too few oracles.
    #[error("close of epoch {epoch}: {tables} of {oracles} tables, more than two thirds are needed")]
    TooFewTables {
        /// The epoch to be closed.
        epoch: u64,
        /// How many there are.
        tables: usize,
        /// How many oracles there are.
        oracles: usize,
    },
}

#[derive(Serialize, Deserialize)]
struct WireBlock {
    network: Hash,
    height: u64,
    parent: Hash,
    timestamp_ms: u64,
    epoch_close: Option<(u64, Vec<WireTable>)>,
    txs: Vec<Vec<u8>>,
    state_root: Hash,
}

impl EpochClose {
    /// Checks that the tables are of distinct oracles, sorted, about this epoch and signed, and that more than
    /// two thirds of the oracles have one (an abstention is one).
    ///
    /// # Errors
    /// [`BlockError::Table`] or [`BlockError::TooFewTables`].
    pub fn verify(&self, domain: &Domain, set: &ValidatorSet) -> Result<(), BlockError> {
        let mut last = None;
        for table in &self.tables {
            let refuse = |why| {
                Err(BlockError::Table {
                    epoch: self.epoch,
                    oracle: table.oracle,
                    why,
                })
            };
            let Some(oracle) = set.by_node(&table.oracle) else {
                return refuse("it is not an oracle");
            };
            if last.is_some_and(|last| last >= table.oracle) {
                return refuse("twice there or out of order");
            }
            if table.epoch != self.epoch {
                return refuse("about another epoch");
            }
            if !table.is_signed_by(domain, &oracle.key) {
                return refuse("its signature is wrong");
            }
            last = Some(table.oracle);
        }
        if set.is_quorum(self.tables.len()) {
            Ok(())
        } else {
            let (tables, oracles) = (self.tables.len(), set.len());
            Err(BlockError::TooFewTables {
                epoch: self.epoch,
                tables,
                oracles,
            })
        }
    }

    /// True if this close makes the epoch faulty although the tables known here, with its own, would not.
    ///
    /// A proposer chooses which tables it includes. One that lies could leave honest tables out and abstain itself,
    /// and the epoch would be faulty and credit everyone. Who votes must therefore refuse a close that hides what it
    /// knows; honest oracles gossip their tables, so that a liar finds no quorum. Not for decided blocks.
    pub fn hides<'a>(&'a self, known: impl IntoIterator<Item = &'a SignedTable>, set: &ValidatorSet) -> bool {
        if self.outcome(set) != Outcome::Faulty {
            return false;
        }
        let judged = known
            .into_iter()
            .filter(|table| table.epoch == self.epoch)
            .chain(&self.tables)
            .filter(|table| table.values().is_some() && set.by_node(&table.oracle).is_some())
            .map(|table| table.oracle);
        set.is_quorum(judged.collect::<BTreeSet<_>>().len())
    }

    /// The agreed values.
    pub fn outcome(&self, set: &ValidatorSet) -> Outcome {
        let tables: Vec<_> = self.tables.iter().filter_map(SignedTable::values).collect();
        median(set.len(), &tables)
    }
}

impl Block {
    /// Checks that this block follows a tip: network, height, parent, time, and that it decides something.
    ///
    /// # Errors
    /// [`BlockError`] with the first fault found.
    pub fn follows(&self, network: &Hash, tip: &Tip) -> Result<(), BlockError> {
        let height = self.height;
        if self.network != *network {
            return Err(BlockError::Network { height });
        }
        if Some(height) != tip.height.checked_add(1) {
            return Err(BlockError::Height {
                height,
                tip: tip.height,
            });
        }
        if self.parent != tip.id {
            return Err(BlockError::Parent { height });
        }
        if self.timestamp_ms < tip.timestamp_ms {
            let (timestamp_ms, parent_ms) = (self.timestamp_ms, tip.timestamp_ms);
            return Err(BlockError::Time {
                height,
                timestamp_ms,
                parent_ms,
            });
        }
        if self.epoch_close.is_none() && self.txs.is_empty() {
            return Err(BlockError::Empty { height });
        }
        Ok(())
    }

    /// The tip a chain has once this block is decided; `payload` is its bytes.
    pub fn tip(&self, payload: &[u8]) -> Tip {
        Tip {
            height: self.height,
            id: keccak(payload),
            timestamp_ms: self.timestamp_ms,
        }
    }

    /// Its bytes: what is proposed, hashed and stored.
    ///
    /// # Errors
    /// [`DecodeError`] if it has more of something than [`Block::decode`] accepts, so that no one proposes what
    /// nobody can read.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let epoch_close = self.epoch_close.as_ref().map(|close| {
            (
                close.epoch,
                close.tables.iter().map(SignedTable::to_wire).collect(),
            )
        });
        let wire = WireBlock {
            network: self.network,
            height: self.height,
            parent: self.parent,
            timestamp_ms: self.timestamp_ms,
            epoch_close,
            txs: self.txs.clone(),
            state_root: self.state_root,
        };
        wire.check()?;
        let bytes = wire::encode(&wire);
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(DecodeError::TooLong {
                what: "block",
                len: bytes.len(),
                limit: MAX_BLOCK_BYTES,
            });
        }
        Ok(bytes)
    }

    /// Reads a block; signatures and links are not checked here.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but the one encoding of a block within the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: WireBlock = wire::decode("block", bytes, MAX_BLOCK_BYTES)?;
        wire.check()?;
        let epoch_close = match wire.epoch_close {
            None => None,
            Some((epoch, tables)) => {
                let tables = tables
                    .into_iter()
                    .map(SignedTable::from_wire)
                    .collect::<Result<_, _>>()?;
                Some(EpochClose { epoch, tables })
            }
        };
        Ok(Self {
            network: wire.network,
            height: wire.height,
            parent: wire.parent,
            timestamp_ms: wire.timestamp_ms,
            epoch_close,
            txs: wire.txs,
            state_root: wire.state_root,
        })
    }
}

impl WireBlock {
    fn check(&self) -> Result<(), DecodeError> {
        wire::at_most("block", "transactions", self.txs.len(), MAX_TXS)?;
        let longest = self.txs.iter().map(Vec::len).max().unwrap_or(0);
        wire::at_most("block", "bytes in a transaction", longest, MAX_TX_BYTES)?;
        let tables = self.epoch_close.as_ref().map_or(0, |(_, tables)| tables.len());
        wire::at_most("block", "tables", tables, MAX_ORACLES)
    }
}

/// A decided payload with the certificate that proves it: what stores keep and light clients fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedBlock {
    /// The payload's bytes (a [`Block`] where r1d built it).
    pub payload: Vec<u8>,
    /// That it was decided.
    pub certificate: Certificate,
}

impl DecidedBlock {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&(&self.payload, self.certificate.to_wire()))
    }

    /// Reads a decided block; nothing is verified here.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but the one encoding of a decided block within the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (payload, certificate): (Vec<u8>, WireCertificate) =
            wire::decode("decided block", bytes, MAX_DECIDED_BYTES)?;
        Ok(Self {
            payload,
            certificate: Certificate::from_wire(certificate)?,
        })
    }
}
