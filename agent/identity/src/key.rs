//! The secret key of a node.

use std::fmt;

use k256::{
    NonZeroScalar, SecretKey,
    ecdsa::{Signature, SigningKey},
    elliptic_curve::ops::Reduce,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use r1_core::{EthAddress, NodeAddress};
use rand::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{DIGEST_SIGNATURE_BYTES, PERSONAL_SIGNATURE_BYTES, PublicKey, personal_digest};

/// Why bytes or a text are no key. Says nothing about their content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Zero, or not below the order of the curve.
    #[error("secret key is not a secp256k1 scalar")]
    Scalar,
    /// The PEM text is protected by a password.
    #[error("key is encrypted with a password; an unencrypted PKCS#8 PEM is needed")]
    Encrypted,
    /// Not an unencrypted PKCS#8 PEM with a secp256k1 key.
    #[error("key is not an unencrypted PKCS#8 PEM of a secp256k1 key")]
    Pem,
}

/// A node's secret key. It signs as the node (`0xai_`) and as its EVM account.
///
/// Not `Clone`: share it in an `Arc`. The secret is zeroed when it is dropped.
pub struct NodeKey {
    signing: SigningKey,
    public: PublicKey,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.address())
    }
}

impl NodeKey {
    fn new(signing: SigningKey) -> Self {
        let public = PublicKey::of(*signing.verifying_key());
        Self { signing, public }
    }

    /// A new key from a random generator.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self::new(SigningKey::random(rng))
    }

    /// The key of a secret scalar, big-endian.
    ///
    /// # Errors
    /// [`KeyError::Scalar`].
    pub fn from_secret_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        SigningKey::from_slice(secret)
            .map(Self::new)
            .map_err(|_| KeyError::Scalar)
    }

    /// The key that upstream makes of a list of words: SHA-256 of the words joined with `;`, modulo the order of the
    /// curve. It is as strong as the words are.
    ///
    /// # Errors
    /// [`KeyError::Scalar`] if the result is zero, which no known words give.
    pub fn from_words<T: AsRef<str>>(words: &[T]) -> Result<Self, KeyError> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let joined = Zeroizing::new(words.join(";"));
        let digest = Sha256::digest(joined.as_bytes());
        let scalar = <k256::Scalar as Reduce<k256::U256>>::reduce_bytes(&digest);
        let scalar = Option::<NonZeroScalar>::from(NonZeroScalar::new(scalar)).ok_or(KeyError::Scalar)?;
        Ok(Self::new(SigningKey::from(scalar)))
    }

    /// Reads a PKCS#8 PEM without password, as the upstream nodes keep it.
    ///
    /// # Errors
    /// [`KeyError::Encrypted`], [`KeyError::Pem`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        SigningKey::from_pkcs8_pem(pem.trim())
            .map(Self::new)
            .map_err(|_| KeyError::Pem)
    }

    /// The key as PKCS#8 PEM, without password.
    pub fn to_pem(&self) -> Zeroizing<String> {
        SecretKey::from(&self.signing)
            .to_pkcs8_pem(LineEnding::LF)
            .expect("a key of a named curve always encodes")
    }

    /// The secret scalar, big-endian: for libraries that build their own key pair of it.
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes().into())
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The node's address.
    pub fn address(&self) -> NodeAddress {
        self.public.address()
    }

    /// The EVM address of the same key.
    pub fn eth_address(&self) -> EthAddress {
        self.public.eth_address()
    }

    /// Signs 32 bytes that are already a hash: ECDSA with the nonce of RFC 6979, `r || s`, low s. Verified by
    /// [`PublicKey::verify_digest`].
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; DIGEST_SIGNATURE_BYTES] {
        self.sign_recoverable(digest).0.to_bytes().into()
    }

    /// Signs a message as wallets do (EIP-191 personal message): 65 bytes `r || s || v`, low s, v 27 or 28.
    pub fn sign_personal(&self, message: &[u8]) -> [u8; PERSONAL_SIGNATURE_BYTES] {
        let (signature, parity) = self.sign_recoverable(&personal_digest(message));
        let mut out = [0; PERSONAL_SIGNATURE_BYTES];
        out[..64].copy_from_slice(&signature.to_bytes());
        out[64] = 27 + parity;
        out
    }

    /// Signs 32 bytes that are already a hash, as ASN.1 DER.
    pub(crate) fn sign_der(&self, digest: &[u8; 32]) -> Vec<u8> {
        self.sign_recoverable(digest).0.to_der().as_bytes().to_vec()
    }

    fn sign_recoverable(&self, digest: &[u8; 32]) -> (Signature, u8) {
        // Fails only for a nonce of zero or an x coordinate above the order, which nobody has ever seen.
        let (signature, id) = self
            .signing
            .sign_prehash_recoverable(digest)
            .expect("an RFC 6979 nonce gives a signature");
        (signature, u8::from(id.is_y_odd()))
    }

    pub(crate) fn scalar(&self) -> &NonZeroScalar {
        self.signing.as_nonzero_scalar()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_give_the_key_that_upstream_gives() {
        // sha256("a;b;c") as a scalar.
        let key = NodeKey::from_words(&["a", "b", "c"]).unwrap();
        let digest: [u8; 32] = Sha256::digest(b"a;b;c").into();
        assert_eq!(*key.secret_bytes(), digest);
    }

    #[test]
    fn a_pem_reads_back_and_debug_hides_the_secret() {
        let key = NodeKey::from_secret_bytes(&[7; 32]).unwrap();
        let again = NodeKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(*again.secret_bytes(), [7; 32]);
        assert_eq!(format!("{key:?}"), format!("NodeKey({})", key.address()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(
            NodeKey::from_secret_bytes(&[0; 32]).unwrap_err(),
            KeyError::Scalar
        );
        assert_eq!(
            NodeKey::from_secret_bytes(&[0xff; 32]).unwrap_err(),
            KeyError::Scalar
        );
        assert_eq!(NodeKey::from_pem("hello").unwrap_err(), KeyError::Pem);
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(NodeKey::from_pem(encrypted).unwrap_err(), KeyError::Encrypted);
    }
}
