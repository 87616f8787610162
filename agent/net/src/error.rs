//! What the network refuses, by name of the object.

use libp2p::Multiaddr;
use r1_core::NodeAddress;

/// Why a peer did not serve a request although it understood it. The number is the wire's status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// It does not serve that protocol.
    #[error("it does not serve the protocol")]
    UnknownProtocol = 1,
    /// The request is longer than it accepts.
    #[error("the request is too long for it")]
    RequestTooLarge = 2,
    /// A rate limit or a full queue.
    #[error("it is busy or a rate limit was hit")]
    Busy = 3,
    /// Its application said no.
    #[error("its application refused")]
    Application = 4,
    /// The answer would be longer than the protocol allows.
    #[error("its answer would be too long")]
    ResponseTooLarge = 5,
}

impl Refusal {
    /// The refusal of a status byte; `None` for 0 (success) and unknown numbers.
    pub(crate) fn from_status(status: u8) -> Option<Self> {
        [
            Self::UnknownProtocol,
            Self::RequestTooLarge,
            Self::Busy,
            Self::Application,
            Self::ResponseTooLarge,
        ]
        .into_iter()
        .find(|refusal| *refusal as u8 == status)
    }
}

/// What the network refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A setting is out of its range.
    #[error("setting {name}: {reason}")]
    Setting {
        /// The setting, and the value where it helps.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node's secret is not a secp256k1 scalar.
    #[error("the node's secret is not a secp256k1 key")]
    Secret,
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
    /// The topic is not configured.
    #[error("topic {topic:?} is not configured")]
    UnknownTopic {
        /// The topic's short name.
        topic: String,
    },
    /// A message is longer than its topic allows. Nothing was sent.
    #[error("message of {size} bytes on topic {topic:?}: at most {limit} are allowed")]
    MessageTooLarge {
        /// The topic's short name.
        topic: String,
        /// The message's length, bytes.
        size: usize,
        /// The topic's limit, bytes.
        limit: usize,
    },
    /// Nobody who could pass the message on is connected. Nothing was sent; try again later.
    #[error("topic {topic:?}: no connected peer subscribes to it")]
    NoPeers {
        /// The topic's short name.
        topic: String,
    },
    /// The same bytes were published on the topic a short while ago.
    #[error("topic {topic:?}: the same message was already published")]
    Duplicate {
        /// The topic's short name.
        topic: String,
    },
    /// The send queues of all peers are full.
    #[error("topic {topic:?}: the send queues of all peers are full")]
    Congested {
        /// The topic's short name.
        topic: String,
    },
    /// The protocol is not configured.
    #[error("protocol {protocol:?} is not configured")]
    UnknownProtocol {
        /// The protocol's short name.
        protocol: String,
    },
    /// A request or response is longer than its protocol allows. Nothing was sent.
    #[error("{what} of {size} bytes in protocol {protocol:?}: at most {limit} are allowed")]
    BodyTooLarge {
        /// "request" or "response".
        what: &'static str,
        /// The protocol's short name.
        protocol: String,
        /// Its length, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The peer understood the request and refused it.
    #[error("{peer} refused a request in protocol {protocol:?}: {refusal}")]
    Refused {
        /// Who refused.
        peer: NodeAddress,
        /// The protocol's short name.
        protocol: String,
        /// Why.
        refusal: Refusal,
    },
    /// No answer in time. The peer may have acted on the request.
    #[error("{peer} did not answer in protocol {protocol:?} in time")]
    Timeout {
        /// Who was asked.
        peer: NodeAddress,
        /// The protocol's short name.
        protocol: String,
    },
    /// The peer could not be reached or the connection broke.
    #[error("request to {peer} in protocol {protocol:?} failed: {reason}")]
    Unreachable {
        /// Who was asked.
        peer: NodeAddress,
        /// The protocol's short name.
        protocol: String,
        /// What the transport said.
        reason: String,
    },
    /// Too many own requests wait for answers already.
    #[error("request to {peer}: {limit} own requests wait for answers already")]
    TooManyRequests {
        /// Who was to be asked.
        peer: NodeAddress,
        /// The limit.
        limit: usize,
    },
    /// The network task has ended.
    #[error("the network has been shut down")]
    Closed,
}
