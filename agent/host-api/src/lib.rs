//! The typed contract between r1d and r1-hostd: the D-Bus interface `org.ratio1.Host1`, spoken peer to peer
//! over a Unix socket (no bus daemon takes part).
//!
//! Methods take and return one JSON document in one D-Bus string: a field can then be added without changing a
//! method's D-Bus signature, and both sides still see Rust types only. Requests refuse unknown fields, so that
//! nothing a caller asked for is silently left out; replies ignore them.
//!
//! | method | argument | reply |
//! |---|---|---|
//! | `Run` | [`RunRequest`] | id of the container |
//! | `Stop` | id, timeout in ms | – |
//! | `Remove` | id | – |
//! | `List` | – | list of [`ContainerInfo`] |
//! | `Logs` | id, number of lines | list of [`LogLine`] |
//! | `Facts` | – | [`NodeFacts`] |
//! | `Measurements` | – | [`Measurements`] |
//! | `Metrics` | – | Prometheus text |
//! | `Version` | – | version of r1-hostd |
//!
//! Signals: `Exited` ([`ContainerInfo`]) and `Gap` ([`Gap`]).
//!
//! Privilege: the server admits root, its own user and the users it was told to (`SO_PEERCRED`), nobody else.

mod client;
mod container;
mod error;
mod facts;
mod measure;
mod request;

pub use client::{CALL_TIMEOUT, HostClient, HostEvent, HostEvents};
pub use container::{ContainerInfo, LogLine, LogStream, MAX_LOG_LINES, MAX_LOG_REPLY_BYTES};
pub use error::HostError;
pub use facts::{CgroupMode, CpuFacts, Degraded, DiskFacts, GpuFacts, MemoryFacts, NodeFacts};
pub use measure::{
    ContainerUsage, Evidence, EvidenceSource, Gap, GapCause, HookStatus, Measurements, UsageSource,
};
pub use request::{
    CPU_RANGE, MAX_COMMAND_ARGS, MAX_COMMAND_BYTES, MAX_ENV_BYTES, MAX_ENV_KEY, MAX_ENV_VARS, MAX_HOSTNAME,
    MAX_ID, MAX_IMAGE, MAX_LOG_TAIL, MAX_STOP_TIMEOUT_MS, MEMORY_RANGE, PIDS_RANGE, RESERVED_ID, RunRequest,
    check_id, check_image, check_stop_timeout, check_tail,
};

/// Name of the D-Bus interface.
pub const INTERFACE: &str = "org.ratio1.Host1";
/// Path of the one object that carries it.
pub const OBJECT_PATH: &str = "/org/ratio1/Host1";
/// File name of the socket inside the run folder.
pub const SOCKET_NAME: &str = "host.sock";
