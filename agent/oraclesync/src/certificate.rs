//! Certificates: that more than two thirds of the oracles decided a value, checkable without trusting anyone.

use std::collections::BTreeSet;

use k256::ecdsa::VerifyingKey;
use r1_core::{EthAddress, Genesis, NodeAddress};
use serde::{Deserialize, Serialize};

use crate::{
    digest::{Domain, Hash},
    key::{KeyError, Signature, eth_address, public_key, verify},
    median::is_quorum,
    wire::{self, DecodeError, MAX_ORACLES},
};

/// One oracle of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oracle {
    /// Its EVM address, which names it in votes and certificates.
    pub eth: EthAddress,
    /// Its node address.
    pub node: NodeAddress,
    /// Its public key.
    pub key: VerifyingKey,
}

/// The oracles of a network, each with one vote, sorted by EVM address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSet {
    oracles: Vec<Oracle>,
}

impl ValidatorSet {
    /// The set of a genesis.
    ///
    /// # Errors
    /// [`KeyError::Point`] if an oracle's address is not a point of the curve.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, KeyError> {
        Self::new(genesis.oracles.iter().map(|oracle| oracle.address))
    }

    /// The set of some addresses; one named twice counts once.
    ///
    /// # Errors
    /// [`KeyError::Point`] if an address is not a point of the curve.
    pub fn new(addresses: impl IntoIterator<Item = NodeAddress>) -> Result<Self, KeyError> {
        let mut oracles = Vec::new();
        for node in addresses {
            let key = public_key(&node)?;
            oracles.push(Oracle {
                eth: eth_address(&key),
                node,
                key,
            });
        }
        oracles.sort_unstable_by_key(|oracle| oracle.eth);
        oracles.dedup_by_key(|oracle| oracle.eth);
        Ok(Self { oracles })
    }

    /// The oracles, sorted by EVM address.
    pub fn oracles(&self) -> &[Oracle] {
        &self.oracles
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.oracles.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.oracles.is_empty()
    }

    /// The oracle of an EVM address.
    pub fn by_eth(&self, eth: &EthAddress) -> Option<&Oracle> {
        self.oracles
            .binary_search_by_key(eth, |oracle| oracle.eth)
            .ok()
            .map(|index| &self.oracles[index])
    }

    /// The oracle of a node address.
    pub fn by_node(&self, node: &NodeAddress) -> Option<&Oracle> {
        self.oracles.iter().find(|oracle| oracle.node == *node)
    }

    /// Who proposes in a round of a height: they take turns.
    pub fn proposer(&self, height: u64, round: u32) -> Option<&Oracle> {
        let turn = u128::from(height.saturating_sub(1)) + u128::from(round);
        let index = turn.checked_rem(self.oracles.len() as u128)?;
        self.oracles.get(usize::try_from(index).ok()?)
    }

    /// True if that many of this set are more than two thirds.
    pub fn is_quorum(&self, some: usize) -> bool {
        is_quorum(some, self.len())
    }
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A signer is not an oracle.
    #[error("certificate of height {height}: signer {signer} is not an oracle")]
    Stranger {
        /// The certificate's height.
        height: u64,
        /// The signer.
        signer: EthAddress,
    },
    /// A signer is listed twice.
    #[error("certificate of height {height}: signer {signer} is listed twice")]
    Twice {
        /// The certificate's height.
        height: u64,
        /// The signer.
        signer: EthAddress,
    },
    /// A signature is not the signer's over this decision.
    #[error("certificate of height {height}: signature of {signer} is wrong")]
    Signature {
        /// The certificate's height.
        height: u64,
        /// The signer.
        signer: EthAddress,
    },
    /// Not more than two thirds signed.
    #[error(
        "certificate of height {height}: {signed} of {oracles} oracles signed, more than two thirds must"
    )]
    TooFew {
        /// The certificate's height.
        height: u64,
        /// How many signed.
        signed: usize,
        /// How many there are.
        oracles: usize,
    },
}

/// That the oracles decided a value at a height: their precommit signatures over one EIP-712 digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The height that was decided.
    pub height: u64,
    /// The round in which it was.
    pub round: u32,
    /// Keccak256 of the decided payload.
    pub value_id: Hash,
    /// Who signed, sorted by address.
    pub signatures: Vec<(EthAddress, Signature)>,
}

/// A certificate on the wire.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct WireCertificate {
    height: u64,
    round: u32,
    value_id: Hash,
    signatures: Vec<([u8; 20], Signature)>,
}

impl Certificate {
    /// Checks that distinct oracles of the set, more than two thirds of it, signed this decision.
    ///
    /// # Errors
    /// [`CertificateError`] with the first fault found.
    pub fn verify(&self, domain: &Domain, set: &ValidatorSet) -> Result<(), CertificateError> {
        let height = self.height;
        let digest = domain.precommit(height, self.round, &self.value_id);
        let mut seen = BTreeSet::new();
        for (signer, signature) in &self.signatures {
            let oracle = set.by_eth(signer).ok_or(CertificateError::Stranger {
                height,
                signer: *signer,
            })?;
            if !seen.insert(*signer) {
                return Err(CertificateError::Twice {
                    height,
                    signer: *signer,
                });
            }
            if !verify(&oracle.key, &digest, signature) {
                return Err(CertificateError::Signature {
                    height,
                    signer: *signer,
                });
            }
        }
        if set.is_quorum(seen.len()) {
            Ok(())
        } else {
            Err(CertificateError::TooFew {
                height,
                signed: seen.len(),
                oracles: set.len(),
            })
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&self.to_wire())
    }

    /// Reads a certificate; nothing is verified here.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but the one encoding of a certificate within the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_wire(wire::decode("certificate", bytes, MAX_CERTIFICATE_BYTES)?)
    }

    pub(crate) fn to_wire(&self) -> WireCertificate {
        WireCertificate {
            height: self.height,
            round: self.round,
            value_id: self.value_id,
            signatures: self
                .signatures
                .iter()
                .map(|(signer, s)| (*signer.as_bytes(), *s))
                .collect(),
        }
    }

    pub(crate) fn from_wire(wire: WireCertificate) -> Result<Self, DecodeError> {
        wire::at_most("certificate", "signatures", wire.signatures.len(), MAX_ORACLES)?;
        let signatures = wire
            .signatures
            .into_iter()
            .map(|(signer, s)| (EthAddress::new(signer), s))
            .collect();
        Ok(Self {
            height: wire.height,
            round: wire.round,
            value_id: wire.value_id,
            signatures,
        })
    }
}

/// Most bytes of a certificate: 84 for each signature and its header.
const MAX_CERTIFICATE_BYTES: usize = 64 + 84 * MAX_ORACLES;
