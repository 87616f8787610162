//! Bitswap 1.2.0 messages: protobuf behind an unsigned varint of its length.
//!
//! Blocks are cut out of the received buffer without a copy, and are written without one. The decoder takes anything:
//! lists are bounded, unknown fields are skipped, entries it cannot read are counted and left out.

mod decode;
mod encode;

use bytes::Bytes;
use r1_r1fs::{
    Cid, MAX_BLOCK,
    cid::{DAG_PB, SHA2_256, digest_of, sha2_256},
};

pub use decode::DecodeError;

/// Stream protocols that are read, the best first. Only the first is spoken.
pub const PROTOCOLS: [&str; 3] = [
    "/ipfs/bitswap/1.2.0",
    "/ipfs/bitswap/1.1.0",
    "/ipfs/bitswap/1.0.0",
];
/// Longest message that is read, bytes: Bitswap's 4 MiB and 64 KiB for what implementations count differently.
pub const MAX_MESSAGE: usize = (4 << 20) + (64 << 10);
/// Most wantlist entries of one message; more are counted and left out. Kubo keeps as many of one peer.
pub const MAX_ENTRIES: usize = 1024;
/// Most blocks of one message.
pub const MAX_BLOCKS: usize = 4096;
/// Most HAVE and DONT_HAVE of one message.
pub const MAX_PRESENCES: usize = 4096;

/// What is wanted of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantType {
    /// The block itself.
    Block,
    /// Only whether it is there.
    Have,
}

/// One entry of a wantlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The block.
    pub cid: Cid,
    /// Larger is sooner.
    pub priority: i32,
    /// The want is over.
    pub cancel: bool,
    /// What is wanted.
    pub want: WantType,
    /// Whether absence is to be answered.
    pub send_dont_have: bool,
}

/// How the name of a block is made from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// CID version, 0 or 1.
    pub version: u64,
    /// Multicodec.
    pub codec: u64,
    /// Multihash code.
    pub hash: u64,
    /// Length of the digest, bytes.
    pub length: u64,
}

/// A block as it travels: no name, only how to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How to make the name.
    pub prefix: Prefix,
    /// The bytes.
    pub data: Bytes,
}

/// One Bitswap message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The wantlist replaces all that was wanted before.
    pub full: bool,
    /// Wants and cancels.
    pub entries: Vec<Entry>,
    /// Blocks.
    pub blocks: Vec<Payload>,
    /// HAVE (true) and DONT_HAVE.
    pub presences: Vec<(Cid, bool)>,
    /// Bytes of blocks that wait at the sender.
    pub pending_bytes: i32,
    /// Entries that were left out: too many, or unreadable. Not on the wire.
    pub left_out: usize,
}

impl Prefix {
    /// What CIDv0 implies.
    pub const V0: Self = Self {
        version: 0,
        codec: DAG_PB,
        hash: SHA2_256,
        length: 32,
    };

    /// The prefix of a name.
    pub fn of(cid: &Cid) -> Self {
        Self {
            version: cid.version().into(),
            codec: cid.codec(),
            hash: cid.hash().code(),
            length: u64::from(cid.hash().size()),
        }
    }

    /// The name of bytes. Costs a hash of them. `None` for a hash other than sha2-256, a version that does not exist,
    /// or bytes beyond [`MAX_BLOCK`].
    pub fn name(&self, data: &[u8]) -> Option<Cid> {
        if self.hash != SHA2_256 || self.length != 32 || data.len() > MAX_BLOCK {
            return None;
        }
        match self.version {
            0 => Cid::new_v0(sha2_256(data)).ok(),
            1 => Some(Cid::new_v1(self.codec, sha2_256(data))),
            _ => None,
        }
    }
}

impl Payload {
    /// A block of a name.
    pub fn new(cid: &Cid, data: Bytes) -> Self {
        Self {
            prefix: Prefix::of(cid),
            data,
        }
    }
}

impl Message {
    /// True if there is nothing to say.
    pub fn is_empty(&self) -> bool {
        !self.full && self.entries.is_empty() && self.blocks.is_empty() && self.presences.is_empty()
    }

    /// Bytes of the blocks.
    pub fn block_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.data.len()).sum()
    }

    /// The message with its length in front, in pieces: blocks are not copied.
    pub fn encode(&self) -> Vec<Bytes> {
        encode::framed(self)
    }

    /// Reads a message without its length.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not protobuf, or says more than a message may.
    pub fn decode(wire: Bytes) -> Result<Self, DecodeError> {
        decode::message(wire)
    }
}

/// What identifies a block whichever way its name is spelled.
pub(crate) type Digest = [u8; 32];

/// The digest of a name that can be fetched.
pub(crate) fn digest(cid: &Cid) -> Option<Digest> {
    digest_of(cid)
}

#[cfg(test)]
mod tests;
