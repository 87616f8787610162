//! How a node makes a document out of its state and the last block.

use std::collections::BTreeMap;

use r1_core::{Genesis, NodeAddress};
use r1_economy::{State, availability};
use r1_oraclesync::{DecidedBlock, StateProof};

use crate::{Document, Evidence, FORMAT, Subject};

/// What cannot be proven because it is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The ledger has no such record.
    #[error("{0}: the ledger has no such record")]
    Record(Subject),
    /// The epoch's tree has no leaf of the node.
    #[error("{0}: the oracles agreed on none, so it counts as 0; that cannot be proven")]
    Leaf(Subject),
}

impl Evidence {
    /// Proves a subject in a state. `agreed`: the agreed values of the epoch that the subject is about, if it is about one;
    /// `None` if the epoch was faulty.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn of(
        subject: Subject,
        state: &mut State,
        agreed: Option<&BTreeMap<NodeAddress, u8>>,
    ) -> Result<Self, Missing> {
        let record = state
            .prove(subject.table(), &subject.key())
            .ok_or(Missing::Record(subject))?;
        let availability = match (subject, agreed) {
            (Subject::Availability { node, .. }, Some(agreed)) => {
                Some(availability::prove(agreed, &node).ok_or(Missing::Leaf(subject))?)
            }
            _ => None,
        };
        Ok(Self { record, availability })
    }
}

impl Document {
    /// The document of a block that was decided and of a record of the state after it, which the caller vouches for.
    pub fn new(genesis: &Genesis, subject: Subject, decided: DecidedBlock, evidence: Evidence) -> Self {
        Self {
            format: FORMAT.to_owned(),
            network: genesis.network.clone(),
            subject,
            height: decided.certificate.height,
            proof: StateProof {
                block: decided.payload,
                certificate: decided.certificate,
                proof: evidence,
            },
        }
    }
}
