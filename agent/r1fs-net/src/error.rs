//! What the file plane refuses, by name of the object.

use std::fmt;

use libp2p::{Multiaddr, PeerId};
use r1_r1fs::Cid;

/// What a peer did when it was asked for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Answer {
    /// It said that it has not got it.
    #[error("does not have it")]
    DontHave,
    /// It said nothing in time.
    #[error("silent for too long")]
    Silent,
    /// It could not be reached, or left each time.
    #[error("unreachable")]
    Unreachable,
    /// It gave too many blocks that nobody asked for.
    #[error("gave wrong blocks")]
    Banned,
}

/// A peer and what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The peer.
    pub peer: PeerId,
    /// What it did.
    pub answer: Answer,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.peer, self.answer)
    }
}

/// Why a block did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Everybody was asked.
    #[error("block {cid}: none of {} peers gave it: {}", asked.len(), list(asked))]
    Missing {
        /// The block.
        cid: Cid,
        /// Who was asked, and what each did.
        asked: Vec<Asked>,
    },
    /// Its name has a hash that this node does not compute.
    #[error("block {cid}: only names with sha2-256 can be fetched")]
    Hash {
        /// The block.
        cid: Cid,
    },
    /// The network task has ended.
    #[error("block {cid}: the network has been shut down")]
    Closed {
        /// The block.
        cid: Cid,
    },
}

fn list(asked: &[Asked]) -> String {
    let names: Vec<_> = asked.iter().map(Asked::to_string).collect();
    names.join(", ")
}

/// What the file plane refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A setting is out of its range.
    #[error("setting {name}: {reason}")]
    Setting {
        /// The setting.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node's secret is not a secp256k1 scalar.
    #[error("the node's secret is not a secp256k1 key")]
    Secret,
    /// A key file of a private network is not one.
    #[error("swarm key: {0}")]
    SwarmKey(&'static str),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the transport said.
        reason: String,
    },
    /// An address cannot be dialled.
    #[error("cannot dial {address}: {reason}")]
    Dial {
        /// The address.
        address: Multiaddr,
        /// What the transport said.
        reason: String,
    },
    /// A request was too long, or too many were under way.
    #[error("request to {peer}: {what}")]
    Refused {
        /// Who was to be asked.
        peer: PeerId,
        /// Why it was not sent.
        what: String,
    },
    /// No answer.
    #[error("request to {peer} failed: {reason}")]
    Request {
        /// Who was asked.
        peer: PeerId,
        /// What happened.
        reason: String,
    },
    /// Provider records could not be written or found.
    #[error("provider record of {cid}: {reason}")]
    Record {
        /// The block.
        cid: Cid,
        /// What happened.
        reason: String,
    },
    /// The network task has ended.
    #[error("the file network has been shut down")]
    Closed,
}
