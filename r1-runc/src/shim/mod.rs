//! `r1-runc shim`: one process with one thread per container. It makes the container, owns its output and its exit
//! status, answers on a socket, and outlives whoever started it.

mod control;
mod log;
mod startup;
mod supervisor;

use std::path::PathBuf;

pub use startup::run;

/// Default size at which the log is rotated, bytes.
const DEFAULT_LOG_BYTES: u64 = 10 << 20;

/// Supervise one container.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder of all containers; this one's is `<root>/<id>`.
    #[arg(long)]
    pub root: PathBuf,
    /// The container's id.
    #[arg(long)]
    pub id: String,
    /// The OCI bundle.
    #[arg(long)]
    pub bundle: PathBuf,
    /// Path of the container's cgroup below the hierarchies' mounts.
    #[arg(long)]
    pub cgroup: String,
    /// Path of a further cgroup in the cgroup2 mount of a hybrid host.
    #[arg(long)]
    pub cgroup2: Option<String>,
    /// Size at which the log is rotated, bytes.
    #[arg(long, default_value_t = DEFAULT_LOG_BYTES)]
    pub log_max_bytes: u64,
}
