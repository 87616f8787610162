//! What is being written, fetched or read now, and must not be collected meanwhile.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::index::Digest;

/// Blocks in use, and the gate between those who look a block up to rely on it and the one who removes blocks.
#[derive(Debug, Default)]
pub(super) struct Live {
    uses: Mutex<HashMap<Digest, u32>>,
    gate: RwLock<()>,
}

impl Live {
    fn uses(&self) -> MutexGuard<'_, HashMap<Digest, u32>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it is held nothing is removed. Take it, [`Live::hold`], look the block up, let it go.
    pub(super) fn relying(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it is held nobody begins to rely on a block.
    pub(super) fn removing(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold(&self, digest: &Digest) {
        *self.uses().entry(*digest).or_default() += 1;
    }

    pub(super) fn release<'d>(&self, digests: impl IntoIterator<Item = &'d Digest>) {
        let mut uses = self.uses();
        for digest in digests {
            match uses.get_mut(digest) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) => {
                    uses.remove(digest);
                }
                None => {}
            }
        }
    }

    pub(super) fn is_held(&self, digest: &Digest) -> bool {
        self.uses().contains_key(digest)
    }
}
