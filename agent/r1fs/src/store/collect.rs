//! Garbage collection: blocks go when nothing refers to them, nobody uses them and their grace period is over.

use serde::Serialize;

use super::{
    Inner, Store,
    commit::digests,
    error::StoreError,
    index::{Change, Digest, Place},
};
use crate::{Cid, cid::DAG_PB};

/// Blocks removed in one transaction, so that writers wait for milliseconds only.
const SWEEP: usize = 256;
/// Pins ended in one transaction.
const EXPIRE: usize = 1024;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Blocks removed.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pins that had expired.
    pub expired_pins: u64,
}

impl Store {
    /// Ends expired pins, then removes every block that nothing has referred to for `grace_ms` and nobody uses.
    /// Blocks the thread; `progress` is told after each step and may end the run by returning false.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed before stays removed.
    pub fn collect(
        &self,
        grace_ms: u64,
        mut progress: impl FnMut(&Collected) -> bool,
    ) -> Result<Collected, StoreError> {
        let inner = &self.inner;
        let now_ms = (inner.clock)();
        let mut collected = Collected::default();
        loop {
            let mut change = inner.index.change()?;
            let expired = change.expire(now_ms, EXPIRE)?.len();
            if expired == 0 {
                break;
            }
            inner.commit_change(change)?;
            collected.expired_pins += expired as u64;
        }
        let cutoff = now_ms.saturating_sub(grace_ms);
        // Blocks in use come back in each list; the list grows by them, so that they hide nothing.
        let mut passed = 0;
        loop {
            let asked = SWEEP + passed;
            let loose = inner.index.loose_before(cutoff, asked)?;
            let removed = inner.sweep(&loose, &mut collected)?;
            passed = loose.len() - removed;
            let done = removed == 0 && loose.len() < asked;
            if !progress(&collected) || done {
                return Ok(collected);
            }
        }
    }

    /// Removes block files that the index does not know: what a crash between the two leaves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_strangers(&self) -> Result<u64, StoreError> {
        let inner = &self.inner;
        let mut removed = 0;
        inner.folder.strangers(|digest| {
            if inner.is_stranger(&digest)? {
                let _removing = inner.live.removing();
                if !inner.live.is_held(&digest) && inner.is_stranger(&digest)? {
                    inner.folder.remove(&digest)?;
                    removed += 1;
                }
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// True if nothing but the grace period keeps a block.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn is_loose(&self, cid: &Cid) -> Result<bool, StoreError> {
        crate::cid::digest_of(cid).map_or(Ok(false), |digest| self.inner.is_loose(&digest))
    }
}

impl Inner {
    fn is_stranger(&self, digest: &Digest) -> Result<bool, StoreError> {
        let txn = self.index.read()?;
        let entry = self.index.entry(&txn, digest)?;
        Ok(entry.is_none_or(|entry| entry.place != Place::File))
    }

    fn sweep(&self, loose: &[Digest], collected: &mut Collected) -> Result<usize, StoreError> {
        let _removing = self.live.removing();
        let mut change = self.index.change()?;
        let mut files = Vec::new();
        let mut removed = 0;
        for digest in loose.iter().filter(|digest| !self.live.is_held(digest)) {
            removed += usize::from(self.remove(&mut change, digest, &mut files, collected)?);
        }
        self.commit_change(change)?;
        // The index no longer knows them: a crash from here on leaves files that nobody misses.
        for digest in &files {
            self.folder.remove(digest)?;
        }
        Ok(removed)
    }

    fn remove(
        &self,
        change: &mut Change<'_>,
        digest: &Digest,
        files: &mut Vec<Digest>,
        collected: &mut Collected,
    ) -> Result<bool, StoreError> {
        let Some(entry) = change
            .entry(digest)?
            .filter(|entry| entry.is_here() && entry.refs == 0)
        else {
            return Ok(false);
        };
        let children = if entry.linked {
            self.children(change, digest, entry.size as usize)?
        } else {
            Vec::new()
        };
        match entry.place {
            Place::Inline => change.delete_inline(digest)?,
            Place::File => files.push(*digest),
            Place::Absent => {}
        }
        change.set(digest, &super::index::Entry::ABSENT)?;
        collected.blocks += 1;
        collected.bytes += u64::from(entry.size);
        for child in children {
            change.refer(&child, false)?;
        }
        Ok(true)
    }

    /// The links of a node, as they were counted when it was stored.
    fn children(&self, change: &Change<'_>, digest: &Digest, size: usize) -> Result<Vec<Digest>, StoreError> {
        let inline = self.index.inline(&change.txn, digest)?.map(<[u8]>::to_vec);
        let data = match inline {
            Some(data) => Some(data),
            None => self.folder.read(digest, size)?,
        };
        let cid = Cid::new_v1(DAG_PB, *crate::cid::of_digest(digest).hash());
        Ok(data.map_or_else(Vec::new, |data| digests(&(self.links)(&cid, &data.into()))))
    }
}
