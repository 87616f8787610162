//! The public key that an address names.

use std::fmt;

use k256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
use r1_core::{EthAddress, NodeAddress};

/// Length of a signature over a digest: `r || s`.
pub const DIGEST_SIGNATURE_BYTES: usize = 64;

/// Why a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The address names no point of the curve.
    #[error("address {0} is not a point of secp256k1")]
    NoPoint(NodeAddress),
    /// Not a signature of this key over this digest, or with a high s.
    #[error("signature is not one of {0}")]
    Invalid(NodeAddress),
    /// The bytes are no recoverable signature: v is not 27 or 28, s is high, or no key fits.
    #[error("signature names no signer")]
    NoSigner,
}

/// A point of the curve; equal to its address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    address: NodeAddress,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.address)
    }
}

impl TryFrom<&NodeAddress> for PublicKey {
    type Error = SignatureError;

    fn try_from(address: &NodeAddress) -> Result<Self, Self::Error> {
        let key = VerifyingKey::from_sec1_bytes(address.as_compressed())
            .map_err(|_| SignatureError::NoPoint(*address))?;
        Ok(Self {
            key,
            address: *address,
        })
    }
}

impl PublicKey {
    pub(crate) fn of(key: VerifyingKey) -> Self {
        let mut point = [0; 33];
        point.copy_from_slice(key.to_encoded_point(true).as_bytes());
        let address = NodeAddress::from_compressed(point).expect("a compressed point has parity 2 or 3");
        Self { key, address }
    }

    /// The node's address.
    pub fn address(&self) -> NodeAddress {
        self.address
    }

    /// The EVM address of the same key.
    pub fn eth_address(&self) -> EthAddress {
        let point = self.key.to_encoded_point(false);
        let mut xy = [0; 64];
        xy.copy_from_slice(&point.as_bytes()[1..]);
        EthAddress::from_uncompressed(&xy)
    }

    /// Checks a signature of [`NodeKey::sign_digest`](crate::NodeKey::sign_digest). A high s is refused, so a
    /// signature has one form only.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify_digest(
        &self,
        digest: &[u8; 32],
        signature: &[u8; DIGEST_SIGNATURE_BYTES],
    ) -> Result<(), SignatureError> {
        Signature::from_slice(signature)
            .and_then(|signature| self.key.verify_prehash(digest, &signature))
            .map_err(|_| SignatureError::Invalid(self.address))
    }

    /// Checks an ASN.1 DER signature over a digest; a high s is accepted, since upstream makes such.
    pub(crate) fn verify_der(&self, digest: &[u8; 32], der: &[u8]) -> Result<(), SignatureError> {
        Signature::from_der(der)
            .map(|signature| signature.normalize_s().unwrap_or(signature))
            .and_then(|signature| self.key.verify_prehash(digest, &signature))
            .map_err(|_| SignatureError::Invalid(self.address))
    }

    pub(crate) fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;

    #[test]
    fn a_digest_is_signed_deterministically_and_for_one_key_only() {
        let (alice, bob) = (
            NodeKey::from_secret_bytes(&[1; 32]).unwrap(),
            NodeKey::from_secret_bytes(&[2; 32]).unwrap(),
        );
        let signature = alice.sign_digest(&[9; 32]);
        assert_eq!(signature, alice.sign_digest(&[9; 32]));
        let public = PublicKey::try_from(&alice.address()).unwrap();
        public.verify_digest(&[9; 32], &signature).unwrap();
        assert!(public.verify_digest(&[8; 32], &signature).is_err());
        assert!(bob.public_key().verify_digest(&[9; 32], &signature).is_err());
        assert!(public.verify_digest(&[9; 32], &[0; 64]).is_err());
    }

    #[test]
    fn a_high_s_is_refused_on_digests_and_accepted_on_envelopes() {
        let key = NodeKey::from_secret_bytes(&[1; 32]).unwrap();
        let low = Signature::from_slice(&key.sign_digest(&[9; 32])).unwrap();
        let high = Signature::from_scalars(low.r().to_bytes(), (-*low.s()).to_bytes()).unwrap();
        let public = key.public_key();
        assert!(public.verify_digest(&[9; 32], &high.to_bytes().into()).is_err());
        public.verify_der(&[9; 32], high.to_der().as_bytes()).unwrap();
    }

    #[test]
    fn an_address_off_the_curve_is_refused() {
        // x = 5 has no point on secp256k1.
        let mut point = [0; 33];
        (point[0], point[32]) = (2, 5);
        let address = NodeAddress::from_compressed(point).unwrap();
        assert_eq!(
            PublicKey::try_from(&address),
            Err(SignatureError::NoPoint(address))
        );
    }
}
