//! Recoverable secp256k1 signatures in the form of EIP-191 personal messages over a 32-byte hash:
//! `keccak256("\x19Ethereum Signed Message:\n32" || hash)`, 65 bytes `r || s || v`, low s, v 27 or 28.

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use r1_core::{EthAddress, NodeAddress};
use sha3::{Digest, Keccak256};

/// Length of a signature.
pub const SIGNATURE_BYTES: usize = 65;

/// The digest that is signed for a 32-byte hash.
fn personal_digest(hash: &[u8; 32]) -> [u8; 32] {
    Keccak256::new_with_prefix(b"\x19Ethereum Signed Message:\n32")
        .chain_update(hash)
        .finalize()
        .into()
}

/// Signs a 32-byte hash. `secret` is a secp256k1 scalar; `None` if it is zero or not below the curve order.
pub fn sign_digest(secret: &[u8; 32], hash: &[u8; 32]) -> Option<[u8; SIGNATURE_BYTES]> {
    let key = SigningKey::from_slice(secret).ok()?;
    let (signature, recovery) = key.sign_prehash_recoverable(&personal_digest(hash)).ok()?;
    let mut out = [0; SIGNATURE_BYTES];
    out[..64].copy_from_slice(&signature.to_bytes());
    out[64] = 27 + recovery.to_byte();
    Some(out)
}

/// The key that signed a hash; `None` for what the contracts refuse (high s, v other than 27 and 28, no point).
fn recover(hash: &[u8; 32], signature: &[u8; SIGNATURE_BYTES]) -> Option<VerifyingKey> {
    let recovery = RecoveryId::from_byte(signature[64].checked_sub(27)?).filter(|id| !id.is_x_reduced())?;
    let rs = Signature::from_slice(&signature[..64]).ok()?;
    if rs.normalize_s().is_some() {
        return None;
    }
    VerifyingKey::recover_from_prehash(&personal_digest(hash), &rs, recovery).ok()
}

/// The EVM address that signed a hash.
pub(crate) fn recover_eth(hash: &[u8; 32], signature: &[u8; SIGNATURE_BYTES]) -> Option<EthAddress> {
    let point = recover(hash, signature)?.to_encoded_point(false);
    Some(EthAddress::from_uncompressed(
        point.as_bytes()[1..].try_into().ok()?,
    ))
}

/// The node address that signed a hash.
pub(crate) fn recover_node(hash: &[u8; 32], signature: &[u8; SIGNATURE_BYTES]) -> Option<NodeAddress> {
    let point = recover(hash, signature)?.to_encoded_point(true);
    NodeAddress::from_compressed(point.as_bytes().try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_names_its_signer_and_a_high_s_is_refused() {
        let signature = sign_digest(&[7; 32], &[1; 32]).unwrap();
        let signer = recover_eth(&[1; 32], &signature).unwrap();
        assert_ne!(recover_eth(&[2; 32], &signature), Some(signer));

        let low = Signature::from_slice(&signature[..64]).unwrap();
        let high = Signature::from_scalars(low.r().to_bytes(), (-*low.s()).to_bytes()).unwrap();
        let mut twisted = signature;
        twisted[..64].copy_from_slice(&high.to_bytes());
        twisted[64] = 27 + 28 - signature[64] + 27;
        assert_eq!(recover_eth(&[1; 32], &twisted), None);
    }

    #[test]
    fn only_27_and_28_are_recovery_values() {
        let signature = sign_digest(&[7; 32], &[1; 32]).unwrap();
        for v in [0, 1, 26, 29, 255] {
            let mut other = signature;
            other[64] = v;
            assert_eq!(recover_eth(&[1; 32], &other), None, "v = {v}");
        }
    }
}
