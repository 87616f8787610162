//! What can go wrong in the probe.

use std::{io, path::PathBuf};

/// Errors of the probe. [`Probe::start`](super::Probe::start) itself never fails; these explain single hooks, or
/// answer a request about one cgroup.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel's type information cannot be read.
    #[error("/sys/kernel/btf/vmlinux: {0}")]
    BtfFile(#[source] io::Error),
    /// The kernel's type information makes no sense.
    #[error("type information of the kernel: {0}")]
    Btf(&'static str),
    /// A structure of this kernel lacks a field that the programs read.
    #[error("this kernel has no field {0}")]
    Field(&'static str),
    /// The object with the programs and maps was refused as a whole.
    #[error("BPF object: {0}")]
    Object(String),
    /// One program was refused or could not be attached.
    #[error("BPF program {name}: {reason}")]
    Program {
        /// Name of the program.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// A cgroup folder cannot be used.
    #[error("cgroup {}: {source}", path.display())]
    Cgroup {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder is not in the cgroup v2 hierarchy.
    #[error("{} is not in a cgroup2 file system", .0.display())]
    NotCgroup2(PathBuf),
    /// The program statistics of the kernel cannot be switched on.
    #[error("statistics of BPF programs: {0}")]
    Stats(String),
}
