//! What members remember of an object: how it is kept, and that it was deleted.

use r1_core::NodeAddress;
use r1_identity::{DIGEST_SIGNATURE_BYTES, NodeKey, PublicKey, SignatureError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::wire;
use crate::Cid;

/// Most copies of an object.
pub const MAX_FACTOR: u8 = 32;
/// Most pieces of an object, parity included.
pub const MAX_PIECES: u8 = 32;
/// What a signature over a tombstone begins with, so that it is good for nothing else.
const TOMBSTONE_DOMAIN: &[u8] = b"r1fs tombstone 1\0";

/// How an object is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// Whole copies.
    Copies {
        /// How many, 1 to [`MAX_FACTOR`].
        factor: u8,
    },
    /// Reed-Solomon pieces: any `data` of them give the object back.
    Erasure {
        /// Pieces needed, at least 1.
        data: u8,
        /// Pieces that may be lost, at least 1; together at most [`MAX_PIECES`].
        parity: u8,
        /// The [`Manifest`](super::erasure::Manifest) that says which block belongs to which piece.
        #[serde(with = "wire::name")]
        manifest: Cid,
    },
}

impl Scheme {
    /// Members that keep a share of the object.
    pub fn shares(&self) -> usize {
        match *self {
            Self::Copies { factor } => usize::from(factor),
            Self::Erasure { data, parity, .. } => usize::from(data) + usize::from(parity),
        }
    }

    /// Pieces there are; `None` for whole copies.
    pub fn pieces(&self) -> Option<u8> {
        match *self {
            Self::Copies { .. } => None,
            Self::Erasure { data, parity, .. } => Some(data.saturating_add(parity)),
        }
    }
}

/// An object and how it is to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The object.
    #[serde(with = "wire::name")]
    pub root: Cid,
    /// Bytes of all its blocks.
    pub size: u64,
    /// How it is kept.
    pub scheme: Scheme,
    /// The node that added it; only its tombstone deletes it.
    pub owner: NodeAddress,
    /// When it was added, Unix milliseconds.
    pub created_ms: u64,
    /// When it may be forgotten, Unix milliseconds; never if absent.
    pub expires_ms: Option<u64>,
}

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The scheme cannot be.
    #[error("record of {root}: {shares} shares, or one kind of them missing, are not possible")]
    Scheme {
        /// The object.
        root: Cid,
        /// Shares that it wants.
        shares: usize,
    },
    /// A piece of an object kept whole, a piece beyond the last, or none where one is meant.
    #[error("record of {root}: piece {piece:?} is none of its shares")]
    Piece {
        /// The object.
        root: Cid,
        /// The piece named.
        piece: Option<u8>,
    },
}

impl Record {
    /// Checks the numbers of the scheme.
    ///
    /// # Errors
    /// [`RecordError::Scheme`].
    pub fn check(&self) -> Result<(), RecordError> {
        let possible = match self.scheme {
            Scheme::Copies { factor } => (1..=MAX_FACTOR).contains(&factor),
            Scheme::Erasure { data, parity, .. } => {
                data > 0 && parity > 0 && self.scheme.shares() <= usize::from(MAX_PIECES)
            }
        };
        possible.then_some(()).ok_or(RecordError::Scheme {
            root: self.root,
            shares: self.scheme.shares(),
        })
    }

    /// Checks the scheme and that `piece` names a share of it: `None` for a whole copy.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn check_share(&self, piece: Option<u8>) -> Result<(), RecordError> {
        self.check()?;
        let possible = match (self.scheme.pieces(), piece) {
            (None, None) => true,
            (Some(pieces), Some(piece)) => piece < pieces,
            _ => false,
        };
        possible.then_some(()).ok_or(RecordError::Piece {
            root: self.root,
            piece,
        })
    }

    /// Bytes that one share takes, about.
    pub fn share_bytes(&self) -> u64 {
        match self.scheme {
            Scheme::Copies { .. } => self.size,
            Scheme::Erasure { data, .. } => self.size.div_ceil(u64::from(data.max(1))),
        }
    }

    /// Whether its time is over.
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires| expires <= now_ms)
    }

    /// Whether this one replaces another of the same object: the later one does, and of two made at the same time
    /// that of the greater address, so that all members end with the same.
    pub fn replaces(&self, other: &Self) -> bool {
        (self.created_ms, self.owner) > (other.created_ms, other.owner)
    }
}

