//! Facts about the machine: what it has, and what it lacks with a remedy.

use serde::{Deserialize, Serialize};

/// How the kernel's control groups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupMode {
    /// Controllers on version 1 hierarchies only.
    V1,
    /// Controllers on version 1, with a version 2 tree beside them.
    Hybrid,
    /// One version 2 tree.
    V2,
    /// No control groups are mounted.
    None,
}

/// The processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFacts {
    /// Model as the kernel names it.
    pub model: String,
    /// Logical processors that this process may use.
    pub cores: u32,
}

/// Memory, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFacts {
    /// All of it.
    pub total_bytes: u64,
    /// What new programs could get without swapping.
    pub available_bytes: u64,
}

/// The file system that holds r1-hostd's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFacts {
    /// The state folder.
    pub path: String,
    /// Size of the file system, bytes.
    pub total_bytes: u64,
    /// Free for r1-hostd, bytes.
    pub free_bytes: u64,
}

/// One GPU as NVML sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFacts {
    /// Product name.
    pub name: String,
    /// Its identifier, stable over reboots.
    pub uuid: String,
    /// Memory, bytes.
    pub memory_bytes: u64,
}

/// Something the node cannot do here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degraded {
    /// What does not work, one or two words: `containers`, `ebpf`, …
    pub what: String,
    /// Why.
    pub why: String,
    /// What an operator can do about it; empty if nothing.
    pub remedy: String,
}

/// What the machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Name of the host.
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture, e.g. `x86_64`.
    pub architecture: String,
    /// Distribution as `/etc/os-release` names it.
    pub os: String,
    /// Identifies this boot of the machine.
    pub boot_id: String,
    /// Processor.
    pub cpu: CpuFacts,
    /// Memory.
    pub memory: MemoryFacts,
    /// Disk of the state folder.
    pub disk: DiskFacts,
    /// GPUs that NVML shows.
    pub gpus: Vec<GpuFacts>,
    /// Why `gpus` is empty, if it is.
    pub no_gpu_reason: Option<String>,
    /// How control groups are mounted.
    pub cgroup_mode: CgroupMode,
    /// Controllers in which this process may make groups.
    pub cgroup_controllers: Vec<String>,
    /// Names of root file systems that can be run.
    pub images: Vec<String>,
    /// What does not work here, with a remedy for each.
    pub degraded: Vec<Degraded>,
}
