//! The records that a container's shim (`r1-runc shim`) and r1-hostd share on disk and over the control socket.
//!
//! One folder per container, `<run>/c/<id>/`: `state.json` ([`ShimState`]), `exit.json` ([`ExitRecord`]),
//! `ctl.sock` (SOCK_SEQPACKET; one JSON [`ShimRequest`] per packet, one JSON [`ShimReply`] back), `lock`,
//! `log` (rotated to `log.1`; one JSON object per line: `{"t":unix_ms,"s":"stdout"|"stderr","m":"text"}`).

use serde::{Deserialize, Serialize};

/// Where a container is in its life (OCI runtime specification, plus `lost`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerStatus {
    /// Its environment is being made.
    Creating,
    /// Its init waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its program has ended.
    Stopped,
    /// Its shim disappeared without leaving an exit record.
    Lost,
}

/// `state.json`: replaced atomically at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimState {
    /// Format version; 1.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Where it is in its life.
    pub status: ContainerStatus,
    /// Host pid of the container's init, 0 before it exists.
    pub pid: i32,
    /// Start time of that pid (field 22 of `/proc/<pid>/stat`, clock ticks since boot).
    pub pid_starttime: u64,
    /// Host pid of the shim.
    pub shim_pid: i32,
    /// Start time of the shim's pid.
    pub shim_starttime: u64,
    /// `/proc/sys/kernel/random/boot_id` when the state was written.
    pub boot_id: String,
    /// The OCI bundle's folder.
    pub bundle: String,
    /// Path of the container's cgroup below each v1 controller's mount (or below the v2 mount).
    pub cgroup: String,
    /// Path of its cgroup below the cgroup2 mount on a hybrid host (used by the BPF meters), if any.
    pub cgroup2: Option<String>,
    /// When it was created, milliseconds since 1970-01-01 UTC.
    pub created_at_ms: u64,
    /// When its program was started, 0 before.
    pub started_at_ms: u64,
    /// What had to be left out of the requested sandbox on this host, one line each.
    pub warnings: Vec<String>,
}

/// `exit.json`: written once, before the container is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Format version; 1.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Exit code as a shell shows it: 0..=255, 128+n for signal n.
    pub code: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// True if the kernel's OOM killer killed a process of it.
    pub oom_killed: bool,
    /// When its program was started, milliseconds since 1970-01-01 UTC.
    pub started_at_ms: u64,
    /// When its program ended, milliseconds since 1970-01-01 UTC.
    pub finished_at_ms: u64,
    /// CPU time of all its processes, nanoseconds.
    pub cpu_ns: u64,
    /// Peak memory of its cgroup, bytes.
    pub memory_peak_bytes: u64,
    /// The boot in which it ended.
    pub boot_id: String,
}

/// A request to a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ShimRequest {
    /// Let the created container's program run.
    Start,
    /// Report the state.
    State,
    /// Send a signal to the container's init (`all`: to every process in its cgroup).
    Kill {
        /// Signal number.
        signal: i32,
        /// To every process of the container.
        all: bool,
    },
    /// Report CPU and memory as of now.
    Usage,
    /// The exit record has been stored elsewhere: remove the container and end the shim.
    Ack,
}

/// A shim's answer.
#[expect(
    clippy::large_enum_variant,
    reason = "one reply per packet, never kept in bulk"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
pub enum ShimReply {
    /// Done.
    Ok,
    /// The state.
    State {
        /// As in `state.json`.
        state: ShimState,
        /// As in `exit.json`, once there is one.
        exit: Option<ExitRecord>,
    },
    /// Use so far.
    Usage {
        /// CPU time, nanoseconds.
        cpu_ns: u64,
        /// Memory in use, bytes.
        memory_bytes: u64,
        /// Peak memory, bytes.
        memory_peak_bytes: u64,
        /// Processes now.
        pids: u64,
    },
    /// Refused, with the reason.
    Error {
        /// One line that names the container.
        message: String,
    },
}
