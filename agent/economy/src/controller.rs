//! The oracles of the contracts and what counts as their agreement: enough distinct signatures.

use r1_core::{EthAddress, U256};
use r1_identity::recover_personal;
use serde::{Deserialize, Serialize};

use crate::{
    SIGNATURE_BYTES,
    merkle::Hash,
    table::{Journal, Table, Var},
};

/// Half of the secp256k1 group's order: the largest s that is accepted.
const HALF_ORDER: U256 = U256::from_limbs([
    0xDFE9_2F46_681B_20A0,
    0x5D57_6E73_57A4_501D,
    0xFFFF_FFFF_FFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
]);

/// Why the controller refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerRefusal {
    /// Fewer signatures than are needed.
    #[error("{got} signatures of oracles, {needed} are needed")]
    Insufficient {
        /// How many came.
        got: usize,
        /// How many are needed.
        needed: u8,
    },
    /// No signature at all where none is demanded; the contract reads past the end of the list.
    #[error("no signature of an oracle")]
    None,
    /// Not 65 bytes.
    #[error("signature {index} has {length} bytes, not 65")]
    Length {
        /// Which one, from 0.
        index: usize,
        /// Its length.
        length: usize,
    },
    /// The upper of the two forms of s.
    #[error("signature {index} has a high s {s:#066x}")]
    HighS {
        /// Which one, from 0.
        index: usize,
        /// Its s.
        s: U256,
    },
    /// No key made it.
    #[error("signature {index} recovers to no key")]
    Unrecoverable {
        /// Which one, from 0.
        index: usize,
    },
    /// The signer is not an oracle.
    #[error("signature {index} is of {signer}, which is not an oracle")]
    NotOracle {
        /// Which one, from 0.
        index: usize,
        /// Who signed.
        signer: EthAddress,
    },
    /// An oracle signed twice.
    #[error("signature {index} is of {signer}, which signed before")]
    Duplicate {
        /// Which one, from 0.
        index: usize,
        /// Who signed.
        signer: EthAddress,
    },
    /// The oracle is there already.
    #[error("oracle {0} is there already")]
    Known(EthAddress),
    /// No such oracle.
    #[error("oracle {0} does not exist")]
    Unknown(EthAddress),
}

impl ControllerRefusal {
    /// The contract's error.
    pub fn revert(&self) -> String {
        match self {
            Self::Insufficient { .. } => "Insufficient signatures".to_owned(),
            Self::None => "panic 0x32".to_owned(),
            Self::Length { length, .. } => format!("ECDSAInvalidSignatureLength({length})"),
            Self::HighS { s, .. } => format!("ECDSAInvalidSignatureS(\"{s:#066x}\")"),
            Self::Unrecoverable { .. } => "ECDSAInvalidSignature()".to_owned(),
            Self::NotOracle { .. } => "Invalid oracle signature".to_owned(),
            Self::Duplicate { .. } => "Duplicate oracle signature".to_owned(),
            Self::Known(_) => "Oracle already exists".to_owned(),
            Self::Unknown(_) => "Oracle does not exist".to_owned(),
        }
    }
}

/// An oracle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oracle {
    /// Since when it is one, ms since 1970-01-01 UTC.
    pub added_at_ms: u64,
    /// How many of its signatures were accepted.
    pub signatures: u64,
}

/// The oracles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controller {
    /// The oracles by address.
    pub oracles: Table<EthAddress, Oracle>,
    /// Signatures that a claim needs.
    pub minimum_signatures: Var<u8>,
}

/// Who made a signature over a hash.
fn signer(index: usize, hash: &Hash, signature: &[u8]) -> Result<EthAddress, ControllerRefusal> {
    let length = signature.len();
    let signature: &[u8; SIGNATURE_BYTES] = signature
        .try_into()
        .map_err(|_| ControllerRefusal::Length { index, length })?;
    let s = U256::from_be_slice(&signature[32..64]);
    if s > HALF_ORDER {
        return Err(ControllerRefusal::HighS { index, s });
    }
    recover_personal(hash, signature)
        .map(|key| key.eth_address())
        .map_err(|_| ControllerRefusal::Unrecoverable { index })
}

