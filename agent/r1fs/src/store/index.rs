//! The index of blocks and pins: one LMDB file. Its last committed transaction is the truth about what is stored.

use std::path::{Path, PathBuf};

use heed::{
    CommitOrAbort, Database, Env, EnvOpenOptions, RoTxn, RwTxn, WithoutTls,
    byteorder::BE,
    types::{Bytes, Str, U64, Unit},
};
use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// A sha2-256 digest: blocks are stored under it, whatever the CID's version and codec.
pub type Digest = [u8; 32];

/// Version of what is stored.
const VERSION: u64 = 1;
/// Databases in the file.
const DATABASES: u32 = 8;
/// Transactions that may read at a time.
const READERS: u32 = 1024;

/// Where a block's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Nowhere: others refer to it, and it has yet to come.
    Absent,
    /// In the index itself.
    Inline,
    /// In a file of its own.
    File,
}

/// What is known of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its length, bytes; 0 while absent.
    pub size: u32,
    /// Where its bytes are.
    pub place: Place,
    /// True if it is stored as a dag-pb node and its links are counted.
    pub linked: bool,
    /// Links from stored blocks and pins.
    pub refs: u32,
    /// When it was last stored or let go of, ms.
    pub touched_ms: u64,
}

impl Entry {
    /// A block that is only referred to.
    pub const ABSENT: Self = Self {
        size: 0,
        place: Place::Absent,
        linked: false,
        refs: 0,
        touched_ms: 0,
    };

    /// True if its bytes are here.
    pub fn is_here(&self) -> bool {
        self.place != Place::Absent
    }
}

/// The databases.
#[derive(Debug)]
pub struct Index {
    env: Env<WithoutTls>,
    path: PathBuf,
    map_bytes: usize,
    meta: Database<'static, Str, U64<BE>>,
    blocks: Database<'static, Bytes, Bytes>,
    inline: Database<'static, Bytes, Bytes>,
    /// Blocks that nothing refers to, by the time they were touched.
    loose: Database<'static, Bytes, Unit>,
    /// Root CID, zero byte, label.
    pub(super) pins: Database<'static, Bytes, Bytes>,
    /// Expiry, then a key of `pins`.
    pub(super) expiries: Database<'static, Bytes, Unit>,
    /// Records of the rooms above: replicas, tombstones.
    pub(super) records: Database<'static, Bytes, Bytes>,
}

/// One change of the index; nothing is visible before [`Change::commit`].
pub struct Change<'i> {
    pub(super) index: &'i Index,
    pub(super) txn: RwTxn<'i>,
    /// Bytes stored, as they will be after the commit.
    pub(super) bytes: u64,
    /// Blocks stored, as they will be after the commit.
    pub(super) count: u64,
}

