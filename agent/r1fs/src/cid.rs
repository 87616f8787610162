//! Names of blocks: CIDs whose multihash is sha2-256 (or, for reading, the identity).

use bytes::Bytes;
use cid::multihash::Multihash;
use sha2::{Digest as _, Sha256};

/// A content identifier (CIDv0 or CIDv1) with room for 64 bytes of digest.
pub type Cid = cid::CidGeneric<64>;

/// Largest block, bytes: 2 MiB, the largest that Bitswap peers exchange.
pub const MAX_BLOCK: usize = 2 << 20;
/// Longest data that an identity CID may carry in itself, bytes (Kubo's limit).
pub const MAX_IDENTITY: usize = 128;
/// Multicodec of bytes without links.
pub const RAW: u64 = 0x55;
/// Multicodec of dag-pb nodes.
pub const DAG_PB: u64 = 0x70;
/// Multihash code of sha2-256.
pub const SHA2_256: u64 = 0x12;
/// Multihash code of the identity: the digest is the data.
pub const IDENTITY: u64 = 0x00;

/// A block and its name. Whoever makes one has computed or checked the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The name.
    pub cid: Cid,
    /// The bytes, at most [`MAX_BLOCK`].
    pub data: Bytes,
}

/// Why bytes are not the block of a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The hash is another one.
    #[error("block {cid}: its bytes have another hash")]
    Mismatch {
        /// The name.
        cid: Cid,
    },
    /// The multihash is not one that this node computes.
    #[error("block {cid}: multihash code {code:#x} is not supported, only sha2-256 is")]
    Hash {
        /// The name.
        cid: Cid,
        /// The code.
        code: u64,
    },
    /// The block is too large.
    #[error("block {cid}: {bytes} bytes, at most {MAX_BLOCK} are allowed")]
    TooLarge {
        /// The name.
        cid: Cid,
        /// Its size.
        bytes: usize,
    },
}

/// The sha2-256 multihash of bytes.
pub fn sha2_256(data: &[u8]) -> Multihash<64> {
    wrap(&Sha256::digest(data))
}

fn wrap(digest: &[u8]) -> Multihash<64> {
    Multihash::wrap(SHA2_256, digest).expect("a digest of 32 bytes fits into a multihash of 64")
}

/// The CIDv1 (raw) of a digest: how a block is called where its codec is not known.
pub fn of_digest(digest: &[u8; 32]) -> Cid {
    Cid::new_v1(RAW, wrap(digest))
}

/// The sha2-256 digest inside a name; `None` for another hash.
pub fn digest_of(cid: &Cid) -> Option<[u8; 32]> {
    let hash = cid.hash();
    (hash.code() == SHA2_256)
        .then(|| hash.digest().try_into().ok())
        .flatten()
}

/// A CIDv0: dag-pb and sha2-256, 46 characters `Qm…`.
pub fn v0(data: &[u8]) -> Cid {
    Cid::new_v0(sha2_256(data)).expect("sha2-256 is what CIDv0 wants")
}

/// A CIDv1 of a codec, with sha2-256.
pub fn v1(codec: u64, data: &[u8]) -> Cid {
    Cid::new_v1(codec, sha2_256(data))
}

/// Checks that bytes are the block of a name.
///
/// # Errors
/// [`BlockError`] names the CID and what is wrong.
pub fn verify(cid: &Cid, data: &[u8]) -> Result<(), BlockError> {
    if data.len() > MAX_BLOCK {
        return Err(BlockError::TooLarge {
            cid: *cid,
            bytes: data.len(),
        });
    }
    let hash = cid.hash();
    let same = match hash.code() {
        SHA2_256 => *hash.digest() == *Sha256::digest(data),
        IDENTITY if hash.digest().len() <= MAX_IDENTITY => hash.digest() == data,
        code => return Err(BlockError::Hash { cid: *cid, code }),
    };
    if same {
        Ok(())
    } else {
        Err(BlockError::Mismatch { cid: *cid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_found() {
        let cid = v1(RAW, b"hello world\n");
        assert_eq!(
            cid.to_string(),
            "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
        );
        assert!(v0(b"x").to_string().starts_with("Qm"));
    }

    #[test]
    fn other_bytes_and_hashes_are_refused_by_name() {
        let cid = v1(RAW, b"a");
        assert_eq!(verify(&cid, b"a"), Ok(()));
        assert_eq!(verify(&cid, b"b"), Err(BlockError::Mismatch { cid }));
        let sha1 = Cid::new_v1(RAW, Multihash::wrap(0x11, &[0; 20]).unwrap());
        assert!(verify(&sha1, b"").unwrap_err().to_string().contains("0x11"));
        let identity = Cid::new_v1(RAW, Multihash::wrap(IDENTITY, b"hi").unwrap());
        assert_eq!(verify(&identity, b"hi"), Ok(()));
        assert!(verify(&identity, b"ho").is_err());
    }

    #[test]
    fn a_block_beyond_the_limit_is_refused_before_it_is_hashed() {
        let data = vec![0; MAX_BLOCK + 1];
        let error = verify(&v1(RAW, b""), &data).unwrap_err();
        assert!(matches!(error, BlockError::TooLarge { bytes, .. } if bytes == MAX_BLOCK + 1));
    }
}
