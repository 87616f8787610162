//! Whole local networks of real processes on loopback: laid out in a folder, started, looked at, broken and ended.
//!
//! `cargo xtask up` shows one to people; the tests of `tests/cluster` break them. The crate depends on little and
//! builds in seconds: it speaks to the programs only through files, signals and the control socket.

mod cgroup;
mod claim;
mod daemon;
mod error;
mod http;
mod image;
mod layout;
mod machine;
mod network;
mod node;

pub use daemon::{Daemon, is_alive, start_time};
pub use error::Error;
pub use http::{Answer, request};
pub use image::{BUSYBOX_IMAGE, install_busybox};
pub use layout::{Layout, NodeLayout, Role};
pub use machine::{Lack, lacks};
pub use network::{Network, Plan};
pub use node::Node;
