//! Messages as wallets sign them (EIP-191, version 0x45 "personal message"), with the signer recovered from the
//! signature.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use crate::{PublicKey, SignatureError};

/// Length of a recoverable signature: `r || s || v`.
pub const PERSONAL_SIGNATURE_BYTES: usize = 65;

/// The digest that is signed: `keccak256("\x19Ethereum Signed Message:\n" || decimal length || message)`.
pub fn personal_digest(message: &[u8]) -> [u8; 32] {
    Keccak256::new_with_prefix(b"\x19Ethereum Signed Message:\n")
        .chain_update(message.len().to_string())
        .chain_update(message)
        .finalize()
        .into()
}

/// Who signed a message. As the Ratio1 contracts do, it refuses a high s and v other than 27 and 28.
///
/// # Errors
/// [`SignatureError::NoSigner`].
pub fn recover_personal(
    message: &[u8],
    signature: &[u8; PERSONAL_SIGNATURE_BYTES],
) -> Result<PublicKey, SignatureError> {
    let id = match signature[64] {
        27 => RecoveryId::new(false, false),
        28 => RecoveryId::new(true, false),
        _ => return Err(SignatureError::NoSigner),
    };
    let rs = Signature::from_slice(&signature[..64]).map_err(|_| SignatureError::NoSigner)?;
    if rs.normalize_s().is_some() {
        return Err(SignatureError::NoSigner);
    }
    VerifyingKey::recover_from_prehash(&personal_digest(message), &rs, id)
        .map(PublicKey::of)
        .map_err(|_| SignatureError::NoSigner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;

    #[test]
    fn the_signer_is_recovered_and_only_from_the_low_form() {
        let key = NodeKey::from_secret_bytes(&[7; 32]).unwrap();
        let signature = key.sign_personal(b"hello");
        assert_eq!(recover_personal(b"hello", &signature).unwrap(), *key.public_key());
        assert_ne!(
            recover_personal(b"hullo", &signature).ok(),
            Some(*key.public_key())
        );

        let low = Signature::from_slice(&signature[..64]).unwrap();
        let high = Signature::from_scalars(low.r().to_bytes(), (-*low.s()).to_bytes()).unwrap();
        let mut twisted = signature;
        twisted[..64].copy_from_slice(&high.to_bytes());
        twisted[64] = 55 - signature[64];
        assert_eq!(
            recover_personal(b"hello", &twisted),
            Err(SignatureError::NoSigner)
        );
        for v in [0, 1, 26, 29, 255] {
            let mut other = signature;
            other[64] = v;
            assert_eq!(
                recover_personal(b"hello", &other),
                Err(SignatureError::NoSigner),
                "v = {v}"
            );
        }
    }
}
