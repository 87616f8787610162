//! The check of a document against a genesis. No clock, no network, no file.

use r1_core::{EthAddress, Genesis, Hex, NodeAddress};
use r1_economy::{
    EpochSummary, LicenceRef, availability::AvailabilityProof, bank::Account, deeds::NodeDeed,
    mnd::MasterDeed,
};
use r1_oraclesync::{Block, Domain, Hash, KeyError, StateProofError, ValidatorSet};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Document, FORMAT, Subject};

/// Why a document proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Another kind of document.
    #[error("format {0:?} is not {FORMAT:?}")]
    Format(String),
    /// The genesis names an oracle that is none.
    #[error("genesis: {0}")]
    Genesis(KeyError),
    /// The block was not decided by this network's oracles.
    #[error(transparent)]
    Block(#[from] StateProofError),
    /// The document says another height or network than its block.
    #[error("the document says {what} {said}, its block says {is}")]
    Label {
        /// What is said.
        what: &'static str,
        /// By the document.
        said: String,
        /// By the block, or the genesis that it belongs to.
        is: String,
    },
    /// The record was changed, or its way does not lead to its table's root.
    #[error("the record does not lead to the root of its table {0:?}")]
    Broken(String),
    /// A sound proof of another state.
    #[error(
        "the record belongs to the state {}, block {height} names {}",
        Hex(found),
        Hex(named)
    )]
    OtherState {
        /// The block's height.
        height: u64,
        /// The root that the record leads to.
        found: Hash,
        /// The block's.
        named: Hash,
    },
    /// A sound proof of another record.
    #[error("the record is not that of {0}")]
    OtherRecord(Subject),
    /// The record is none of those this program knows.
    #[error("the record of {subject} does not decode: {why}")]
    Record {
        /// What the document is about.
        subject: Subject,
        /// What is wrong.
        why: postcard::Error,
    },
    /// The leaf of the node is missing, or there is one that proves nothing.
    #[error("{subject}: {why}")]
    Leaf {
        /// What the document is about.
        subject: Subject,
        /// What is wrong.
        why: &'static str,
    },
}

/// What is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// What an account holds.
    Account {
        /// The account.
        address: EthAddress,
        /// What it holds.
        account: Account,
    },
    /// A node deed (ND).
    NodeDeed {
        /// Its number.
        id: u64,
        /// The deed.
        deed: Box<NodeDeed>,
    },
    /// A master node deed (MND); number 1 is the genesis node deed.
    MasterDeed {
        /// Its number.
        id: u64,
        /// The deed.
        deed: Box<MasterDeed>,
    },
    /// What the oracles agreed on about a node.
    Availability {
        /// The epoch.
        epoch: u64,
        /// The node.
        node: NodeAddress,
        /// 0..=255.
        value: u8,
    },
    /// Too few oracles could judge the epoch: every linked node counted as 255. Whether the node was linked is not proven.
    FaultyEpoch {
        /// The epoch.
        epoch: u64,
        /// The node that was asked about.
        node: NodeAddress,
    },
}

/// What a document proves: a fact, and who decided it when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// Name of the network, as the genesis has it.
    pub network: String,
    /// Height of the block.
    pub height: u64,
    /// The block's timestamp, ms since 1970-01-01 UTC, as its proposer had it and the others accepted it.
    pub timestamp_ms: u64,
    /// The state's root after the block.
    pub state_root: Hex<Hash>,
    /// How many oracles signed.
    pub signers: usize,
    /// How many there are.
    pub oracles: usize,
    /// The fact.
    pub fact: Fact,
}

