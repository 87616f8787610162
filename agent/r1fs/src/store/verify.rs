//! Looking at every block: what is missing or damaged counts as absent afterwards, and can be fetched again.

use serde::Serialize;

use super::{
    Inner, Store,
    error::StoreError,
    index::{Digest, Entry, Place},
};
use crate::Cid;

/// Entries that are read at a time.
const PAGE: usize = 512;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Blocks whose bytes are those of their names.
    pub sound: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks whose bytes were others. They count as absent now.
    #[serde(serialize_with = "texts")]
    pub damaged: Vec<Cid>,
    /// Blocks that stored nodes or pins refer to and that are not here.
    #[serde(serialize_with = "texts")]
    pub absent: Vec<Cid>,
}

fn texts<S: serde::Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cids.iter().map(Cid::to_string))
}

impl Store {
    /// Reads and hashes every block. Blocks the thread; `progress` is told after each page and may end the run by
    /// returning false.
    ///
    /// # Errors
    /// [`StoreError`]: a damaged block is a finding, not an error.
    pub fn verify(&self, mut progress: impl FnMut(&Verified) -> bool) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let mut after = None;
        loop {
            let page = self.inner.index.page(after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(verified);
            };
            after = Some(*last);
            for (digest, entry) in &page {
                self.inner.verify_one(digest, entry, &mut verified)?;
            }
            if !progress(&verified) {
                return Ok(verified);
            }
        }
    }
}

impl Inner {
    fn verify_one(&self, digest: &Digest, entry: &Entry, verified: &mut Verified) -> Result<(), StoreError> {
        let cid = crate::cid::of_digest(digest);
        if !entry.is_here() {
            verified.absent.push(cid);
            return Ok(());
        }
        match self.get(&cid) {
            Ok(Some(data)) => {
                verified.sound += 1;
                verified.bytes += data.len() as u64;
            }
            // Collected since the page was read.
            Ok(None) => {}
            Err(StoreError::Corrupt { .. }) => verified.damaged.push(cid),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// From now on the block counts as absent; what refers to it stays.
    pub(super) fn mark_absent(&self, digest: &Digest) -> Result<(), StoreError> {
        let mut change = self.index.change()?;
        let Some(mut entry) = change.entry(digest)?.filter(Entry::is_here) else {
            return Ok(());
        };
        let place = entry.place;
        if place == Place::Inline {
            change.delete_inline(digest)?;
        }
        entry.place = Place::Absent;
        entry.size = 0;
        change.set(digest, &entry)?;
        self.commit_change(change)?;
        if place == Place::File {
            self.folder.remove(digest)
        } else {
            Ok(())
        }
    }
}
