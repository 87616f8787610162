//! The genesis of a network: what all its nodes must agree on before they speak to each other.

use serde::{Deserialize, Serialize};

use crate::{EpochClock, EthAddress, NodeAddress};

/// Most oracles a network may have (messages per height grow with the square).
const MAX_ORACLES: usize = 100;

/// Why a genesis is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The list of oracles is empty, too long or names an oracle twice.
    #[error("genesis of network {network:?}: {count} oracles; 1 to {MAX_ORACLES} different ones are needed")]
    Oracles {
        /// The network's name.
        network: String,
        /// How many oracles it lists.
        count: usize,
    },
    /// The epoch is too short to be measured.
    #[error("genesis of network {network:?}: epoch of {length_ms} ms is shorter than 1000 ms")]
    EpochTooShort {
        /// The network's name.
        network: String,
        /// The epoch's length.
        length_ms: u64,
    },
    /// Two licences share an id.
    #[error("genesis of network {network:?}: licence {id} is listed twice")]
    LicenceTwice {
        /// The network's name.
        network: String,
        /// The licence.
        id: u64,
    },
}

/// One oracle of the genesis set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesisOracle {
    /// The oracle's identity; the same key signs its consensus votes.
    pub address: NodeAddress,
    /// Where its consensus engine listens, e.g. `/ip4/127.0.0.1/tcp/9001`.
    pub consensus_addr: String,
    /// Where its r1d swarm listens, e.g. `/ip4/127.0.0.1/tcp/9101`.
    pub net_addr: String,
}

/// One node-deed (ND) licence that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesisLicence {
    /// The licence's id, unique in the network.
    pub id: u64,
    /// Who owns it, links it and is paid.
    pub owner: EthAddress,
}

/// The genesis file: equal on every node of a network, hashed into its first block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// The network's name, part of every topic and protocol name.
    pub network: String,
    /// Chain id in signed messages.
    pub chain_id: u64,
    /// Epoch arithmetic.
    pub epoch: EpochClock,
    /// Least own availability (0..=255) with which an oracle's local table counts.
    pub oracle_min_availability: u8,
    /// The oracles, all with voting power 1.
    pub oracles: Vec<GenesisOracle>,
    /// Licences that exist from the start.
    pub licences: Vec<GenesisLicence>,
    /// The economy's constants, a JSON object that r1-economy reads; empty for its defaults. It is part of
    /// the network's hash.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub economy: serde_json::Map<String, serde_json::Value>,
}

impl Genesis {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// A [`GenesisError`] that names the network and the first fault found.
    pub fn validate(&self) -> Result<(), GenesisError> {
        let network = || self.network.clone();
        let count = self.oracles.len();
        let mut addresses: Vec<_> = self.oracles.iter().map(|oracle| oracle.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if count == 0 || count > MAX_ORACLES || addresses.len() != count {
            return Err(GenesisError::Oracles {
                network: network(),
                count,
            });
        }
        if self.epoch.length_ms < 1000 {
            return Err(GenesisError::EpochTooShort {
                network: network(),
                length_ms: self.epoch.length_ms,
            });
        }
        let mut ids: Vec<_> = self.licences.iter().map(|licence| licence.id).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(GenesisError::LicenceTwice {
                network: network(),
                id: pair[0],
            }),
            None => Ok(()),
        }
    }

    /// True if the address is one of the oracles.
    pub fn is_oracle(&self, address: &NodeAddress) -> bool {
        self.oracles.iter().any(|oracle| oracle.address == *address)
    }
}