impl Index {
    /// Opens or makes the index in a folder that this process alone uses.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be made or is of another version.
    pub fn open(path: &Path, map_bytes: usize) -> Result<Self, StoreError> {
        let fault = |error| StoreError::index(error, path, map_bytes);
        std::fs::create_dir_all(path).map_err(|source| StoreError::file(path, source))?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options
            .map_size(map_bytes)
            .max_dbs(DATABASES)
            .max_readers(READERS);
        // SAFETY: the state folder is locked, so this process alone maps and writes the file.
        let env = unsafe { options.open(path) }.map_err(fault)?;
        let txn = env.write_txn().map_err(fault)?;
        let made = env.create_databases_and_commit(txn, |opener, txn| {
            let made = (
                opener.create_database(txn, Some("meta"))?,
                opener.create_database(txn, Some("blocks"))?,
                opener.create_database(txn, Some("inline"))?,
                opener.create_database(txn, Some("loose"))?,
                opener.create_database(txn, Some("pins"))?,
                opener.create_database(txn, Some("expiries"))?,
                opener.create_database(txn, Some("records"))?,
            );
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(made))
        });
        let (meta, blocks, inline, loose, pins, expiries, records) = made.map_err(fault)?.unwrap_commit();
        let index = Self {
            env,
            path: path.to_owned(),
            map_bytes,
            meta,
            blocks,
            inline,
            loose,
            pins,
            expiries,
            records,
        };
        index.check_version()?;
        Ok(index)
    }

    fn check_version(&self) -> Result<(), StoreError> {
        let txn = self.read()?;
        let found = self.meta.get(&txn, "version").map_err(|e| self.fault(e))?;
        drop(txn);
        match found {
            Some(VERSION) => Ok(()),
            Some(found) => Err(StoreError::Version {
                found,
                known: VERSION,
            }),
            None => {
                let mut change = self.change()?;
                let put = self.meta.put(&mut change.txn, "version", &VERSION);
                put.map_err(|e| self.fault(e))?;
                change.commit()
            }
        }
    }

    /// Names a fault of the database.
    pub fn fault(&self, error: heed::Error) -> StoreError {
        StoreError::index(error, &self.path, self.map_bytes)
    }

    /// A view of the last commit.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn read(&self) -> Result<RoTxn<'_, WithoutTls>, StoreError> {
        self.env.read_txn().map_err(|e| self.fault(e))
    }

    /// Begins a change; waits for the one before.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn change(&self) -> Result<Change<'_>, StoreError> {
        let txn = self.env.write_txn().map_err(|e| self.fault(e))?;
        let read = |name| -> Result<u64, StoreError> {
            Ok(self.meta.get(&txn, name).map_err(|e| self.fault(e))?.unwrap_or(0))
        };
        let (bytes, count) = (read("bytes")?, read("count")?);
        Ok(Change {
            index: self,
            txn,
            bytes,
            count,
        })
    }

    /// What is known of a block.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn entry(&self, txn: &RoTxn<'_>, digest: &Digest) -> Result<Option<Entry>, StoreError> {
        let bytes = self.blocks.get(txn, digest).map_err(|e| self.fault(e))?;
        bytes.map(|bytes| decode(digest, bytes)).transpose()
    }

    /// The bytes of a block that is kept in the index.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn inline<'t>(&self, txn: &'t RoTxn<'_>, digest: &Digest) -> Result<Option<&'t [u8]>, StoreError> {
        self.inline.get(txn, digest).map_err(|e| self.fault(e))
    }

    /// Up to `limit` blocks after a digest, in order.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<(Digest, Entry)>, StoreError> {
        let txn = self.read()?;
        let start = after.map_or(std::ops::Bound::Unbounded, |digest| {
            std::ops::Bound::Excluded(digest.as_slice())
        });
        let range = (start, std::ops::Bound::Unbounded);
        let entries = self.blocks.range(&txn, &range).map_err(|e| self.fault(e))?;
        entries
            .take(limit)
            .map(|item| {
                let (key, bytes) = item.map_err(|e| self.fault(e))?;
                let digest = to_digest(key)?;
                Ok((digest, decode(&digest, bytes)?))
            })
            .collect()
    }

    /// Bytes and blocks stored.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn totals(&self) -> Result<(u64, u64), StoreError> {
        let txn = self.read()?;
        let read = |name| -> Result<u64, StoreError> {
            Ok(self.meta.get(&txn, name).map_err(|e| self.fault(e))?.unwrap_or(0))
        };
        Ok((read("bytes")?, read("count")?))
    }

    /// Up to `limit` blocks that nothing refers to and that were touched at or before a time, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn loose_before(&self, cutoff_ms: u64, limit: usize) -> Result<Vec<Digest>, StoreError> {
        let txn = self.read()?;
        let end = cutoff_ms.saturating_add(1).to_be_bytes();
        let range = (
            std::ops::Bound::Unbounded,
            std::ops::Bound::Excluded(end.as_slice()),
        );
        let keys = self.loose.range(&txn, &range).map_err(|e| self.fault(e))?;
        keys.take(limit)
            .map(|item| {
                let (key, ()) = item.map_err(|e| self.fault(e))?;
                to_digest(key.get(8..).unwrap_or_default())
            })
            .collect()
    }
}

