//! The block store: flat files by CID, small blocks in the index, one LMDB index that is the truth.
//!
//! **Durability.** A block counts once the transaction that names it is committed, which is after its file was synced.
//! A power cut at any instant therefore loses nothing that [`Batch::commit`] has acknowledged, and leaves no block that
//! is named and not there. Batches of several callers share one sync and one transaction.
//!
//! **References.** A block stays while a pin or a stored node refers to it, or while a batch, a reader or the grace
//! period holds it.
//!
//! All calls block the thread for a disk access at most, those that commit for a sync. Minimum kernel: any Linux.

mod batch;
mod collect;
mod commit;
mod error;
mod files;
mod index;
mod live;
mod pins;
#[cfg(test)]
mod tests;
mod verify;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

pub use self::{
    batch::Batch,
    collect::Collected,
    commit::RecordChange,
    error::StoreError,
    pins::{MAX_LABEL, Pin, PinChange, Pinned, Record},
    verify::Verified,
};
use self::{
    commit::Threads,
    files::Folder,
    index::{Change, Digest, Index, Place},
    live::Live,
};
use crate::{
    Cid,
    cid::{IDENTITY, digest_of, verify},
};

/// Milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// The links of a block; none for one that is no node or does not decode.
pub type LinksOf = fn(&Cid, &Bytes) -> Vec<Cid>;

/// Settings of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of blocks. Default 100 GiB.
    pub quota: u64,
    /// Blocks up to this length are kept in the index, bytes. Default 16 KiB.
    pub inline_bytes: usize,
    /// Most bytes the index may grow to (address space; the file grows as it is written). Default 64 GiB.
    pub index_bytes: usize,
    /// Threads that write block files. Default 1: more only help where the disk is slower than one core.
    pub writers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quota: 100 << 30,
            inline_bytes: 16 << 10,
            index_bytes: 64 << 30,
            writers: 1,
        }
    }
}

/// The blocks of a node. Cheap to clone; the last clone ends the store's threads.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    index: Index,
    folder: Folder,
    options: Options,
    clock: Clock,
    links: LinksOf,
    live: Live,
    threads: Threads,
    used: AtomicU64,
    count: AtomicU64,
    promised: AtomicU64,
    damaged: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("options", &self.options)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes promised to batches that are being written.
    pub promised: u64,
    /// Bytes allowed.
    pub quota: u64,
    /// Blocks found damaged since the start.
    pub damaged: u64,
    /// Bytes that can still be stored: what the quota leaves, and not more than the disk has beyond a reserve.
    pub free: u64,
}

/// Bytes of the disk that are left for the index and for others.
const DISK_RESERVE: u64 = 16 << 20;

impl Store {
    /// Opens or makes a store in a folder that this process alone uses.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be made, read, or is of another version.
    pub fn open(path: &Path, options: Options, clock: Clock, links: LinksOf) -> Result<Self, StoreError> {
        let index = Index::open(&path.join("index"), options.index_bytes)?;
        let folder = Folder::open(&path.join("blocks"))?;
        let (used, count) = index.totals()?;
        let (threads, queues) = Threads::new();
        let inner = Arc::new(Inner {
            index,
            folder,
            options,
            clock,
            links,
            live: Live::default(),
            threads,
            used: AtomicU64::new(used),
            count: AtomicU64::new(count),
            promised: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        });
        commit::spawn(&inner, queues, options.writers).map_err(|source| StoreError::file(path, source))?;
        Ok(Self { inner })
    }

    /// The bytes of a block, checked against its name; `None` if it is not here.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the bytes were damaged: the block counts as absent from then on. Others of the disk.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(cid)
    }

    /// The length of a block that is here, bytes; its bytes are not looked at.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn size(&self, cid: &Cid) -> Result<Option<usize>, StoreError> {
        if cid.hash().code() == IDENTITY {
            return Ok(Some(cid.hash().digest().len()));
        }
        let Some(digest) = digest_of(cid) else {
            return Ok(None);
        };
        let txn = self.inner.index.read()?;
        let entry = self.inner.index.entry(&txn, &digest)?;
        Ok(entry
            .filter(index::Entry::is_here)
            .map(|entry| entry.size as usize))
    }

    /// The links of a block, as references are counted by them.
    pub fn links(&self, cid: &Cid, data: &Bytes) -> Vec<Cid> {
        (self.inner.links)(cid, data)
    }

    /// What is stored.
    pub fn usage(&self) -> Usage {
        let inner = &self.inner;
        let (bytes, promised) = (
            inner.used.load(Ordering::Relaxed),
            inner.promised.load(Ordering::Relaxed),
        );
        let quota = inner.options.quota;
        let disk = inner.folder.free().saturating_sub(DISK_RESERVE);
        Usage {
            blocks: inner.count.load(Ordering::Relaxed),
            bytes,
            promised,
            quota,
            damaged: inner.damaged.load(Ordering::Relaxed),
            free: quota.saturating_sub(bytes + promised).min(disk),
        }
    }

    /// Keeps a block, and with it all that it refers to, from being collected until the guard is dropped.
    pub fn guard(&self, cid: &Cid) -> Guard {
        let digest = digest_of(cid);
        if let Some(digest) = &digest {
            let _relying = self.inner.live.relying();
            self.inner.live.hold(digest);
        }
        Guard {
            inner: Arc::clone(&self.inner),
            digest,
        }
    }
}

/// Keeps a root from being collected while it lives.
#[derive(Debug)]
pub struct Guard {
    inner: Arc<Inner>,
    digest: Option<Digest>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.inner.live.release(&self.digest);
    }
}

impl Inner {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if cid.hash().code() == IDENTITY {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        let Some(digest) = digest_of(cid) else {
            return Ok(None);
        };
        let Some(data) = self.read(&digest)? else {
            return Ok(None);
        };
        if data.as_ref().is_some_and(|data| verify(cid, data).is_ok()) {
            return Ok(data);
        }
        // It may have been collected between the look at the index and the file.
        if self.read(&digest)?.is_none() {
            return Ok(None);
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
        self.mark_absent(&digest)?;
        Err(StoreError::Corrupt { cid: *cid })
    }

    /// `None`: not here. `Some(None)`: the index says it is here, and it is not.
    fn read(&self, digest: &Digest) -> Result<Option<Option<Bytes>>, StoreError> {
        let txn = self.index.read()?;
        let Some(entry) = self.index.entry(&txn, digest)?.filter(index::Entry::is_here) else {
            return Ok(None);
        };
        if entry.place == Place::Inline {
            let data = self.index.inline(&txn, digest)?;
            return Ok(Some(data.map(Bytes::copy_from_slice)));
        }
        drop(txn);
        let data = self.folder.read(digest, entry.size as usize)?;
        Ok(Some(data.map(Bytes::from)))
    }

    fn set_totals(&self, (bytes, count): (u64, u64)) {
        self.used.store(bytes, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
    }

    fn commit_change(&self, change: Change<'_>) -> Result<(), StoreError> {
        let totals = (change.bytes, change.count);
        change.commit()?;
        self.set_totals(totals);
        Ok(())
    }
}
