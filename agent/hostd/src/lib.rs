//! r1-hostd, the privileged half of a node: kernel probes and containers. It opens no IP socket and speaks
//! `org.ratio1.Host1` with r1d and root only.

pub mod cgroup;
pub mod config;
pub mod container;
pub mod daemon;
pub mod facts;
pub mod gpu;
pub mod metrics;
pub mod probe;
pub mod process;
pub mod runc;
pub mod server;
pub mod shim;
pub mod storage;