impl Change<'_> {
    /// What is known of a block.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn entry(&self, digest: &Digest) -> Result<Option<Entry>, StoreError> {
        self.index.entry(&self.txn, digest)
    }

    /// Replaces what is known of a block, and keeps the totals and the list of loose blocks right.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn set(&mut self, digest: &Digest, entry: &Entry) -> Result<(), StoreError> {
        let before = self.entry(digest)?;
        self.forget(digest, before.as_ref())?;
        if entry.is_here() {
            self.bytes += u64::from(entry.size);
            self.count += 1;
            if entry.refs == 0 {
                let key = loose_key(entry.touched_ms, digest);
                let put = self.index.loose.put(&mut self.txn, &key, &());
                put.map_err(|e| self.index.fault(e))?;
            }
        } else if entry.refs == 0 {
            // Neither here nor wanted by anybody.
            let deleted = self.index.blocks.delete(&mut self.txn, digest);
            return deleted.map(drop).map_err(|e| self.index.fault(e));
        }
        let bytes = postcard::to_stdvec(entry).map_err(|_| damaged(digest))?;
        let put = self.index.blocks.put(&mut self.txn, digest, &bytes);
        put.map_err(|e| self.index.fault(e))
    }

    fn forget(&mut self, digest: &Digest, before: Option<&Entry>) -> Result<(), StoreError> {
        let Some(before) = before.filter(|entry| entry.is_here()) else {
            return Ok(());
        };
        self.bytes = self.bytes.saturating_sub(u64::from(before.size));
        self.count = self.count.saturating_sub(1);
        if before.refs == 0 {
            let key = loose_key(before.touched_ms, digest);
            let deleted = self.index.loose.delete(&mut self.txn, &key);
            deleted.map_err(|e| self.index.fault(e))?;
        }
        Ok(())
    }

    /// Keeps the bytes of a small block.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::IndexFull`].
    pub fn put_inline(&mut self, digest: &Digest, data: &[u8]) -> Result<(), StoreError> {
        let put = self.index.inline.put(&mut self.txn, digest, data);
        put.map_err(|e| self.index.fault(e))
    }

    /// Drops the bytes of a small block.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn delete_inline(&mut self, digest: &Digest) -> Result<(), StoreError> {
        let deleted = self.index.inline.delete(&mut self.txn, digest);
        deleted.map(drop).map_err(|e| self.index.fault(e))
    }

    /// Counts one more or one fewer reference to a block; it need not be here. Returns how many there are now.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn refer(&mut self, digest: &Digest, more: bool) -> Result<u32, StoreError> {
        let mut entry = self.entry(digest)?.unwrap_or(Entry::ABSENT);
        entry.refs = if more {
            entry.refs.saturating_add(1)
        } else {
            entry.refs.saturating_sub(1)
        };
        self.set(digest, &entry)?;
        Ok(entry.refs)
    }

    /// Makes the change durable.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::IndexFull`], [`StoreError::DiskFull`]; nothing is changed then.
    pub fn commit(mut self) -> Result<(), StoreError> {
        for (name, value) in [("bytes", self.bytes), ("count", self.count)] {
            let put = self.index.meta.put(&mut self.txn, name, &value);
            put.map_err(|e| self.index.fault(e))?;
        }
        self.txn.commit().map_err(|e| self.index.fault(e))
    }
}

fn loose_key(touched_ms: u64, digest: &Digest) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&touched_ms.to_be_bytes());
    key[8..].copy_from_slice(digest);
    key
}

fn to_digest(key: &[u8]) -> Result<Digest, StoreError> {
    Digest::try_from(key).map_err(|_| StoreError::Damaged {
        what: format!("a key of {} bytes", key.len()),
    })
}

fn decode(digest: &Digest, bytes: &[u8]) -> Result<Entry, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| damaged(digest))
}

fn damaged(digest: &Digest) -> StoreError {
    StoreError::Damaged {
        what: crate::cid::of_digest(digest).to_string(),
    }
}
