//! Limits changed while a container runs.

use serde::Deserialize;

use super::{Cgroup, write_file};
use crate::error::{Result, refused};

/// New limits; what is absent stays as it is. Fields as in OCI's `LinuxResources`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Limits {
    /// Memory.
    #[serde(default)]
    pub memory: Option<MemoryLimits>,
    /// Processor time.
    #[serde(default)]
    pub cpu: Option<CpuLimits>,
    /// Processes.
    #[serde(default)]
    pub pids: Option<PidsLimits>,
}

/// Limits of memory, bytes; -1 is none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct MemoryLimits {
    /// Memory.
    pub limit: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
}

/// Limits of processor time.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct CpuLimits {
    /// Microseconds per period; -1 is none.
    pub quota: Option<i64>,
    /// Microseconds.
    pub period: Option<u64>,
    /// Relative weight (v1 scale, 2..=262144).
    pub shares: Option<u64>,
}

/// Limit of the number of processes; -1 is none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct PidsLimits {
    /// The number.
    pub limit: Option<i64>,
}

/// Default period of the processor quota, microseconds.
const CPU_PERIOD_US: u64 = 100_000;

pub(super) fn apply(cgroup: &Cgroup, v2: bool, limits: &Limits) -> Result<()> {
    if let Some(memory) = &limits.memory {
        if v2 {
            memory_v2(cgroup, memory)?
        } else {
            memory_v1(cgroup, memory)?
        }
    }
    if let Some(cpu) = &limits.cpu {
        if v2 {
            cpu_v2(cgroup, cpu)?
        } else {
            cpu_v1(cgroup, cpu)?
        }
    }
    if let Some(limit) = limits.pids.as_ref().and_then(|p| p.limit) {
        set(cgroup, "pids", "pids.max", &or_max(limit))?;
    }
    Ok(())
}

fn set(cgroup: &Cgroup, controller: &str, file: &str, value: &str) -> Result<()> {
    match cgroup
        .dir(controller)
        .map(|d| d.join(file))
        .filter(|path| path.exists())
    {
        Some(path) => write_file(&path, value),
        None => refused(format!(
            "this host has no {file}: no cgroup controller {controller}"
        )),
    }
}

fn or_max(value: i64) -> String {
    if value < 0 {
        "max".to_owned()
    } else {
        value.to_string()
    }
}

fn memory_v1(cgroup: &Cgroup, memory: &MemoryLimits) -> Result<()> {
    const LIMIT: &str = "memory.limit_in_bytes";
    const SWAP: &str = "memory.memsw.limit_in_bytes";
    let limit = memory.limit.map(|v| v.to_string());
    let swap = memory.swap.map(|v| v.to_string());
    match (limit, swap) {
        (Some(limit), Some(swap)) => {
            // memory <= memory+swap must hold after each write: upwards swap first, downwards memory first.
            if set(cgroup, "memory", LIMIT, &limit).is_ok() {
                return set(cgroup, "memory", SWAP, &swap);
            }
            set(cgroup, "memory", SWAP, &swap)?;
            set(cgroup, "memory", LIMIT, &limit)
        }
        (Some(limit), None) => set(cgroup, "memory", LIMIT, &limit),
        (None, Some(swap)) => set(cgroup, "memory", SWAP, &swap),
        (None, None) => Ok(()),
    }
}

fn memory_v2(cgroup: &Cgroup, memory: &MemoryLimits) -> Result<()> {
    if let Some(limit) = memory.limit {
        set(cgroup, "memory", "memory.max", &or_max(limit))?;
    }
    if let Some(swap) = memory.swap {
        // v2 counts swap alone, OCI's figure holds the memory too.
        let alone = if swap < 0 {
            -1
        } else {
            swap.saturating_sub(memory.limit.unwrap_or(0)).max(0)
        };
        set(cgroup, "memory", "memory.swap.max", &or_max(alone))?;
    }
    Ok(())
}

fn cpu_v1(cgroup: &Cgroup, cpu: &CpuLimits) -> Result<()> {
    if let Some(shares) = cpu.shares {
        set(cgroup, "cpu", "cpu.shares", &shares.to_string())?;
    }
    if let Some(period) = cpu.period {
        set(cgroup, "cpu", "cpu.cfs_period_us", &period.to_string())?;
    }
    match cpu.quota {
        Some(quota) => set(cgroup, "cpu", "cpu.cfs_quota_us", &quota.to_string()),
        None => Ok(()),
    }
}

fn cpu_v2(cgroup: &Cgroup, cpu: &CpuLimits) -> Result<()> {
    if let Some(shares) = cpu.shares {
        set(cgroup, "cpu", "cpu.weight", &weight(shares).to_string())?;
    }
    match (cpu.quota, cpu.period) {
        (None, None) => Ok(()),
        (quota, period) => {
            let quota = or_max(quota.unwrap_or(-1));
            set(
                cgroup,
                "cpu",
                "cpu.max",
                &format!("{quota} {}", period.unwrap_or(CPU_PERIOD_US)),
            )
        }
    }
}

/// v1 shares (2..=262144) on the scale of v2 weights (1..=10000).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        assert_eq!(weight(2), 1);
        assert_eq!(weight(1024), 39);
        assert_eq!(weight(262_144), 10_000);
        assert_eq!(weight(0), 1);
    }

    #[test]
    fn oci_resources_parse() {
        let limits: Limits =
            serde_json::from_str(r#"{"memory":{"limit":1024,"swap":2048},"blockIO":{}}"#).unwrap();
        assert_eq!(limits.memory.unwrap().swap, Some(2048));
        assert_eq!(or_max(-1), "max");
    }
}