/// An owner's word that an object is deleted. Kept so that members who were away learn it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The object.
    #[serde(with = "wire::name")]
    pub root: Cid,
    /// When it was deleted, Unix milliseconds. A record created later is not touched.
    pub at_ms: u64,
    /// Who deleted it: the owner of the records that it ends.
    pub owner: NodeAddress,
    /// The owner's signature over all of the above.
    #[serde(with = "wire::signature")]
    pub signature: [u8; DIGEST_SIGNATURE_BYTES],
}

/// Why a tombstone is not honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tombstone of {root}: {source}")]
pub struct TombstoneError {
    /// The object.
    pub root: Cid,
    /// What is wrong with the signature.
    pub source: Box<SignatureError>,
}

impl Tombstone {
    /// Signs that the objects of this key's node named `root` are deleted.
    pub fn sign(key: &NodeKey, root: Cid, at_ms: u64) -> Self {
        let owner = key.address();
        Self {
            root,
            at_ms,
            owner,
            signature: key.sign_digest(&digest(&root, at_ms, &owner)),
        }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`TombstoneError`].
    pub fn verify(&self) -> Result<(), TombstoneError> {
        let digest = digest(&self.root, self.at_ms, &self.owner);
        PublicKey::try_from(&self.owner)
            .and_then(|key| key.verify_digest(&digest, &self.signature))
            .map_err(|source| TombstoneError {
                root: self.root,
                source: Box::new(source),
            })
    }

    /// Whether it ends a record: same object, same owner, and not made later.
    pub fn ends(&self, record: &Record) -> bool {
        self.root == record.root && self.owner == record.owner && record.created_ms <= self.at_ms
    }
}

fn digest(root: &Cid, at_ms: u64, owner: &NodeAddress) -> [u8; 32] {
    Sha256::new()
        .chain_update(TOMBSTONE_DOMAIN)
        .chain_update(at_ms.to_be_bytes())
        .chain_update(owner.as_compressed())
        .chain_update(root.to_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid::{RAW, v1};

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_secret_bytes(&[byte; 32]).unwrap()
    }

    fn record(owner: &NodeKey, created_ms: u64) -> Record {
        Record {
            root: v1(RAW, b"x"),
            size: 100,
            scheme: Scheme::Copies { factor: 3 },
            owner: owner.address(),
            created_ms,
            expires_ms: None,
        }
    }

    #[test]
    fn a_tombstone_ends_earlier_records_of_its_owner_only() {
        let (alice, bob) = (key(1), key(2));
        let tombstone = Tombstone::sign(&alice, v1(RAW, b"x"), 50);
        tombstone.verify().unwrap();
        assert!(tombstone.ends(&record(&alice, 50)));
        assert!(!tombstone.ends(&record(&alice, 51)));
        assert!(!tombstone.ends(&record(&bob, 10)));
    }

    #[test]
    fn a_changed_tombstone_is_not_honoured() {
        let tombstone = Tombstone::sign(&key(1), v1(RAW, b"x"), 50);
        let other = |change: fn(&mut Tombstone)| {
            let mut other = tombstone.clone();
            change(&mut other);
            other.verify()
        };
        assert!(other(|it| it.at_ms += 1).is_err());
        assert!(other(|it| it.root = v1(RAW, b"y")).is_err());
        assert!(other(|it| it.owner = key(2).address()).is_err());
        assert!(other(|it| it.signature[5] ^= 1).is_err());
    }

    #[test]
    fn shares_are_checked_against_the_scheme() {
        let mut record = record(&key(1), 0);
        assert_eq!(record.check_share(None), Ok(()));
        assert!(record.check_share(Some(0)).is_err());
        record.scheme = Scheme::Erasure {
            data: 10,
            parity: 4,
            manifest: v1(RAW, b"m"),
        };
        assert_eq!(record.check_share(Some(13)), Ok(()));
        assert!(record.check_share(Some(14)).is_err() && record.check_share(None).is_err());
        assert_eq!(record.share_bytes(), 10);
        for (data, parity) in [(0, 4), (10, 0), (30, 3), (255, 255)] {
            record.scheme = Scheme::Erasure {
                data,
                parity,
                manifest: record.root,
            };
            assert!(record.check().is_err());
        }
        record.scheme = Scheme::Copies { factor: 0 };
        assert!(record.check().is_err());
    }

    #[test]
    fn of_two_records_one_replaces_the_other_everywhere() {
        let (old, new) = (record(&key(1), 1), record(&key(1), 2));
        assert!(new.replaces(&old) && !old.replaces(&new) && !old.replaces(&old));
        let (a, b) = (record(&key(1), 1), record(&key(2), 1));
        assert!(a.replaces(&b) != b.replaces(&a));
    }
}
