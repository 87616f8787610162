//! What a node's kernel saw, as its heartbeats carry it.

use serde::{Deserialize, Serialize};

/// Who measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// BPF programs on the kernel's own clock events.
    Bpf,
    /// Only what `/proc` tells.
    #[default]
    Proc,
}

/// The kernel's own account, cumulative since `since_ms`, so that two heartbeats tell what lay between them even
/// where nothing arrived. Unknown fields are ignored and absent ones are zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Identifies this boot of the machine.
    pub boot_id: String,
    /// Who measured.
    pub source: Source,
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

impl Evidence {
    /// Time suspended as both clocks and the sampler tell it, nanoseconds.
    pub(crate) fn suspended(&self) -> u64 {
        self.suspended_ns
            .max(self.boottime_ns.saturating_sub(self.monotonic_ns))
    }
}
