//! The light client: follows the decided blocks without voting and without trusting who delivers them.

use r1_core::Genesis;

use crate::{
    block::{Block, BlockError, DecidedBlock, Tip},
    certificate::{CertificateError, ValidatorSet},
    digest::{Domain, keccak},
    key::KeyError,
    wire::DecodeError,
};

/// Why a decided block is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The payload is not a block.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The block does not follow the tip, or its tables are wrong.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The certificate proves nothing.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is of another height or another payload.
    #[error("decided block {height}: its certificate is of another block")]
    Other {
        /// The height that was expected.
        height: u64,
    },
}

/// Verifies decided blocks in order. Pure: whoever drives it fetches, stores and applies.
#[derive(Debug, Clone)]
pub struct Follower {
    domain: Domain,
    set: ValidatorSet,
    tip: Tip,
}

impl Follower {
    /// A follower that starts at the genesis.
    ///
    /// # Errors
    /// [`KeyError::Point`] if an oracle of the genesis is not a point of the curve.
    pub fn new(genesis: &Genesis) -> Result<Self, KeyError> {
        let domain = Domain::of(genesis);
        Ok(Self {
            domain,
            set: ValidatorSet::from_genesis(genesis)?,
            tip: Tip::genesis(domain.network()),
        })
    }

    /// The last block accepted.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// The oracles.
    pub fn set(&self) -> &ValidatorSet {
        &self.set
    }

    /// Continues behind a block that this follower's owner verified and stored earlier.
    pub fn resume(&mut self, tip: Tip) {
        self.tip = tip;
    }

    /// Verifies the next decided block and moves the tip to it: certificate, payload hash, network, height,
    /// parent, time, and the tables of the epoch it closes.
    ///
    /// # Errors
    /// [`LightError`]; the tip stays where it was.
    pub fn accept(&mut self, decided: &DecidedBlock) -> Result<Block, LightError> {
        let certificate = &decided.certificate;
        let height = self.tip.height.saturating_add(1);
        if certificate.height != height || certificate.value_id != keccak(&decided.payload) {
            return Err(LightError::Other { height });
        }
        certificate.verify(&self.domain, &self.set)?;
        let block = Block::decode(&decided.payload)?;
        block.follows(&self.domain.network(), &self.tip)?;
        if let Some(close) = &block.epoch_close {
            close.verify(&self.domain, &self.set)?;
        }
        self.tip = block.tip(&decided.payload);
        Ok(block)
    }
}
