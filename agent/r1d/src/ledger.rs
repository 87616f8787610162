//! The ledger on disk: the economy's state record by record, the epochs decided, and the heartbeats accepted, in one LMDB file.
//!
//! A block is one transaction: its height, the state after it and the epoch it closed become durable together or
//! not at all. Decided blocks themselves are kept by `r1_oraclesync::Store`; after a crash the blocks above
//! [`Ledger::height`] are applied again from there.

mod execution;

use std::{collections::BTreeMap, path::Path};

use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions, WithTls,
    byteorder::BE,
    types::{Bytes, Str, U64},
};
use r1_core::{EpochClock, Genesis, Hex, NodeAddress};
use r1_economy::{DecodeError, GenesisRefusal, Receipt, Refusal, State, table::Journal as _};
use r1_oraclesync::{Block, Certificate, DecidedBlock, Hash, Outcome, Tip, ValidatorSet, network_hash};
use serde::{Deserialize, Serialize};

pub use execution::{Executed, context, execute, run};

/// Most bytes the file may grow to (address space; the file grows as it is written).
const MAP_BYTES: usize = 16 << 30;
/// Databases in the file.
const DATABASES: u32 = 5;
/// Version of what is stored.
const VERSION: u64 = 3;

/// A record of another room: its key and its value.
pub type KeyedRecord = (Vec<u8>, Vec<u8>);

/// Why the ledger refuses a block or cannot store it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed.
    #[error("ledger: {0}")]
    Database(#[from] heed::Error),
    /// What was read is not what was written.
    #[error("ledger: {what} is damaged: {why}; restore it, or remove the ledger folder to replay the blocks")]
    Damaged {
        /// Which record.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The file was made by another version.
    #[error(
        "ledger: format {found}, this program reads format {VERSION}; remove the ledger folder to replay the blocks"
    )]
    Version {
        /// The version found.
        found: u64,
    },
    /// The genesis makes no state.
    #[error(transparent)]
    Genesis(#[from] GenesisRefusal),
    /// A block that does not follow.
    #[error("ledger: block {height} does not follow height {tip}")]
    Gap {
        /// The block's height.
        height: u64,
        /// The ledger's height.
        tip: u64,
    },
    /// The block's epoch close is refused by the rules.
    #[error("block {height}: {refusal}")]
    EpochClose {
        /// The block's height.
        height: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A transaction of the block does not decode.
    #[error("block {height}, transaction {index}: {error}")]
    Malformed {
        /// The block's height.
        height: u64,
        /// Which transaction, from 0.
        index: usize,
        /// Why.
        error: DecodeError,
    },
    /// A transaction of the block is refused by the rules.
    #[error("block {height}, transaction {index}: {refusal}")]
    Transaction {
        /// The block's height.
        height: u64,
        /// Which transaction, from 0.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// The state after the block is not the one that it names.
    #[error(
        "block {height}: the state after it has root {}, the block names {}",
        Hex(found),
        Hex(named)
    )]
    StateRoot {
        /// The block's height.
        height: u64,
        /// The root that follows from the rules.
        found: Hash,
        /// The root in the block.
        named: Hash,
    },
}

/// A closed epoch as the control API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch.
    pub epoch: u64,
    /// The block that closed it.
    pub height: u64,
    /// The round in which it was decided.
    pub round: u32,
    /// Oracles in the set.
    pub oracles: u32,
    /// Signatures in the certificate.
    pub signers: u32,
    /// Tables with values (abstentions not counted).
    pub tables: u32,
    /// From the start of the height to its decision on this node, ms; `None` if it was learnt later.
    pub decide_ms: Option<u64>,
    /// True if too few tables were there: every linked node counts as 255.
    pub faulty: bool,
    /// The agreed values; a node that is not named is 0.
    pub availability: BTreeMap<NodeAddress, u8>,
}

/// The ledger. One per state folder.
#[derive(Debug)]
pub struct Ledger {
    env: Env<WithTls>,
    meta: Database<'static, Str, Bytes>,
    epochs: Database<'static, U64<BE>, Bytes>,
    records: Database<'static, Bytes, Bytes>,
    /// The state's records: table name, zero byte, key.
    state_records: Database<'static, Bytes, Bytes>,
    clock: EpochClock,
    set: ValidatorSet,
    state: State,
    tip: Tip,
}

