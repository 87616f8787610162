//! The kernel's own statistics about loaded programs.

use std::{fs, os::fd::RawFd};

/// What the kernel says about one program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramStats {
    /// Name of the program.
    pub name: String,
    /// The kernel's id of it.
    pub id: u32,
    /// Time spent in it, nanoseconds; only counted while [`enable_stats`](super::enable_stats) is in force.
    pub run_time_ns: u64,
    /// Number of runs, counted under the same condition.
    pub run_cnt: u64,
    /// Instructions the verifier had to look at (0 before Linux 5.16).
    pub verified_insns: u64,
}

impl ProgramStats {
    /// Average cost of one run, nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        (self.run_cnt > 0).then(|| self.run_time_ns as f64 / self.run_cnt as f64)
    }

    /// Reads the statistics of the program behind a descriptor of this process.
    pub(super) fn of_fd(name: &str, fd: RawFd) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        Some(Self::parse(name, &text))
    }

    fn parse(name: &str, text: &str) -> Self {
        let value = |key: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|v| v.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        Self {
            name: name.to_owned(),
            id: u32::try_from(value("prog_id")).unwrap_or(0),
            run_time_ns: value("run_time_ns"),
            run_cnt: value("run_cnt"),
            verified_insns: value("verified_insns"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProgramStats;

    #[test]
    fn the_kernels_lines_are_read() {
        let text = "pos:\t0\nprog_type:\t26\nprog_id:\t77\nrun_time_ns:\t1200\nrun_cnt:\t4\nrecursion_misses:\t0\nverified_insns:\t293\n";
        let stats = ProgramStats::parse("sched_switch", text);
        assert_eq!(
            (stats.run_time_ns, stats.run_cnt, stats.verified_insns),
            (1200, 4, 293)
        );
        assert_eq!(stats.mean_ns(), Some(300.0));
        assert_eq!(ProgramStats::default().mean_ns(), None);
    }
}
