//! What r1-hostd says about a container.

use r1_core::ContainerStatus;
use serde::{Deserialize, Serialize};

/// Most lines of log in one reply.
pub const MAX_LOG_LINES: usize = 10_000;
/// Most bytes of log text in one reply; older lines are left out first.
pub const MAX_LOG_REPLY_BYTES: usize = 1024 * 1024;

/// A container as r1-hostd knows it: one that lives, or the stored record of one that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInfo {
    /// Its id, unique on the node.
    pub id: String,
    /// Name of the root file system it was made from.
    pub image: String,
    /// Where it is in its life.
    pub state: ContainerStatus,
    /// Host pid of its init, 0 before it exists and after it ended.
    pub pid: i32,
    /// When it was created, milliseconds since 1970-01-01 UTC.
    pub created_at_ms: u64,
    /// When its program was started, 0 before.
    pub started_at_ms: u64,
    /// When it ended.
    pub finished_at_ms: Option<u64>,
    /// Exit code as a shell shows it, 128+n for signal n; absent while it runs and when it was lost.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// True if the kernel's OOM killer killed a process of it.
    pub oom_killed: bool,
    /// CPU time of all its processes, nanoseconds.
    pub cpu_ns: u64,
    /// Peak memory of its cgroup, bytes.
    pub memory_peak_bytes: u64,
    /// What had to be left out of the sandbox on this host, and for a lost container why it is lost.
    pub warnings: Vec<String>,
}

impl ContainerInfo {
    /// True once the container can no longer run: it ended or was lost.
    pub fn is_over(&self) -> bool {
        matches!(self.state, ContainerStatus::Stopped | ContainerStatus::Lost)
    }
}

/// Which of a program's two outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a container's log, in the format of its log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read, milliseconds since 1970-01-01 UTC.
    pub t: u64,
    /// Where it came from.
    pub s: LogStream,
    /// The text, without its line end.
    pub m: String,
}
