//! Storing blocks: a batch, whose blocks become durable together.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
};

use super::{
    Inner, Store,
    commit::{Job, RecordChange, Stored, Work, Writes, digests},
    error::StoreError,
    index::Digest,
    pins::PinChange,
};
use crate::{
    Block, Cid, MAX_BLOCK,
    cid::{DAG_PB, IDENTITY, digest_of},
};

/// Blocks that a batch collects before it hands them on by itself.
const FLUSH_BLOCKS: usize = 1024;
/// Bytes of small blocks that a batch collects before it hands them on by itself.
const FLUSH_INLINE: usize = 8 << 20;
/// Parts of a batch that may be on their way to the disk.
const FLUSHES: usize = 2;

/// Blocks on their way into the store. Nothing of it is collected while it lives.
///
/// Its calls block: use it from a thread of its own. Dropping it without [`Batch::commit`] leaves at most blocks that
/// nothing refers to, which are collected after the grace period, so that a cut transfer goes on where it was.
#[derive(Debug)]
pub struct Batch {
    inner: Arc<Inner>,
    held: HashSet<Digest>,
    work: Work,
    inline_bytes: usize,
    writes: Arc<Writes>,
    flushes: Vec<Receiver<Result<(), StoreError>>>,
}

impl Store {
    /// Begins a batch.
    pub fn batch(&self) -> Batch {
        Batch {
            inner: Arc::clone(&self.inner),
            held: HashSet::new(),
            work: Work::default(),
            inline_bytes: 0,
            writes: Arc::default(),
            flushes: Vec::new(),
        }
    }
}

impl Batch {
    /// Takes a block whose bytes are those of its name; `links` are those of a dag-pb node. True if it is new here.
    ///
    /// # Errors
    /// [`StoreError::Quota`], or what an earlier block of the batch failed with.
    pub fn put(&mut self, block: &Block, links: &[Cid]) -> Result<bool, StoreError> {
        if block.cid.hash().code() == IDENTITY {
            return Ok(false);
        }
        let digest = digest_of(&block.cid).ok_or(StoreError::Name { cid: block.cid })?;
        debug_assert!(block.data.len() <= MAX_BLOCK);
        if self.held.contains(&digest) {
            return Ok(false);
        }
        let here = self.hold(&digest)?;
        let links = (block.cid.codec() == DAG_PB).then(|| digests(links));
        let small = block.data.len() <= self.inner.options.inline_bytes;
        if !here {
            self.reserve(block.data.len() as u64)?;
            if small {
                self.inline_bytes += block.data.len();
            } else {
                self.inner
                    .threads
                    .write(digest, block.data.clone(), &self.writes)?;
            }
        }
        self.work.blocks.push(Stored {
            digest,
            size: u32::try_from(block.data.len()).unwrap_or(u32::MAX),
            inline: (small && !here).then(|| block.data.clone()),
            written: !small && !here,
            links,
        });
        if self.work.blocks.len() >= FLUSH_BLOCKS || self.inline_bytes >= FLUSH_INLINE {
            self.flush()?;
        }
        Ok(!here)
    }

    /// From here on the block is not removed while the batch lives. True if its bytes are here.
    fn hold(&mut self, digest: &Digest) -> Result<bool, StoreError> {
        let _relying = self.inner.live.relying();
        self.inner.live.hold(digest);
        self.held.insert(*digest);
        let txn = self.inner.index.read()?;
        let entry = self.inner.index.entry(&txn, digest)?;
        Ok(entry.is_some_and(|entry| entry.is_here()))
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        let promised = self.inner.promised.fetch_add(bytes, Ordering::Relaxed);
        let used = self.inner.used.load(Ordering::Relaxed).saturating_add(promised);
        let quota = self.inner.options.quota;
        if used.saturating_add(bytes) > quota {
            self.inner.promised.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StoreError::Quota {
                asked: bytes,
                used,
                quota,
            });
        }
        self.work.promised += bytes;
        Ok(())
    }

    /// Hands what was collected on to the disk without waiting for it; waits for what was handed on long before.
    ///
    /// # Errors
    /// What an earlier part failed with.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        while self.flushes.len() >= FLUSHES {
            wait(self.flushes.remove(0))?;
        }
        let receiver = self.hand_on()?;
        self.flushes.push(receiver);
        Ok(())
    }

    fn hand_on(&mut self) -> Result<Receiver<Result<(), StoreError>>, StoreError> {
        let (done, receiver) = std::sync::mpsc::sync_channel(1);
        self.inline_bytes = 0;
        self.inner.threads.commit(Job {
            work: std::mem::take(&mut self.work),
            writes: std::mem::take(&mut self.writes),
            done,
        })?;
        Ok(receiver)
    }

    /// Makes all of it durable, together with pins and records, and waits for it.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the batch counts as stored then, although parts of it may be there for a while.
    pub fn commit(mut self, pins: Vec<PinChange>, records: Vec<RecordChange>) -> Result<(), StoreError> {
        for part in std::mem::take(&mut self.flushes) {
            wait(part)?;
        }
        self.work.pins = pins;
        self.work.records = records;
        let last = self.hand_on()?;
        wait(last)
    }
}

fn wait(receiver: Receiver<Result<(), StoreError>>) -> Result<(), StoreError> {
    receiver.recv().unwrap_or(Err(StoreError::Closed))
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.work.blocks.is_empty() {
            // What came is kept for a while; if it cannot be, the next collection removes its files.
            let _ = self.flush();
        }
        for part in std::mem::take(&mut self.flushes) {
            let _ = wait(part);
        }
        self.inner
            .promised
            .fetch_sub(self.work.promised, Ordering::Relaxed);
        self.inner.live.release(&self.held);
    }
}
