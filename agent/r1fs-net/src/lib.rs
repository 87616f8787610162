//! The file plane's own libp2p swarm: Bitswap 1.2.0, provider records and replica requests.
//!
//! [`spawn`] starts one task that owns the swarm and returns a [`Handle`]. It speaks to any IPFS peer (Kubo, Helia) over
//! TCP with TLS or noise and yamux; with a [`SwarmKey`] only to those that share it. What is decided (whom to ask, whom
//! to serve next) is decided by pure state machines; hashing and reading the store happen off the network task.
//!
//! **What strangers may do.** A peer that was not announced with [`Handle::add_peer`] may read blocks, within
//! [`Limits::strangers`] and [`Limits::stranger_bytes_per_second`]. It cannot send requests to the application.
//! Confidentiality of what is read is not this crate's: blocks of sealed objects are given to everybody who names them.
//!
//! **What is not done.** A want that cannot be answered is answered DONT_HAVE (or not at all, if that was not asked for)
//! and forgotten; a block that comes later is not sent by itself. Providers found by [`Handle::find_providers`] are
//! dialled only if their addresses are known, from [`Handle::add_peer`] or from the provider table's own buckets.

mod behaviour;
mod blocks;
mod client;
mod config;
mod error;
mod handle;
mod handler;
mod message;
mod metrics;
mod muxer;
mod request;
mod security;
mod server;
mod session;
mod swarm;
mod swarm_key;
mod task;

pub use blocks::Blocks;
pub use client::{MAX_CANDIDATES, MAX_STRIKES};
pub use config::{
    COMMAND_QUEUE, Config, EVENT_QUEUE, Limits, MAX_ADDRESSES_PER_PEER, MAX_BODY, MAX_KNOWN_PEERS,
    MAX_NETWORK_NAME, MAX_PENDING_REPLIES, MAX_PENDING_REQUESTS, MAX_PROVIDED, MAX_SESSIONS, Security, Times,
};
pub use error::{Answer, Asked, FetchError, NetError};
pub use handle::{Event, Handle, Reply, Request, State};
pub use handler::{IDLE_STREAM, MAX_INBOUND, MAX_NAMING, MAX_PARTIAL, MAX_UNASKED_BYTES, STALLED};
pub use libp2p::{Multiaddr, PeerId};
pub use message::{
    DecodeError, Entry, MAX_BLOCKS, MAX_ENTRIES, MAX_MESSAGE, MAX_PRESENCES, Message, PROTOCOLS, Payload,
    Prefix, WantType,
};
pub use metrics::Metrics;
pub use server::{MAX_LOOKUPS, PRESENCE_COST, ServerLimits};
pub use session::Session;
pub use swarm::{AGENT, PROTOCOL_VERSION};
pub use swarm_key::SwarmKey;
pub use task::spawn;
