//! Use per watched cgroup: sums the CPUs' rows, adds what is still running, falls back to the cgroup's files.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use aya::{programs::cgroup_skb::CgroupSkbLink, util::online_cpus};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs},
    unistd::Pid,
};
use r1_ebpf_common::{HIST_BUCKETS, Running, Usage as Row};
use r1_host_api::UsageSource;

use super::{
    clock::Clocks,
    error::ProbeError,
    kernel::{Kernel, chain},
};

/// Tries to get rows and running slices from the same instant; a switch in between spoils one try.
const SNAPSHOT_TRIES: usize = 8;

/// What a cgroup has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since the cgroup was made, nanoseconds, by the scheduler's own account.
    pub cpu_ns: u64,
    /// Time spent runnable but waiting for a CPU since it is watched, nanoseconds.
    pub rq_ns: u64,
    /// Number of those waits.
    pub rq_count: u64,
    /// Waits by length: bucket `b` counts those from `2^b` ns to below `2^(b+1)` ns.
    pub rq_hist: [u64; HIST_BUCKETS],
    /// Times a task was switched out since it is watched.
    pub switches: u64,
    /// Programs started since it is watched.
    pub execs: u64,
    /// Tasks created since it is watched.
    pub forks: u64,
    /// Tasks ended since it is watched.
    pub exits: u64,
    /// Out-of-memory kills since it is watched.
    pub ooms: u64,
    /// Bytes received since it is watched, IP header included, loopback excluded.
    pub rx_bytes: u64,
    /// Packets received (a segment offload batch counts as one).
    pub rx_packets: u64,
    /// Bytes sent since it is watched, IP header included, loopback excluded.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Where `cpu_ns` comes from; with [`UsageSource::Cgroup`] everything else is zero.
    pub source: UsageSource,
}

impl Usage {
    fn add(&mut self, row: &Row) {
        self.cpu_ns += row.cpu_ns;
        self.rq_ns += row.rq_ns;
        self.rq_count += row.rq_count;
        self.switches += row.switches;
        self.execs += row.execs;
        self.forks += row.forks;
        self.exits += row.exits;
        self.ooms += row.ooms;
        self.rx_bytes += row.rx_bytes;
        self.rx_packets += row.rx_packets;
        self.tx_bytes += row.tx_bytes;
        self.tx_packets += row.tx_packets;
        for (sum, n) in self.rq_hist.iter_mut().zip(row.rq_hist) {
            *sum += n;
        }
    }
}

/// A packet meter that could not be attached, and why.
pub type Refused = (&'static str, String);

/// Cgroups that are watched.
#[derive(Default)]
pub struct Meter {
    watched: HashMap<u64, Watched>,
}

struct Watched {
    path: PathBuf,
    /// CPU time from before it was watched.
    base_cpu_ns: u64,
    /// Largest figure told so far: what is billed never shrinks.
    told_cpu_ns: u64,
    metered: bool,
    _packets: Vec<CgroupSkbLink>,
}

impl Meter {
    /// Begins to watch a folder of the cgroup v2 hierarchy. Beside its id it returns the packet meters that could not
    /// be attached, and why.
    pub fn watch(
        &mut self,
        path: &Path,
        kernel: Option<&mut Kernel>,
        served: Served<'_>,
    ) -> Result<(u64, Vec<Refused>), ProbeError> {
        let folder = File::open(path).map_err(|source| ProbeError::Cgroup {
            path: path.to_owned(),
            source,
        })?;
        let id = cgroup_id(&folder, path)?;
        if self.watched.contains_key(&id) {
            return Ok((id, Vec::new()));
        }
        let mut watched = Watched {
            path: path.to_owned(),
            base_cpu_ns: 0,
            told_cpu_ns: 0,
            metered: false,
            _packets: Vec::new(),
        };
        let mut refused = Vec::new();
        if let Some(kernel) = kernel {
            for hook in served.packets {
                match kernel.meter_packets(hook, &folder) {
                    Ok(link) => watched._packets.push(link),
                    Err(e) => refused.push((*hook, chain(&e))),
                }
            }
            if served.cpu && kernel.open_row(id).is_ok() {
                watched.metered = true;
                watched.base_cpu_ns = used_before(kernel, id, path);
            }
        }
        self.watched.insert(id, watched);
        Ok((id, refused))
    }

    /// Ends watching; returns the last figures.
    pub fn unwatch(&mut self, id: u64, kernel: Option<&mut Kernel>, now_mono_ns: u64) -> Option<Usage> {
        let last = self.usage(id, kernel.as_deref(), now_mono_ns);
        self.watched.remove(&id)?;
        if let Some(kernel) = kernel {
            kernel.close_row(id);
        }
        last
    }

    /// What a watched cgroup has used so far.
    pub fn usage(&mut self, id: u64, kernel: Option<&Kernel>, now_mono_ns: u64) -> Option<Usage> {
        let watched = self.watched.get_mut(&id)?;
        let metered = kernel.and_then(|k| snapshot(k, id, now_mono_ns));
        let mut usage = metered.unwrap_or_default();
        if watched.metered && metered.is_some() {
            usage.source = UsageSource::Bpf;
            usage.cpu_ns += watched.base_cpu_ns;
        } else {
            usage.source = UsageSource::Cgroup;
            usage.cpu_ns = cpu_stat_ns(&watched.path).unwrap_or(watched.told_cpu_ns);
        }
        watched.told_cpu_ns = watched.told_cpu_ns.max(usage.cpu_ns);
        usage.cpu_ns = watched.told_cpu_ns;
        Some(usage)
    }

    /// Number of watched cgroups.
    pub fn len(&self) -> usize {
        self.watched.len()
    }
}

/// Which programs run.
#[derive(Clone, Copy)]
pub struct Served<'a> {
    /// The scheduler's.
    pub cpu: bool,
    /// The packet meters.
    pub packets: &'a [&'static str],
}

