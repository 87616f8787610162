//! Signatures of accounts and nodes over 32-byte hashes: EIP-191 personal messages, so that any wallet can make
//! them.

use r1_identity::{NodeKey, PERSONAL_SIGNATURE_BYTES, PublicKey, recover_personal};

/// Length of a signature: `r || s || v`.
pub const SIGNATURE_BYTES: usize = PERSONAL_SIGNATURE_BYTES;

/// Signs a 32-byte hash. `secret` is a secp256k1 scalar; `None` if it is zero or not below the curve order.
pub fn sign_digest(secret: &[u8; 32], hash: &[u8; 32]) -> Option<[u8; SIGNATURE_BYTES]> {
    NodeKey::from_secret_bytes(secret)
        .ok()
        .map(|key| key.sign_personal(hash))
}

/// The key that signed a hash; `None` for what the contracts refuse too (high s, v other than 27 and 28, no point).
pub(crate) fn recover(hash: &[u8; 32], signature: &[u8; SIGNATURE_BYTES]) -> Option<PublicKey> {
    recover_personal(hash, signature).ok()
}
