//! Keys and signatures of oracles: 64-byte low-S secp256k1 over a 32-byte digest.

use k256::ecdsa::{
    Signature as Ecdsa, SigningKey, VerifyingKey,
    signature::hazmat::{PrehashSigner, PrehashVerifier},
};
use r1_core::{EthAddress, NodeAddress};
use serde::{Deserialize, Serialize};

use crate::digest::Hash;

/// Why bytes are not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret is zero or not below the curve's order.
    #[error("secret key is not a secp256k1 scalar")]
    Secret,
    /// The address is not a point on the curve.
    #[error("oracle {0} is not a point of secp256k1")]
    Point(NodeAddress),
}

/// A signature `r || s` with s in the lower half of the order; without recovery id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signature([u8; 32], [u8; 32]);

impl Signature {
    /// A signature of its 64 bytes; whether it is one is checked by [`verify`].
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self(r, s)
    }

    /// The 64 bytes.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out[..32].copy_from_slice(&self.0);
        out[32..].copy_from_slice(&self.1);
        out
    }

    pub(crate) fn of_ecdsa(signature: &Ecdsa) -> Self {
        let bytes = signature.to_bytes();
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self(r, s)
    }

    /// The scalars, unless one of them is zero or too large.
    pub(crate) fn to_ecdsa(self) -> Option<Ecdsa> {
        Ecdsa::from_scalars(self.0, self.1).ok()
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// True if the signature is of that key over that digest and its s is low.
pub fn verify(key: &VerifyingKey, digest: &Hash, signature: &Signature) -> bool {
    signature
        .to_ecdsa()
        .is_some_and(|ecdsa| ecdsa.normalize_s().is_none() && key.verify_prehash(digest, &ecdsa).is_ok())
}

/// The public key of a node address.
pub(crate) fn public_key(address: &NodeAddress) -> Result<VerifyingKey, KeyError> {
    VerifyingKey::from_sec1_bytes(address.as_compressed()).map_err(|_| KeyError::Point(*address))
}

/// The EVM address of a public key.
pub(crate) fn eth_address(key: &VerifyingKey) -> EthAddress {
    let point = key.to_encoded_point(false);
    let mut xy = [0; 64];
    xy.copy_from_slice(&point.as_bytes()[1..]);
    EthAddress::from_uncompressed(&xy)
}

/// An oracle's signing key: the node's own secp256k1 key.
#[derive(Clone)]
pub struct OracleKey {
    secret: SigningKey,
    node: NodeAddress,
    eth: EthAddress,
}

impl OracleKey {
    /// The key of a 32-byte big-endian secret scalar.
    ///
    /// # Errors
    /// [`KeyError::Secret`] if the scalar is zero or not below the curve's order.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = SigningKey::from_slice(secret).map_err(|_| KeyError::Secret)?;
        let public = *secret.verifying_key();
        let mut point = [0; 33];
        point.copy_from_slice(public.to_encoded_point(true).as_bytes());
        let node = NodeAddress::from_compressed(point).ok_or(KeyError::Secret)?;
        Ok(Self {
            secret,
            node,
            eth: eth_address(&public),
        })
    }

    /// The node address.
    pub fn node(&self) -> NodeAddress {
        self.node
    }

    /// The EVM address, which names a signer in a certificate.
    pub fn eth(&self) -> EthAddress {
        self.eth
    }

    /// Signs a digest (deterministic, RFC 6979; low S).
    pub fn sign(&self, digest: &Hash) -> Signature {
        let raw: Ecdsa = self
            .secret
            .sign_prehash(digest)
            .expect("a 32-byte digest can always be signed");
        Signature::of_ecdsa(&raw.normalize_s().unwrap_or(raw))
    }

    #[cfg(feature = "engine")]
    pub(crate) fn secret(&self) -> &SigningKey {
        &self.secret
    }
}

impl std::fmt::Debug for OracleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OracleKey({})", self.node)
    }
}

#[cfg(feature = "engine")]
impl From<&r1_identity::NodeKey> for OracleKey {
    /// The node's own key signs its votes.
    fn from(key: &r1_identity::NodeKey) -> Self {
        Self::from_secret(&key.secret_bytes()).expect("a node key is a secp256k1 scalar")
    }
}