impl Ledger {
    /// Opens or makes the ledger in a folder.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be made, read, or was written by another version.
    pub fn open(path: &Path, genesis: &Genesis, set: ValidatorSet) -> Result<Self, LedgerError> {
        std::fs::create_dir_all(path).map_err(heed::Error::Io)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_dbs(DATABASES);
        // SAFETY: the state folder is locked, so this process alone maps and writes the file.
        let env = unsafe { options.open(path)? };
        let txn = env.write_txn()?;
        let (meta, epochs, records, state_records) = env
            .create_databases_and_commit(txn, |opener, txn| {
                let meta = opener.create_database(txn, Some("meta"))?;
                let epochs = opener.create_database(txn, Some("epochs"))?;
                let records = opener.create_database(txn, Some("records"))?;
                let state = opener.create_database(txn, Some("state"))?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((meta, epochs, records, state)))
            })?
            .unwrap_commit();
        let mut ledger = Self {
            env,
            meta,
            epochs,
            records,
            state_records,
            clock: genesis.epoch,
            set,
            state: State::genesis(genesis)?,
            tip: Tip::genesis(network_hash(genesis)),
        };
        ledger.load(genesis)?;
        // The first root hashes every record; from now on it costs what a block changes, and votes do not wait.
        ledger.state.root();
        Ok(ledger)
    }

    fn load(&mut self, genesis: &Genesis) -> Result<(), LedgerError> {
        let txn = self.env.read_txn()?;
        let Some(bytes) = self.meta.get(&txn, "tip")? else {
            return Ok(());
        };
        let (version, height, id, timestamp_ms): (u64, u64, [u8; 32], u64) =
            postcard::from_bytes(bytes).map_err(|e| damaged("tip", &e))?;
        if version != VERSION {
            return Err(LedgerError::Version { found: version });
        }
        let mut state = State::empty(genesis)?;
        for entry in self.state_records.iter(&txn)? {
            let (key, slot) = entry?;
            let (table, key) = split_key(key).ok_or_else(|| damaged("state", &"a key without a table"))?;
            state
                .restore(table, key, slot)
                .map_err(|error| damaged("state", &error))?;
        }
        self.state = state;
        self.tip = Tip {
            height,
            id,
            timestamp_ms,
        };
        Ok(())
    }

    /// Height of the last block applied, 0 before the first.
    pub fn height(&self) -> u64 {
        self.tip.height
    }

    /// The last block applied.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// The economy's state after that block.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The oracles.
    pub fn set(&self) -> &ValidatorSet {
        &self.set
    }

    /// Epoch arithmetic of the network.
    pub fn clock(&self) -> &EpochClock {
        &self.clock
    }

    /// Applies a decided block durably. A block at or below [`Ledger::height`] was applied before and is left alone.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing is changed then.
    pub fn apply(
        &mut self,
        block: &Block,
        decided: &DecidedBlock,
        decide_ms: Option<u64>,
    ) -> Result<Vec<Receipt>, LedgerError> {
        if block.height <= self.tip.height {
            return Ok(Vec::new());
        }
        if block.height != self.tip.height + 1 {
            return Err(LedgerError::Gap {
                height: block.height,
                tip: self.tip.height,
            });
        }
        let certificate = &decided.certificate;
        self.state.begin();
        let applied = self.apply_open(block, certificate, decide_ms);
        if applied.is_ok() {
            self.state.commit();
        } else {
            self.state.rollback();
        }
        applied
    }

    /// Applies a block behind a savepoint.
    fn apply_open(
        &mut self,
        block: &Block,
        certificate: &Certificate,
        decide_ms: Option<u64>,
    ) -> Result<Vec<Receipt>, LedgerError> {
        let executed = execute(&mut self.state, &self.clock, &self.set, block)?;
        let record = executed
            .closed
            .as_ref()
            .map(|closed| self.record(block, certificate, decide_ms, closed));
        let (id, timestamp_ms) = (certificate.value_id, block.timestamp_ms);
        let tip = Tip {
            height: block.height,
            id,
            timestamp_ms,
        };
        self.store(&tip, record.as_ref())?;
        self.tip = tip;
        Ok(executed.receipts)
    }

    /// The state, to run a block on behind a savepoint that is taken back.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn record(
        &self,
        block: &Block,
        certificate: &Certificate,
        decide_ms: Option<u64>,
        (epoch, outcome): &(u64, Outcome),
    ) -> EpochRecord {
        let tables = block
            .epoch_close
            .iter()
            .flat_map(|close| &close.tables)
            .filter(|t| t.values().is_some());
        let (availability, faulty) = match outcome {
            Outcome::Agreed(availability) => (availability.clone(), false),
            Outcome::Faulty => (BTreeMap::new(), true),
        };
        EpochRecord {
            epoch: *epoch,
            height: block.height,
            round: certificate.round,
            oracles: count(self.set.len()),
            signers: count(certificate.signatures.len()),
            tables: count(tables.count()),
            decide_ms,
            faulty,
            availability,
        }
    }

    /// Stores what changed, the tip and the epoch closed, in one transaction.
    fn store(&mut self, tip: &Tip, record: Option<&EpochRecord>) -> Result<(), LedgerError> {
        let mut txn = self.env.write_txn()?;
        let tip = postcard::to_allocvec(&(VERSION, tip.height, tip.id, tip.timestamp_ms))
            .map_err(|e| damaged("tip", &e))?;
        self.meta.put(&mut txn, "tip", &tip)?;
        for (table, key, slot) in self.state.changes() {
            let key = [table.as_bytes(), &[0], &key].concat();
            match slot {
                Some(slot) => self.state_records.put(&mut txn, &key, &slot)?,
                None => {
                    self.state_records.delete(&mut txn, &key)?;
                }
            }
        }
        if let Some(record) = record {
            let bytes = serde_json::to_vec(record).map_err(|e| damaged("epoch", &e))?;
            self.epochs.put(&mut txn, &record.epoch, &bytes)?;
        }
        txn.commit()?;
        self.state.mark_stored();
        Ok(())
    }

    /// A closed epoch.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub fn epoch(&self, epoch: u64) -> Result<Option<EpochRecord>, LedgerError> {
        let txn = self.env.read_txn()?;
        self.epochs.get(&txn, &epoch)?.map(parse_epoch).transpose()
    }

    /// The last closed epochs, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`LedgerError`] if one cannot be read.
    pub fn last_epochs(&self, limit: usize) -> Result<Vec<EpochRecord>, LedgerError> {
        let txn = self.env.read_txn()?;
        self.epochs
            .rev_iter(&txn)?
            .take(limit)
            .map(|entry| parse_epoch(entry?.1))
            .collect()
    }

    /// Stores records of other rooms (keys carry the room's own prefix) in one synced transaction.
    ///
    /// # Errors
    /// [`LedgerError::Database`]; nothing is stored then.
    pub fn put_records<'a>(
        &self,
        records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), LedgerError> {
        let mut txn = self.env.write_txn()?;
        for (key, value) in records {
            self.records.put(&mut txn, key, value)?;
        }
        txn.commit()?;
        Ok(())
    }

    /// All records whose key starts with a prefix, in key order.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn records(&self, prefix: &[u8]) -> Result<Vec<KeyedRecord>, LedgerError> {
        let txn = self.env.read_txn()?;
        let mut out = Vec::new();
        for entry in self.records.prefix_iter(&txn, prefix)? {
            let (key, value) = entry?;
            out.push((key.to_vec(), value.to_vec()));
        }
        Ok(out)
    }

    /// Removes all records from `first` (inclusive) to `end` (exclusive), in key order.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn delete_records(&self, first: &[u8], end: &[u8]) -> Result<usize, LedgerError> {
        let mut txn = self.env.write_txn()?;
        let range = (std::ops::Bound::Included(first), std::ops::Bound::Excluded(end));
        let deleted = self.records.delete_range(&mut txn, &range)?;
        txn.commit()?;
        Ok(deleted)
    }
}

/// A stored key's table and the rest.
fn split_key(key: &[u8]) -> Option<(&str, &[u8])> {
    let end = key.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&key[..end]).ok()?, &key[end + 1..]))
}

fn parse_epoch(bytes: &[u8]) -> Result<EpochRecord, LedgerError> {
    serde_json::from_slice(bytes).map_err(|e| damaged("epoch", &e))
}

fn damaged(what: &'static str, why: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Damaged {
        what,
        why: why.to_string(),
    }
}

/// The set has at most 100 oracles.
fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
