//! The store as the network gives it to others.

use bytes::Bytes;
use r1_r1fs::{Cid, store::Store};
use r1_r1fs_net::Blocks;

/// Blocks that are here. A fault of the disk is logged and looks to a peer as if the block were not here.
pub(super) struct StoreBlocks {
    store: Store,
}

impl StoreBlocks {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Blocks for StoreBlocks {
    fn size(&self, cid: &Cid) -> Option<usize> {
        self.store.size(cid).unwrap_or_else(|error| {
            tracing::warn!(%cid, %error, "a block is not given");
            None
        })
    }

    fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.store.get(cid).unwrap_or_else(|error| {
            tracing::warn!(%cid, %error, "a block is not given");
            None
        })
    }
}
