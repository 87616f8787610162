//! The durable store of decided blocks, and of payloads that were proposed but not yet decided.
//!
//! Every write is one LMDB transaction, synced to disk before it returns. Oracles and light clients have the same
//! store; a light client's has decided blocks only.

use std::{
    ops::Bound,
    path::{Path, PathBuf},
};

use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions, WithoutTls,
    byteorder::BE,
    types::{Bytes, U64},
};

use crate::{
    block::DecidedBlock,
    digest::{Hash, keccak},
    wire::DecodeError,
};

/// Most bytes the store may grow to (address space only: the file grows as it is written).
const MAP_BYTES: usize = 64 << 30;
/// Databases in the store.
const DATABASES: u32 = 3;
/// Most blocks in one answer of [`Store::decided`].
pub const MAX_DECIDED_PER_ANSWER: usize = 64;
/// Most payload bytes in one answer of [`Store::decided`] (the first block comes whatever its size).
pub const MAX_DECIDED_BYTES_PER_ANSWER: usize = 4 << 20;
/// Most pieces of misbehaviour evidence kept; older ones make room.
const MAX_EVIDENCE: u64 = 4_096;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder could not be made.
    #[error("store {path}: {source}")]
    Folder {
        /// The store's folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("store {path}: {source}")]
    Database {
        /// The store's folder.
        path: PathBuf,
        /// What the database said.
        source: heed::Error,
    },
    /// What was read is damaged.
    #[error("store {path}: {source}")]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// A block that is not the next one.
    #[error("store {path}: height {height} does not follow height {tip}")]
    Gap {
        /// The store's folder.
        path: PathBuf,
        /// The height to be stored.
        height: u64,
        /// The last height stored.
        tip: u64,
    },
    /// Another value is stored at that height: the agreement is broken or the store is another network's.
    #[error("store {path}: height {height} holds another value")]
    Fork {
        /// The store's folder.
        path: PathBuf,
        /// The height.
        height: u64,
    },
}

/// The store. Only one may be open per folder and process.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    env: Env<WithoutTls>,
    decided: Database<'static, U64<BE>, Bytes>,
    proposed: Database<'static, Bytes, Bytes>,
    evidence: Database<'static, U64<BE>, Bytes>,
}

