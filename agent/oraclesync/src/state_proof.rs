//! A proof that something is part of the state after a decided block: what a node hands to a light client that has the
//! genesis and nothing else.

use r1_core::hex_text;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    block::Block,
    certificate::{Certificate, CertificateError, ValidatorSet},
    digest::{Domain, keccak},
    wire::DecodeError,
};

/// A block, the certificate that it was decided, and something that leads to the block's state root.
///
/// As JSON the block and the certificate are their bytes, `0x…`; the fields of `proof` stand beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateProof<P> {
    /// The bytes of the block.
    #[serde(with = "hex_text")]
    pub block: Vec<u8>,
    /// That more than two thirds of the oracles decided it.
    #[serde(with = "certificate_text")]
    pub certificate: Certificate,
    /// What leads to the state root; the caller computes its root and compares it with the block's.
    #[serde(flatten)]
    pub proof: P,
}

/// Why a block and a certificate prove no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateProofError {
    /// The block is not the one that was signed.
    #[error("the block is not the one that the certificate of height {height} is for")]
    OtherBlock {
        /// The certificate's height.
        height: u64,
    },
    /// The block does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another network's block.
    #[error("block {height} belongs to another network")]
    Network {
        /// The block's height.
        height: u64,
    },
    /// The certificate is for another height.
    #[error("block {height} has a certificate of height {certified}")]
    Height {
        /// The block's height.
        height: u64,
        /// The certificate's.
        certified: u64,
    },
    /// The certificate proves nothing.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl<P> StateProof<P> {
    /// Checks that the oracles of a network decided the block, and returns it. Its state root is that of the state that
    /// they all computed.
    ///
    /// # Errors
    /// [`StateProofError`] with the first fault found.
    pub fn verify(&self, domain: &Domain, set: &ValidatorSet) -> Result<Block, StateProofError> {
        let certified = self.certificate.height;
        if keccak(&self.block) != self.certificate.value_id {
            return Err(StateProofError::OtherBlock { height: certified });
        }
        let block = Block::decode(&self.block)?;
        let height = block.height;
        if block.network != domain.network() {
            return Err(StateProofError::Network { height });
        }
        if height != certified {
            return Err(StateProofError::Height { height, certified });
        }
        self.certificate.verify(domain, set)?;
        Ok(block)
    }
}

/// A certificate as its bytes.
mod certificate_text {
    use super::{Certificate, Deserializer, Serializer, de, hex_text};

    pub fn serialize<S: Serializer>(certificate: &Certificate, serializer: S) -> Result<S::Ok, S::Error> {
        hex_text::serialize(&certificate.encode(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Certificate, D::Error> {
        let bytes: Vec<u8> = hex_text::deserialize(deserializer)?;
        Certificate::decode(&bytes).map_err(de::Error::custom)
    }
}
