//! The node daemon: wires the rooms together and owns all network I/O. It has no capabilities.

pub mod api;
pub mod chain;
pub mod clock;
pub mod config;
pub mod ledger;
pub mod mempool;
pub mod state_dir;
pub mod statements;