impl Store {
    /// Opens or makes the store in a folder.
    ///
    /// # Errors
    /// [`StoreError`] if the folder or database cannot be made or read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|source| StoreError::Folder {
            path: path.to_owned(),
            source,
        })?;
        Self::open_env(path).map_err(|source| StoreError::Database {
            path: path.to_owned(),
            source,
        })
    }

    fn open_env(path: &Path) -> Result<Self, heed::Error> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES).max_dbs(DATABASES);
        // SAFETY: the file belongs to this process alone; nothing else writes or truncates it while it is mapped.
        let env = unsafe { options.open(path)? };
        let txn = env.write_txn()?;
        let (decided, proposed, evidence) = env
            .create_databases_and_commit(txn, |opener, txn| {
                let decided = opener.create_database(txn, Some("decided"))?;
                let proposed = opener.create_database(txn, Some("proposed"))?;
                let evidence = opener.create_database(txn, Some("evidence"))?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((decided, proposed, evidence)))
            })?
            .unwrap_commit();
        Ok(Self {
            path: path.to_owned(),
            env,
            decided,
            proposed,
            evidence,
        })
    }

    /// Height of the last decided block, 0 if there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn tip(&self) -> Result<u64, StoreError> {
        self.run(|| {
            let txn = self.env.read_txn()?;
            Ok(self.decided.last(&txn)?.map_or(0, |(height, _)| height))
        })
    }

    /// Height of the first decided block, 0 if there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn first(&self) -> Result<u64, StoreError> {
        self.run(|| {
            let txn = self.env.read_txn()?;
            Ok(self.decided.first(&txn)?.map_or(0, |(height, _)| height))
        })
    }

    /// The decided block of a height.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn get(&self, height: u64) -> Result<Option<DecidedBlock>, StoreError> {
        let bytes = self.run(|| {
            let txn = self.env.read_txn()?;
            Ok(self.decided.get(&txn, &height)?.map(<[u8]>::to_vec))
        })?;
        bytes.map(|bytes| self.parse(&bytes)).transpose()
    }

    /// Decided blocks from a height on, in order: at most `max`, [`MAX_DECIDED_PER_ANSWER`] and
    /// [`MAX_DECIDED_BYTES_PER_ANSWER`].
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn decided(&self, from: u64, max: usize) -> Result<Vec<DecidedBlock>, StoreError> {
        let found = self.run(|| {
            let txn = self.env.read_txn()?;
            let (mut found, mut total) = (Vec::new(), 0);
            for entry in self
                .decided
                .range(&txn, &(from..))?
                .take(max.min(MAX_DECIDED_PER_ANSWER))
            {
                let (_, bytes) = entry?;
                total += bytes.len();
                if total > MAX_DECIDED_BYTES_PER_ANSWER && !found.is_empty() {
                    break;
                }
                found.push(bytes.to_vec());
            }
            Ok(found)
        })?;
        found.iter().map(|bytes| self.parse(bytes)).collect()
    }

    /// Stores the next decided block, or the same block again with a certificate of more signatures. Durable when
    /// it returns. Payloads proposed up to that height are dropped.
    ///
    /// # Errors
    /// [`StoreError::Gap`], [`StoreError::Fork`], or the database failed.
    pub fn append(&self, block: &DecidedBlock) -> Result<(), StoreError> {
        let height = block.certificate.height;
        let tip = self.tip()?;
        if height == tip {
            return self.enlarge(block);
        }
        if Some(height) != tip.checked_add(1) {
            return Err(StoreError::Gap {
                path: self.path.clone(),
                height,
                tip,
            });
        }
        let bytes = block.encode();
        self.run(|| {
            let mut txn = self.env.write_txn()?;
            self.decided.put(&mut txn, &height, &bytes)?;
            let end = height.saturating_add(1).to_be_bytes();
            self.proposed
                .delete_range(&mut txn, &(Bound::Unbounded, Bound::Excluded(&end[..])))?;
            txn.commit()
        })
    }

    /// Replaces the last block's certificate by one of more signatures.
    fn enlarge(&self, block: &DecidedBlock) -> Result<(), StoreError> {
        let height = block.certificate.height;
        let Some(stored) = self.get(height)? else {
            return Ok(());
        };
        if stored.certificate.value_id != block.certificate.value_id {
            return Err(StoreError::Fork {
                path: self.path.clone(),
                height,
            });
        }
        if block.certificate.signatures.len() <= stored.certificate.signatures.len() {
            return Ok(());
        }
        self.run(|| {
            let mut txn = self.env.write_txn()?;
            self.decided.put(&mut txn, &height, &block.encode())?;
            txn.commit()
        })
    }

    /// Keeps a signed proposal part. Durable when it returns.
    pub(crate) fn put_proposed(
        &self,
        height: u64,
        round: u32,
        payload_id: &Hash,
        part: &[u8],
    ) -> Result<(), StoreError> {
        let key = proposed_key(height, round, payload_id);
        self.run(|| {
            let mut txn = self.env.write_txn()?;
            self.proposed.put(&mut txn, &key, part)?;
            txn.commit()
        })
    }

    /// The signed parts kept for a height and round.
    pub(crate) fn proposed(&self, height: u64, round: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        self.proposed_with(&proposed_key(height, round, &[0; 32])[..12], |_| true)
    }

    /// A kept part of a height whose payload has this hash, whatever its round.
    pub(crate) fn proposed_by_id(&self, height: u64, id: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .proposed_with(&height.to_be_bytes(), |key| key.ends_with(id))?
            .pop())
    }

    fn proposed_with(
        &self,
        prefix: &[u8],
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.run(|| {
            let txn = self.env.read_txn()?;
            let mut found = Vec::new();
            for entry in self.proposed.prefix_iter(&txn, prefix)? {
                let (key, part) = entry?;
                if wanted(key) {
                    found.push(part.to_vec());
                }
            }
            Ok(found)
        })
    }

    /// Keeps a piece of evidence of misbehaviour; the oldest make room.
    pub(crate) fn put_evidence(&self, evidence: &[u8]) -> Result<(), StoreError> {
        self.run(|| {
            let mut txn = self.env.write_txn()?;
            let next = self.evidence.last(&txn)?.map_or(0, |(number, _)| number + 1);
            self.evidence.put(&mut txn, &next, evidence)?;
            if next >= MAX_EVIDENCE {
                self.evidence.delete_range(&mut txn, &(..=next - MAX_EVIDENCE))?;
            }
            txn.commit()
        })
    }

    /// The evidence of misbehaviour that is kept, oldest first: each the canonical bytes of two signed messages.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn evidence(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.run(|| {
            let txn = self.env.read_txn()?;
            self.evidence
                .iter(&txn)?
                .map(|entry| Ok(entry?.1.to_vec()))
                .collect()
        })
    }

    fn parse(&self, bytes: &[u8]) -> Result<DecidedBlock, StoreError> {
        let damaged = |source| StoreError::Damaged {
            path: self.path.clone(),
            source,
        };
        let block = DecidedBlock::decode(bytes).map_err(damaged)?;
        if keccak(&block.payload) != block.certificate.value_id {
            let why = "payload and certificate differ";
            return Err(damaged(DecodeError::Malformed {
                what: "decided block",
                why,
            }));
        }
        Ok(block)
    }

    fn run<T>(&self, work: impl FnOnce() -> Result<T, heed::Error>) -> Result<T, StoreError> {
        work().map_err(|source| StoreError::Database {
            path: self.path.clone(),
            source,
        })
    }
}

/// Sorted by height, then round, then payload.
fn proposed_key(height: u64, round: u32, payload_id: &Hash) -> [u8; 44] {
    let mut key = [0; 44];
    key[..8].copy_from_slice(&height.to_be_bytes());
    key[8..12].copy_from_slice(&round.to_be_bytes());
    key[12..].copy_from_slice(payload_id);
    key
}
