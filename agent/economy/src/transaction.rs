//! Transactions: what an account asks of the ledger, signed.
//!
//! Wire form, version 2: one version byte, then postcard of [`SignedTransaction`]. The signed hash is
//! `keccak256("_R1_ECONOMY_TX" || version || postcard(Transaction))`.
//!
//! A transaction is valid as long as its nonce is the sender's next one: one that was refused can be sent again, by
//! anybody who has seen it, until the sender uses that nonce for something else.

use r1_core::{EthAddress, NodeAddress, hex_text};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::{
    Action, LicenceRef,
    signature::{SIGNATURE_BYTES, recover, sign_digest},
};

/// Longest encoded transaction that is looked at.
pub const MAX_TRANSACTION_BYTES: usize = 4096;
/// Version of the wire form.
const VERSION: u8 = 2;

/// Why bytes are not a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_TRANSACTION_BYTES`].
    #[error("transaction of {0} bytes is longer than {MAX_TRANSACTION_BYTES}")]
    TooLong(usize),
    /// The first byte names no known version.
    #[error("transaction version {0:?} is unknown")]
    Version(Option<u8>),
    /// The rest does not decode, or has bytes left over.
    #[error("transaction of {0} bytes is malformed")]
    Malformed(usize),
}

/// A 65-byte signature with serde support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; SIGNATURE_BYTES]);

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return hex_text::serialize(&self.0, serializer);
        }
        let (left, right) = self.0.split_at(32);
        let halves = (
            <[u8; 32]>::try_from(left),
            <[u8; 32]>::try_from(&right[..32]),
            self.0[64],
        );
        match halves {
            (Ok(r), Ok(s), v) => (r, s, v).serialize(serializer),
            _ => Err(serde::ser::Error::custom("signature halves")),
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return hex_text::deserialize(deserializer).map(Self);
        }
        let (r, s, v) = <([u8; 32], [u8; 32], u8)>::deserialize(deserializer)?;
        let mut out = [0; SIGNATURE_BYTES];
        out[..32].copy_from_slice(&r);
        out[32..64].copy_from_slice(&s);
        out[64] = v;
        Ok(Self(out))
    }
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The chain it is meant for.
    pub chain_id: u64,
    /// The sender's next number, from 0.
    pub nonce: u64,
    /// What it does.
    pub action: Action,
}

impl Transaction {
    /// The hash that is signed. Two senders may sign the same one; [`SignedTransaction::name`] tells them apart.
    pub fn hash(&self) -> [u8; 32] {
        Keccak256::new_with_prefix(b"_R1_ECONOMY_TX")
            .chain_update([VERSION])
            .chain_update(encode(self))
            .finalize()
            .into()
    }

    /// Signs it; `None` if `secret` is no secp256k1 scalar.
    pub fn sign(self, secret: &[u8; 32]) -> Option<SignedTransaction> {
        let signature = Signature(sign_digest(secret, &self.hash())?);
        Some(SignedTransaction {
            transaction: self,
            signature,
        })
    }
}

/// A transaction and its sender's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTransaction {
    /// What is signed.
    pub transaction: Transaction,
    /// EIP-191 signature over [`Transaction::hash`].
    pub signature: Signature,
}

impl SignedTransaction {
    /// The account that signed, or `None` if the signature is none.
    pub fn sender(&self) -> Option<EthAddress> {
        recover(&self.transaction.hash(), &self.signature.0).map(|key| key.eth_address())
    }

    /// What people and calls know the transaction by: keccak256 of its wire form.
    pub fn name(&self) -> [u8; 32] {
        Keccak256::digest(self.encode()).into()
    }

    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(encode(self));
        out
    }

    /// Reads the wire form. Never panics, allocates at most in proportion to the input.
    ///
    /// # Errors
    /// A [`DecodeError`] for what is too long, of another version, malformed or followed by more bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(DecodeError::TooLong(bytes.len()));
        }
        match bytes.split_first() {
            Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
                Ok((signed, [])) => Ok(signed),
                _ => Err(DecodeError::Malformed(bytes.len())),
            },
            other => Err(DecodeError::Version(other.map(|(version, _)| *version))),
        }
    }
}

/// The hash a node signs to agree that `owner` links `licence` to it:
/// `keccak256("_R1_ECONOMY_LINK" || chain id || owner || kind || number || node || nonce)`, integers as 8 bytes
/// big-endian, kind one byte (0 ND, 1 MND). `nonce` is how often the licence was linked before
/// ([`State::link_nonce`](crate::State::link_nonce)): an agreement serves one link.
pub fn link_consent(
    chain_id: u64,
    owner: &EthAddress,
    licence: LicenceRef,
    node: &NodeAddress,
    nonce: u64,
) -> [u8; 32] {
    let (kind, number) = match licence {
        LicenceRef::Nd(number) => (0, number),
        LicenceRef::Mnd(number) => (1, number),
    };
    Keccak256::new_with_prefix(b"_R1_ECONOMY_LINK")
        .chain_update(chain_id.to_be_bytes())
        .chain_update(owner.as_bytes())
        .chain_update([kind])
        .chain_update(number.to_be_bytes())
        .chain_update(node.as_compressed())
        .chain_update(nonce.to_be_bytes())
        .finalize()
        .into()
}

/// Canonical bytes of a value that always encodes (no maps with unknown length, no I/O).
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data encodes into memory")
}