impl Document {
    /// Checks the document against a genesis that the caller trusts: that the oracles of the genesis decided the block, and
    /// that the record is part of the state after it.
    ///
    /// # Errors
    /// [`ProofError`] with the first fault found.
    pub fn verify(&self, genesis: &Genesis) -> Result<Proven, ProofError> {
        if self.format != FORMAT {
            return Err(ProofError::Format(self.format.clone()));
        }
        let set = ValidatorSet::from_genesis(genesis).map_err(ProofError::Genesis)?;
        let block = self.proof.verify(&Domain::of(genesis), &set)?;
        self.check_labels(genesis, &block)?;
        self.check_record(&block)?;
        Ok(Proven {
            network: genesis.network.clone(),
            height: block.height,
            timestamp_ms: block.timestamp_ms,
            state_root: Hex(block.state_root),
            signers: self.proof.certificate.signatures.len(),
            oracles: set.len(),
            fact: self.fact()?,
        })
    }

    /// People read these.
    fn check_labels(&self, genesis: &Genesis, block: &Block) -> Result<(), ProofError> {
        let label = |what, said: String, is: String| match said == is {
            true => Ok(()),
            false => Err(ProofError::Label { what, said, is }),
        };
        label("network", self.network.clone(), genesis.network.clone())?;
        label("height", self.height.to_string(), block.height.to_string())
    }

    /// The record is part of the block's state, and the one that the document is about.
    fn check_record(&self, block: &Block) -> Result<(), ProofError> {
        let record = &self.proof.proof.record;
        let found = record
            .state_root()
            .ok_or_else(|| ProofError::Broken(record.table.clone()))?;
        if found != block.state_root {
            return Err(ProofError::OtherState {
                height: block.height,
                found,
                named: block.state_root,
            });
        }
        if record.table != self.subject.table() || record.key != self.subject.key() {
            return Err(ProofError::OtherRecord(self.subject));
        }
        Ok(())
    }

    fn fact(&self) -> Result<Fact, ProofError> {
        let leaf = &self.proof.proof.availability;
        match self.subject {
            Subject::Availability { epoch, node } => self.availability(epoch, node, leaf.as_ref()),
            _ if leaf.is_some() => Err(self.leaf("an availability proves nothing here")),
            Subject::Account { address } => Ok(Fact::Account {
                address,
                account: self.record()?,
            }),
            Subject::Licence {
                licence: LicenceRef::Nd(id),
            } => Ok(Fact::NodeDeed {
                id,
                deed: self.record()?,
            }),
            Subject::Licence {
                licence: LicenceRef::Mnd(id),
            } => Ok(Fact::MasterDeed {
                id,
                deed: self.record()?,
            }),
        }
    }

    fn availability(
        &self,
        epoch: u64,
        node: NodeAddress,
        leaf: Option<&AvailabilityProof>,
    ) -> Result<Fact, ProofError> {
        let summary: EpochSummary = self.record()?;
        let leaf = match (leaf, summary.faulty) {
            (None, true) => return Ok(Fact::FaultyEpoch { epoch, node }),
            (Some(_), true) => return Err(self.leaf("the epoch was faulty, no node has a value")),
            (None, false) => return Err(self.leaf("the node's value is missing")),
            (Some(leaf), false) => leaf,
        };
        if leaf.node != node {
            return Err(self.leaf("the value is another node's"));
        }
        if leaf.path.len != summary.nodes || leaf.root() != Some(summary.availability_root) {
            return Err(self.leaf("the value does not lead to the root in the epoch's record"));
        }
        Ok(Fact::Availability {
            epoch,
            node,
            value: leaf.value,
        })
    }

    fn leaf(&self, why: &'static str) -> ProofError {
        ProofError::Leaf {
            subject: self.subject,
            why,
        }
    }

    /// The record, which must be the whole of its bytes.
    fn record<T: DeserializeOwned>(&self) -> Result<T, ProofError> {
        let refuse = |why| ProofError::Record {
            subject: self.subject,
            why,
        };
        let (value, rest) = postcard::take_from_bytes(&self.proof.proof.record.value).map_err(refuse)?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(refuse(postcard::Error::DeserializeBadEncoding))
        }
    }
}
