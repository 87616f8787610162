//! What the whole state hashes to, how it is stored record by record, and proofs of single records.
//!
//! Every part of the state is a [`Stored`] table with its own Merkle tree. The state's root is
//! `keccak256("_R1_ECONOMY_STATE" || postcard(list of (name, positions, root)))`, the tables in a fixed order: a proof
//! of a record is its way to its table's root, and the list.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use super::State;
use crate::{
    merkle::{Hash, Proof, leaf},
    table::{Journal, Stored},
    transaction::encode,
};

/// The roots of all tables, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots(pub Vec<(String, u64, Hash)>);

impl Roots {
    /// The state's root.
    pub fn hash(&self) -> Hash {
        Keccak256::new_with_prefix(b"_R1_ECONOMY_STATE")
            .chain_update(encode(self))
            .finalize()
            .into()
    }
}

/// One record to be stored: the table, the encoded key, and the encoded slot or `None` where it is gone.
pub type StoredRecord = (&'static str, Vec<u8>, Option<Vec<u8>>);

/// That one record is part of a state with a certain root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordProof {
    /// The table.
    pub table: String,
    /// The record's key, canonical bytes (postcard).
    pub key: Vec<u8>,
    /// The record, canonical bytes (postcard).
    pub value: Vec<u8>,
    /// The way from the record to its table's root.
    pub path: Proof,
    /// All tables' roots.
    pub roots: Roots,
}

impl RecordProof {
    /// The state root that the record belongs to; `None` if the proof does not hold together.
    pub fn state_root(&self) -> Option<Hash> {
        let mut bytes = self.key.clone();
        bytes.extend(&self.value);
        let root = self.path.root(leaf(&bytes))?;
        let named = |(name, len, hash): &&(String, u64, Hash)| {
            *name == self.table && *len == self.path.len && *hash == root
        };
        self.roots.0.iter().find(named)?;
        Some(self.roots.hash())
    }
}

/// Why stored records make no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No such table.
    #[error("state table {0:?} is unknown")]
    Table(String),
    /// The record does not decode.
    #[error("record of state table {table:?} does not decode: {why}")]
    Record {
        /// The table.
        table: &'static str,
        /// What is wrong.
        why: postcard::Error,
    },
}

impl State {
    /// All tables by name, in the order of the root.
    fn tables(&mut self) -> [(&'static str, &mut dyn Stored); 25] {
        let poai = &mut self.poai;
        [
            ("accounts", &mut self.bank.accounts),
            ("totals", &mut self.bank.totals),
            ("deeds", &mut self.deeds.deeds),
            ("deed_status", &mut self.deeds.status),
            ("masters", &mut self.masters.deeds),
            ("master_status", &mut self.masters.status),
            ("links", &mut self.links),
            ("oracles", &mut self.controller.oracles),
            ("minimum_signatures", &mut self.controller.minimum_signatures),
            ("adoption_sold", &mut self.adoption.sold),
            ("adoption_volume", &mut self.adoption.volume),
            ("sale", &mut self.sale.progress),
            ("invoices", &mut self.sale.invoices),
            ("pool", &mut self.pool.reserves),
            ("pool_shares", &mut self.pool.shares),
            ("escrows", &mut poai.escrows),
            ("jobs", &mut poai.jobs),
            ("active_jobs", &mut poai.active),
            ("delegates", &mut poai.delegates),
            ("node_wallets", &mut poai.wallets),
            ("proposals", &mut poai.proposals),
            ("last_job", &mut poai.last_job),
            ("apps", &mut self.gratitude.apps),
            ("epochs", &mut self.epochs),
            ("next_epoch", &mut self.next_epoch),
        ]
    }

    /// The roots of all tables; costs one hash per level for each record that changed since the last call.
    pub fn roots(&mut self) -> Roots {
        let root = |(name, table): (&'static str, &mut dyn Stored)| {
            let (len, root) = table.root();
            (name.to_owned(), len, root)
        };
        Roots(self.tables().into_iter().map(root).collect())
    }

    /// The state's root: equal on all nodes after the same blocks.
    pub fn root(&mut self) -> Hash {
        self.roots().hash()
    }

    /// What changed since [`State::mark_stored`], to be stored; also what is not committed yet. At first all records of the
    /// genesis.
    pub fn changes(&mut self) -> Vec<StoredRecord> {
        let mut changes = Vec::new();
        for (name, table) in self.tables() {
            changes.extend(table.changes().into_iter().map(|(key, slot)| (name, key, slot)));
        }
        changes
    }

    /// What [`State::changes`] gave is stored.
    pub fn mark_stored(&mut self) {
        for (_, table) in self.tables() {
            table.mark_stored();
        }
    }

    /// Puts a record back that [`State::changes`] gave, into what [`State::empty`] made.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(&mut self, table: &str, key: &[u8], slot: &[u8]) -> Result<(), RestoreError> {
        let mut tables = self.tables();
        let (table, stored) = tables
            .iter_mut()
            .find(|(name, _)| *name == table)
            .ok_or_else(|| RestoreError::Table(table.to_owned()))?;
        stored
            .restore(key, slot)
            .map_err(|why| RestoreError::Record { table, why })
    }

    /// Proves a record by its canonical key; `None` if there is no such table or record.
    pub fn prove(&mut self, table: &str, key: &[u8]) -> Option<RecordProof> {
        let roots = self.roots();
        let mut tables = self.tables();
        let (_, stored) = tables.iter_mut().find(|(name, _)| *name == table)?;
        let (value, path) = stored.prove(key)?;
        Some(RecordProof {
            table: table.to_owned(),
            key: key.to_vec(),
            value,
            path,
            roots,
        })
    }
}

impl State {
    /// Takes back everything that is not committed: after a panic inside a block, whose savepoints stayed open.
    pub fn recover(&mut self) {
        for (_, table) in self.tables() {
            while table.is_open() {
                table.rollback();
            }
        }
    }
}

impl Journal for State {
    fn is_open(&self) -> bool {
        self.next_epoch.is_open()
    }

    fn begin(&mut self) {
        for (_, table) in self.tables() {
            table.begin();
        }
    }

    fn commit(&mut self) {
        for (_, table) in self.tables() {
            table.commit();
        }
    }

    fn rollback(&mut self) {
        for (_, table) in self.tables() {
            table.rollback();
        }
    }
}