/// CPU time of a cgroup from before its row was opened.
fn used_before(kernel: &Kernel, id: u64, path: &Path) -> u64 {
    if cpu_stat_ns(path).unwrap_or(0) == 0 {
        return 0;
    }
    // A task that runs right now is billed for its whole slice when that ends. Where this thread runs, no other does:
    // after its visit every slice that began before the row was opened has ended.
    visit_all_cpus();
    let metered = snapshot(kernel, id, Clocks::now().mono_ns).map_or(0, |u| u.cpu_ns);
    cpu_stat_ns(path).unwrap_or(0).saturating_sub(metered)
}

/// Runs for an instant on each CPU. Where that is not allowed, the next tick does the same within a second.
fn visit_all_cpus() {
    let this = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this) else {
        return;
    };
    for cpu in online_cpus().unwrap_or_default() {
        let mut one = CpuSet::new();
        if usize::try_from(cpu).is_ok_and(|cpu| one.set(cpu).is_ok()) {
            let _ = sched_setaffinity(this, &one);
        }
    }
    let _ = sched_setaffinity(this, &allowed);
}

/// Sums the rows and adds the slices that have not ended; repeats if a slice ended while reading.
fn snapshot(kernel: &Kernel, id: u64, now_mono_ns: u64) -> Option<Usage> {
    let mut usage = Usage::default();
    for _ in 0..SNAPSHOT_TRIES {
        let before = kernel.running().ok()?;
        usage = Usage::default();
        for row in kernel.row(id).ok()?.iter() {
            usage.add(row);
        }
        usage.cpu_ns += running_ns(&before, id, now_mono_ns);
        let after = kernel.running().ok()?;
        if before
            .iter()
            .zip(after.iter())
            .all(|(b, a)| b == a || (b.cgroup != id && a.cgroup != id))
        {
            break;
        }
    }
    Some(usage)
}

fn running_ns(running: &[Running], id: u64, now_mono_ns: u64) -> u64 {
    let slices = running.iter().filter(|r| r.cgroup == id);
    slices.map(|r| now_mono_ns.saturating_sub(r.since_ns)).sum()
}

/// The id under which the kernel knows a cgroup v2 folder: its inode number.
fn cgroup_id(folder: &File, path: &Path) -> Result<u64, ProbeError> {
    let fail = |source| ProbeError::Cgroup {
        path: path.to_owned(),
        source,
    };
    let fs = fstatfs(folder).map_err(|e| fail(e.into()))?;
    if fs.filesystem_type() != CGROUP2_SUPER_MAGIC {
        return Err(ProbeError::NotCgroup2(path.to_owned()));
    }
    Ok(folder.metadata().map_err(fail)?.ino())
}

/// CPU time by the cgroup's own file; there without any controller.
fn cpu_stat_ns(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path.join("cpu.stat"))?;
    let usec = text
        .lines()
        .find_map(|l| l.strip_prefix("usage_usec ")?.trim().parse::<u64>().ok());
    usec.map(|us| us * 1_000)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_cpus_are_summed() {
        let mut row = Row::ZERO;
        (row.cpu_ns, row.rq_count, row.rq_hist[5], row.tx_bytes) = (10, 2, 2, 7);
        let mut usage = Usage::default();
        usage.add(&row);
        usage.add(&row);
        assert_eq!(
            (usage.cpu_ns, usage.rq_count, usage.rq_hist[5], usage.tx_bytes),
            (20, 4, 4, 14)
        );
    }

    #[test]
    fn only_the_slices_of_the_cgroup_count() {
        let slice = |cgroup, since_ns| Running {
            cgroup,
            since_ns,
            ..Running::default()
        };
        assert_eq!(
            running_ns(
                &[slice(7, 100), slice(8, 0), slice(7, 990), slice(7, 2_000)],
                7,
                1_000
            ),
            910
        );
    }

    #[test]
    fn a_folder_elsewhere_is_no_cgroup() {
        let mut meter = Meter::default();
        let served = Served {
            cpu: false,
            packets: &[],
        };
        let error = meter.watch(Path::new("/tmp"), None, served).unwrap_err();
        assert!(error.to_string().contains("/tmp"), "{error}");
    }
}
