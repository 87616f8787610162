//! The recorder's state as small keyed records, so that each heartbeat changes a few bytes on disk.
//!
//! | key | value (first byte: version 1) |
//! |---|---|
//! | `s`, epoch (8 bytes big-endian), node (33), index (2 big-endian) | a word of 64 slots, 8 bytes big-endian |
//! | `l`, node (33) | [`Last`] as JSON |
//! | `g`, node (33), start (8 bytes big-endian) | [`Gap`] as JSON |

use r1_core::NodeAddress;

use crate::{Gap, recorder::Last};

const VERSION: u8 = 1;

/// One change of the recorder's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A word of a node's slots in an epoch.
    Slots {
        /// The node.
        node: NodeAddress,
        /// The epoch.
        epoch: u64,
        /// Which word.
        index: u16,
        /// Its bits.
        word: u64,
    },
    /// A node's last heartbeat.
    Last {
        /// The node.
        node: NodeAddress,
        /// The heartbeat.
        last: Last,
    },
    /// A silence that was judged.
    Gap {
        /// The node.
        node: NodeAddress,
        /// The silence.
        gap: Gap,
    },
}

impl Record {
    /// Where it is stored; a later record with the same key replaces it.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Slots {
                node, epoch, index, ..
            } => [
                &Self::epoch_prefix(*epoch)[..],
                node.as_compressed(),
                &index.to_be_bytes(),
            ]
            .concat(),
            Self::Last { node, .. } => [b"l", &node.as_compressed()[..]].concat(),
            Self::Gap { node, gap } => [b"g", &node.as_compressed()[..], &gap.from_ms.to_be_bytes()].concat(),
        }
    }

    /// What is stored.
    pub fn value(&self) -> Vec<u8> {
        let body = match self {
            Self::Slots { word, .. } => word.to_be_bytes().to_vec(),
            Self::Last { last, .. } => json(last),
            Self::Gap { gap, .. } => json(gap),
        };
        [vec![VERSION], body].concat()
    }

    /// Reads a stored record; `None` if it is not one of this version.
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let (&VERSION, body) = value.split_first()? else {
            return None;
        };
        let (kind, rest) = key.split_first()?;
        match kind {
            b's' => {
                let (epoch, rest) = rest.split_first_chunk()?;
                let (node, index) = rest.split_first_chunk()?;
                Some(Self::Slots {
                    node: NodeAddress::from_compressed(*node)?,
                    epoch: u64::from_be_bytes(*epoch),
                    index: u16::from_be_bytes(index.try_into().ok()?),
                    word: u64::from_be_bytes(body.try_into().ok()?),
                })
            }
            b'l' => {
                let node = NodeAddress::from_compressed(rest.try_into().ok()?)?;
                Some(Self::Last {
                    node,
                    last: serde_json::from_slice(body).ok()?,
                })
            }
            b'g' => {
                let (node, _) = rest.split_first_chunk()?;
                let node = NodeAddress::from_compressed(*node)?;
                Some(Self::Gap {
                    node,
                    gap: serde_json::from_slice(body).ok()?,
                })
            }
            _ => None,
        }
    }

    /// The start of the keys of all slots of an epoch. Keys of earlier epochs sort before it, so that history can
    /// be cut off by range.
    pub fn epoch_prefix(epoch: u64) -> [u8; 9] {
        let mut prefix = [b's'; 9];
        prefix[1..].copy_from_slice(&epoch.to_be_bytes());
        prefix
    }

    /// The start of the keys of a node's slots in an epoch.
    pub fn slots_prefix(epoch: u64, node: &NodeAddress) -> Vec<u8> {
        [&Self::epoch_prefix(epoch)[..], node.as_compressed()].concat()
    }

    /// The start of the keys of a node's judged silences, oldest first.
    pub fn gaps_prefix(node: &NodeAddress) -> Vec<u8> {
        [b"g", &node.as_compressed()[..]].concat()
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data encodes into memory")
}
