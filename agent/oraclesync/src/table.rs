//! An oracle's signed local table: what it saw of every node in one epoch.

use std::collections::BTreeMap;

use k256::ecdsa::VerifyingKey;
use r1_core::NodeAddress;
use serde::{Deserialize, Serialize};

use crate::{
    digest::{Domain, Hash, keccak},
    key::{OracleKey, Signature, verify},
    wire::{self, DecodeError, MAX_TABLE_BYTES, MAX_TABLE_NODES, Point},
};

/// What an oracle says about an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableBody {
    /// Availability (0..=255) of each node it saw; a node that is not in the map was not seen.
    Values(BTreeMap<NodeAddress, u8>),
    /// It was itself not available enough to judge.
    Abstained,
}

/// A table with the signature of the oracle that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTable {
    /// Who says it.
    pub oracle: NodeAddress,
    /// About which epoch.
    pub epoch: u64,
    /// What it says.
    pub body: TableBody,
    /// Over the epoch and the body, in the network's [`Domain`].
    pub signature: Signature,
}

/// The values on the wire: sorted by address, or none for an abstention.
type WireBody = Option<Vec<(Point, u8)>>;

/// A table on the wire.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct WireTable {
    oracle: Point,
    epoch: u64,
    body: WireBody,
    signature: Signature,
}

impl TableBody {
    fn to_wire(&self) -> WireBody {
        match self {
            Self::Values(values) => Some(values.iter().map(|(node, value)| (node.into(), *value)).collect()),
            Self::Abstained => None,
        }
    }

    fn hash(&self) -> Hash {
        keccak(&wire::encode(&self.to_wire()))
    }
}

impl SignedTable {
    /// Signs a table.
    pub fn sign(domain: &Domain, key: &OracleKey, epoch: u64, body: TableBody) -> Self {
        let signature = key.sign(&domain.table(epoch, &body.hash()));
        Self {
            oracle: key.node(),
            epoch,
            body,
            signature,
        }
    }

    /// True if the signature is of the key that is given (which must be the oracle's).
    pub fn is_signed_by(&self, domain: &Domain, key: &VerifyingKey) -> bool {
        verify(key, &domain.table(self.epoch, &self.body.hash()), &self.signature)
    }

    /// The values, or `None` for an abstention.
    pub fn values(&self) -> Option<&BTreeMap<NodeAddress, u8>> {
        match &self.body {
            TableBody::Values(values) => Some(values),
            TableBody::Abstained => None,
        }
    }

    /// The bytes for gossip.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&self.to_wire())
    }

    /// Reads a table; the signature is not checked here.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but the one encoding of a table within the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_wire(wire::decode("table", bytes, MAX_TABLE_BYTES)?)
    }

    pub(crate) fn to_wire(&self) -> WireTable {
        WireTable {
            oracle: (&self.oracle).into(),
            epoch: self.epoch,
            body: self.body.to_wire(),
            signature: self.signature,
        }
    }

    pub(crate) fn from_wire(table: WireTable) -> Result<Self, DecodeError> {
        let body = match table.body {
            None => TableBody::Abstained,
            Some(entries) => TableBody::Values(sorted_map(entries)?),
        };
        let oracle = table.oracle.address("table")?;
        Ok(Self {
            oracle,
            epoch: table.epoch,
            body,
            signature: table.signature,
        })
    }
}

fn sorted_map(entries: Vec<(Point, u8)>) -> Result<BTreeMap<NodeAddress, u8>, DecodeError> {
    wire::at_most("table", "nodes", entries.len(), MAX_TABLE_NODES)?;
    let mut map = BTreeMap::new();
    for (point, value) in entries {
        let node = point.address("table")?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= node) {
            return Err(DecodeError::Malformed {
                what: "table",
                why: "nodes are not sorted",
            });
        }
        map.insert(node, value);
    }
    Ok(map)
}
