//! The node daemon: wires the rooms together and owns all network I/O. It has no capabilities.

pub mod api;
pub mod chain;
pub mod clock;
pub mod config;
pub mod duties;
pub mod figures;
pub mod files;
pub mod follower;
pub mod gossip;
pub mod heartbeat;
pub mod host;
pub mod ledger;
pub mod licence;
pub mod mempool;
pub mod node;
pub mod persistence;
pub mod state_dir;
pub mod statements;
pub mod view;
