//! Where the blocks are that this node gives to others.

use bytes::Bytes;
use r1_r1fs::Cid;

/// A store of blocks. Both calls may block; they are made off the network task.
pub trait Blocks: Send + Sync + 'static {
    /// The size of a block, bytes; `None` if it is not here or not to be given away.
    fn size(&self, cid: &Cid) -> Option<usize>;

    /// A block's bytes; `None` as with [`Blocks::size`]. They must be the block's: the receiver checks them.
    fn get(&self, cid: &Cid) -> Option<Bytes>;
}
