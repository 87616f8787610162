//! Bounded, versioned postcard: how everything of this crate is encoded, and how hostile bytes are refused.

use r1_core::NodeAddress;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Version byte in front of everything that is encoded.
pub const VERSION: u8 = 2;
/// Most bytes of a block.
pub const MAX_BLOCK_BYTES: usize = 2 << 20;
/// Most bytes of a decided block: a block and a certificate of the largest set.
pub const MAX_DECIDED_BYTES: usize = MAX_BLOCK_BYTES + (16 << 10);
/// Most bytes of one oracle's table.
pub const MAX_TABLE_BYTES: usize = 1 << 20;
/// Most nodes in one table.
pub const MAX_TABLE_NODES: usize = 16_384;
/// Most oracles, tables in a block and signatures in a certificate.
pub const MAX_ORACLES: usize = 100;
/// Most transactions in a block.
pub const MAX_TXS: usize = 4_096;
/// Most bytes of one transaction.
pub const MAX_TX_BYTES: usize = 64 << 10;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than the limit; refused before anything is parsed.
    #[error("{what}: {len} bytes, at most {limit} are accepted")]
    TooLong {
        /// What was to be decoded.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Another format version.
    #[error("{what}: format version {found:?}, only {VERSION} is known")]
    Version {
        /// What was to be decoded.
        what: &'static str,
        /// The version byte, if there was any byte.
        found: Option<u8>,
    },
    /// Not the encoding of such a thing, or not its only encoding.
    #[error("{what}: malformed: {why}")]
    Malformed {
        /// What was to be decoded.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More items than allowed.
    #[error("{what}: {count} {items}, at most {limit} are accepted")]
    Count {
        /// What was to be decoded.
        what: &'static str,
        /// What is too many.
        items: &'static str,
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
    },
}

/// A compressed point on the wire: serde knows arrays up to 32 bytes only, and addresses are text elsewhere.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Point(u8, [u8; 32]);

impl From<&NodeAddress> for Point {
    fn from(address: &NodeAddress) -> Self {
        let mut x = [0; 32];
        x.copy_from_slice(&address.as_compressed()[1..]);
        Self(address.as_compressed()[0], x)
    }
}

impl Point {
    pub(crate) fn address(self, what: &'static str) -> Result<NodeAddress, DecodeError> {
        let mut point = [0; 33];
        point[0] = self.0;
        point[1..].copy_from_slice(&self.1);
        NodeAddress::from_compressed(point).ok_or(DecodeError::Malformed {
            what,
            why: "address is not a compressed point",
        })
    }
}

/// The version byte and the postcard of a value.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("writing plain data to memory cannot fail")
}

/// Decodes what [`encode`] made: at most `limit` bytes, this version, nothing behind it, and no second encoding
/// of the same value (or two parties could hold different bytes for one thing).
pub(crate) fn decode<T: Serialize + DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong {
            what,
            len: bytes.len(),
            limit,
        });
    }
    let Some((&VERSION, body)) = bytes.split_first() else {
        return Err(DecodeError::Version {
            what,
            found: bytes.first().copied(),
        });
    };
    let (value, rest) = postcard::take_from_bytes::<T>(body).map_err(|_| DecodeError::Malformed {
        what,
        why: "fields do not parse",
    })?;
    if !rest.is_empty() {
        return Err(DecodeError::Malformed {
            what,
            why: "bytes behind the end",
        });
    }
    if encode(&value) != bytes {
        return Err(DecodeError::Malformed {
            what,
            why: "not the shortest encoding",
        });
    }
    Ok(value)
}

/// Refuses more items than a limit.
pub(crate) fn at_most(
    what: &'static str,
    items: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), DecodeError> {
    if count > limit {
        Err(DecodeError::Count {
            what,
            items,
            count,
            limit,
        })
    } else {
        Ok(())
    }
}
