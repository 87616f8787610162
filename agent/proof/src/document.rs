//! The document as it is written to files: JSON, all bytes as `0x` and hexadecimal digits.

use r1_core::{Hex, NodeAddress};
use r1_economy::{
    RecordProof, Roots,
    availability::AvailabilityProof,
    merkle::{Hash, Proof},
};
use r1_oraclesync::StateProof;
use serde::{Deserialize, Serialize};

use crate::Subject;

/// Name and version of the format.
pub const FORMAT: &str = "r1-state-proof/1";

/// A proof with what it is said to be about. All of it is checked; nothing is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the network.
    pub network: String,
    /// What it is about.
    pub subject: Subject,
    /// Height of the block.
    pub height: u64,
    /// The block, its certificate and the record.
    #[serde(flatten)]
    pub proof: StateProof<Evidence>,
}

/// What leads to a block's state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "EvidenceText", into = "EvidenceText")]
pub struct Evidence {
    /// The record.
    pub record: RecordProof,
    /// For an availability: the node's leaf under the root in the epoch's record. None if the epoch was faulty.
    pub availability: Option<AvailabilityProof>,
}

#[derive(Clone, Serialize, Deserialize)]
struct EvidenceText {
    record: RecordText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    availability: Option<AvailabilityText>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordText {
    table: String,
    key: Hex<Vec<u8>>,
    value: Hex<Vec<u8>>,
    path: PathText,
    roots: Vec<RootText>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootText {
    table: String,
    len: u64,
    root: Hex<Hash>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AvailabilityText {
    node: NodeAddress,
    value: u8,
    path: PathText,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PathText {
    position: u64,
    len: u64,
    siblings: Vec<Hex<Hash>>,
}

impl From<Proof> for PathText {
    fn from(path: Proof) -> Self {
        Self {
            position: path.position,
            len: path.len,
            siblings: path.siblings.into_iter().map(Hex).collect(),
        }
    }
}

impl From<PathText> for Proof {
    fn from(text: PathText) -> Self {
        Self {
            position: text.position,
            len: text.len,
            siblings: text.siblings.into_iter().map(|hash| hash.0).collect(),
        }
    }
}

impl From<Evidence> for EvidenceText {
    fn from(evidence: Evidence) -> Self {
        let record = evidence.record;
        let root = |(table, len, root)| RootText {
            table,
            len,
            root: Hex(root),
        };
        let availability = evidence.availability.map(|proof| AvailabilityText {
            node: proof.node,
            value: proof.value,
            path: proof.path.into(),
        });
        Self {
            record: RecordText {
                table: record.table,
                key: Hex(record.key),
                value: Hex(record.value),
                path: record.path.into(),
                roots: record.roots.0.into_iter().map(root).collect(),
            },
            availability,
        }
    }
}

impl From<EvidenceText> for Evidence {
    fn from(text: EvidenceText) -> Self {
        let record = text.record;
        let root = |root: RootText| (root.table, root.len, root.root.0);
        let availability = text.availability.map(|text| AvailabilityProof {
            node: text.node,
            value: text.value,
            path: text.path.into(),
        });
        Self {
            record: RecordProof {
                table: record.table,
                key: record.key.0,
                value: record.value.0,
                path: record.path.into(),
                roots: Roots(record.roots.into_iter().map(root).collect()),
            },
            availability,
        }
    }
}
