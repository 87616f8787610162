//! What a proof is about, and where the ledger keeps it.

use std::fmt;

use r1_core::{EthAddress, NodeAddress};
use r1_economy::LicenceRef;
use serde::{Deserialize, Serialize};

/// What a proof is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Subject {
    /// What an account holds.
    Account {
        /// The account.
        address: EthAddress,
    },
    /// A licence of either kind.
    Licence {
        /// The licence, by its handle (`nd-7`, `mnd-2`, `gnd`).
        #[serde(with = "handle")]
        licence: LicenceRef,
    },
    /// A node's agreed availability in a closed epoch.
    Availability {
        /// The epoch.
        epoch: u64,
        /// The node.
        node: NodeAddress,
    },
}

impl Subject {
    /// The table of the state that has the record: for an availability the epoch's, whose root covers the nodes.
    pub fn table(&self) -> &'static str {
        match self {
            Self::Account { .. } => "accounts",
            Self::Licence {
                licence: LicenceRef::Nd(_),
            } => "deeds",
            Self::Licence {
                licence: LicenceRef::Mnd(_),
            } => "masters",
            Self::Availability { .. } => "epochs",
        }
    }

    /// The record's canonical key in that table.
    pub fn key(&self) -> Vec<u8> {
        let key = match self {
            Self::Account { address } => postcard::to_allocvec(address),
            Self::Licence { licence } => postcard::to_allocvec(&licence.number()),
            Self::Availability { epoch, .. } => postcard::to_allocvec(epoch),
        };
        key.expect("a number or an address encodes into memory")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { address } => write!(f, "account {address}"),
            Self::Licence { licence } => write!(f, "licence {licence}"),
            Self::Availability { epoch, node } => write!(f, "availability of {node} in epoch {epoch}"),
        }
    }
}

/// A licence as its handle.
mod handle {
    use r1_economy::LicenceRef;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(licence: &LicenceRef, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&licence.handle())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LicenceRef, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
