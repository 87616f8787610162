//! What the probes measure: evidence that the machine was up, hook states and use per container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who produced the evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceSource {
    /// A BPF program in the kernel that counts timer ticks.
    Bpf,
    /// A thread that reads clocks and `/proc`.
    #[default]
    Proc,
}

/// What a heartbeat carries about the time since the last start of the sampler.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Identifies this boot of the machine.
    pub boot_id: String,
    /// Who measured.
    pub source: EvidenceSource,
    /// CLOCK_BOOTTIME (counts suspend), nanoseconds.
    pub boottime_ns: u64,
    /// CLOCK_MONOTONIC (does not), nanoseconds.
    pub monotonic_ns: u64,
    /// Ticks seen since `since_ms`.
    pub ticks: u64,
    /// Longest time between two ticks, nanoseconds.
    pub max_gap_ns: u64,
    /// How many gaps were longer than the tick allows.
    pub gaps: u64,
    /// Their total, nanoseconds.
    pub gap_total_ns: u64,
    /// Time the machine was suspended, nanoseconds.
    pub suspended_ns: u64,
    /// When measuring began, milliseconds since 1970-01-01 UTC.
    pub since_ms: u64,
}

/// Why no tick was seen for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The machine was suspended.
    Suspend,
    /// The machine, or its hypervisor, ran nothing.
    Stall,
    /// r1-hostd was not running (or its sampler stood still) while the machine was up.
    AgentDown,
    /// The machine was rebooted.
    Reboot,
    /// The wall clock was set.
    ClockStep,
}

/// A time without ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Last tick before it, milliseconds since 1970-01-01 UTC.
    pub from_ms: u64,
    /// First tick after it, milliseconds since 1970-01-01 UTC.
    pub to_ms: u64,
    /// Why, as far as it can be told.
    pub cause: GapCause,
    /// One line for people.
    pub detail: String,
}

/// State of one kernel hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// True if the program is loaded and attached.
    pub attached: bool,
    /// Why not, or what it is attached to.
    pub detail: String,
}

/// Where a use figure comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageSource {
    /// A BPF meter keyed by the container's cgroup.
    Bpf,
    /// The cgroup's own files.
    #[default]
    Cgroup,
}

/// What a container has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// CPU time, nanoseconds.
    pub cpu_ns: u64,
    /// Memory now, bytes.
    pub memory_bytes: u64,
    /// Most memory at any time, bytes.
    pub memory_peak_bytes: u64,
    /// Processes now.
    pub pids: u64,
    /// Bytes received over the network, loopback excluded; 0 where no kernel meter counts them.
    #[serde(default)]
    pub rx_bytes: u64,
    /// Bytes sent.
    #[serde(default)]
    pub tx_bytes: u64,
    /// Where `cpu_ns` comes from.
    pub source: UsageSource,
}

/// Everything that is measured, as of now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurements {
    /// For the next heartbeat.
    pub evidence: Evidence,
    /// Kernel hooks by name.
    pub hooks: BTreeMap<String, HookStatus>,
    /// Running containers by id.
    pub usage: BTreeMap<String, ContainerUsage>,
}