impl Controller {
    /// Without oracles; `minimum_signatures` is at least 1.
    pub fn new(minimum_signatures: u8) -> Self {
        Self {
            oracles: Table::default(),
            minimum_signatures: Var::new(minimum_signatures),
        }
    }

    /// Adds an oracle.
    ///
    /// # Errors
    /// [`ControllerRefusal::Known`].
    pub fn add(&mut self, oracle: EthAddress, added_at_ms: u64) -> Result<(), ControllerRefusal> {
        if self.oracles.contains(&oracle) {
            return Err(ControllerRefusal::Known(oracle));
        }
        let record = Oracle {
            added_at_ms,
            signatures: 0,
        };
        self.oracles.insert(oracle, record);
        Ok(())
    }

    /// Removes an oracle.
    ///
    /// # Errors
    /// [`ControllerRefusal::Unknown`].
    pub fn remove(&mut self, oracle: &EthAddress) -> Result<(), ControllerRefusal> {
        match self.oracles.remove(oracle) {
            Some(_) => Ok(()),
            None => Err(ControllerRefusal::Unknown(*oracle)),
        }
    }

    /// Checks that oracles signed a hash, counts their signatures and returns the first signer. One signature that is
    /// not a distinct oracle's refuses all.
    ///
    /// # Errors
    /// What the contract refuses, in its order.
    pub fn verify(
        &mut self,
        hash: &Hash,
        signatures: &[Vec<u8>],
        require_minimum: bool,
    ) -> Result<EthAddress, ControllerRefusal> {
        let (got, needed) = (signatures.len(), *self.minimum_signatures);
        if require_minimum && got < usize::from(needed) {
            return Err(ControllerRefusal::Insufficient { got, needed });
        }
        let mut signers: Vec<EthAddress> = Vec::new();
        for (index, signature) in signatures.iter().enumerate() {
            let signer = signer(index, hash, signature)?;
            if !self.oracles.contains(&signer) {
                return Err(ControllerRefusal::NotOracle { index, signer });
            }
            if signers.contains(&signer) {
                return Err(ControllerRefusal::Duplicate { index, signer });
            }
            signers.push(signer);
        }
        for signer in &signers {
            if let Some(oracle) = self.oracles.get_mut(signer) {
                oracle.signatures = oracle.signatures.saturating_add(1);
            }
        }
        signers.first().copied().ok_or(ControllerRefusal::None)
    }
}

impl Journal for Controller {
    fn is_open(&self) -> bool {
        self.oracles.is_open()
    }

    fn begin(&mut self) {
        self.oracles.begin();
        self.minimum_signatures.begin();
    }

    fn commit(&mut self) {
        self.oracles.commit();
        self.minimum_signatures.commit();
    }

    fn rollback(&mut self) {
        self.oracles.rollback();
        self.minimum_signatures.rollback();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sign_digest;

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_trace(signatures in prop::collection::vec(prop::collection::vec(any::<u8>(), 60..70), 0..4)) {
            let mut controller = Controller::new(1);
            controller.add(EthAddress::new([1; 20]), 0).unwrap();
            let before = controller.clone();
            prop_assert!(controller.verify(&[7; 32], &signatures, true).is_err());
            prop_assert_eq!(controller, before);
        }
    }

    #[test]
    fn accepted_signatures_are_counted() {
        let (secret, hash) = ([9; 32], [7; 32]);
        let signature = sign_digest(&secret, &hash).unwrap().to_vec();
        let oracle = signer(0, &hash, &signature).unwrap();
        let mut controller = Controller::new(1);
        controller.add(oracle, 5).unwrap();
        assert_eq!(controller.add(oracle, 5), Err(ControllerRefusal::Known(oracle)));
        assert_eq!(
            controller.verify(&hash, std::slice::from_ref(&signature), true),
            Ok(oracle)
        );
        assert_eq!(controller.oracles.get(&oracle).unwrap().signatures, 1);
        controller.remove(&oracle).unwrap();
        let refused = controller.verify(&hash, &[signature], true).unwrap_err();
        assert!(refused.to_string().contains(&oracle.to_string()), "{refused}");
    }
}
