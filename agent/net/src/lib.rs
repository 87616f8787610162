//! The libp2p swarm of a node: transports, topics, request-response, limits.
//!
//! [`spawn`] starts one task that owns the swarm and returns a [`Handle`] to ask it for something and a receiver of
//! [`Event`]s. TCP (noise, yamux) and QUIC carry everything; peers find each other through bootstrap addresses and a
//! Kademlia table. Every topic and protocol name contains the network's name, and a peer that says it belongs to
//! another network is disconnected.
//!
//! **What the caller must do.** Take events promptly: while [`EVENT_QUEUE`] of them wait, gossip is ignored and requests
//! are refused. Judge each [`GossipMessage`]: only accepted ones are passed on; a message whose [`Verdict`] is dropped
//! or late is ignored. Rejection costs the peers that delivered the message their score, and four rejections
//! in a short time ban them for [`Times::ban`]: reject only what no honest peer passes on, ignore the rest.
//!
//! **What is not defended.** A gossip message may be replayed by anyone once its id is forgotten
//! ([`DUPLICATE_MEMORY`]); sequence numbers inside the data are the application's. `source` is who signed the gossip
//! message, which says nothing about signatures inside its data.

mod behaviour;
mod bootstrap;
mod config;
mod error;
mod gossip;
mod handle;
mod metrics;
mod peer;
mod rate;
mod request;
mod resolve;
mod task;

pub use config::{
    COMMAND_QUEUE, Config, DUPLICATE_MEMORY, EVENT_QUEUE, GOSSIP_HEARTBEAT, IDENTIFY_PATIENCE, Limits,
    MAX_ADDRESSES_PER_PEER, MAX_BANS, MAX_BODY, MAX_NAMES, MAX_NETWORK_NAME, MAX_PENDING_REPLIES,
    MAX_PENDING_REQUESTS, MAX_PENDING_VERDICTS, MAX_REQUEST_STREAMS, MAX_SHORT_NAME, ProtocolConfig, Times,
    TopicConfig,
};
pub use error::{NetError, Refusal};
pub use handle::{Acceptance, Event, GossipMessage, Handle, Reply, Request, State, Verdict};
pub use libp2p::{Multiaddr, PeerId};
pub use metrics::{Direction, DirectionLabel, Metrics, PerProtocol, PerTopic, ProtocolLabel, TopicLabel};
pub use peer::{node_address, peer_id, with_peer};
pub use rate::RateLimit;
pub use task::spawn;
