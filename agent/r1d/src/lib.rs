//! The node daemon: wires the rooms together and owns all network I/O. It has no capabilities.

pub mod config;
pub mod ledger;
pub mod state_dir;
