//! What the ticks say: pure judgements, without a clock of their own.

use r1_ebpf_common::{Beat, Machine};
use r1_host_api::{Gap, GapCause};

use super::clock::Clocks;

/// Boot time and monotonic time are read one after the other: less than this is not suspension.
const CLOCK_NOISE_NS: u64 = 1_000_000;
/// The wall clock has been set if it moved by more than this against boot time between two ticks.
pub const CLOCK_STEP_NS: u64 = 1_000_000_000;

/// Counts of ticks, however they were obtained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Number of ticks (of the CPU that ticked most).
    pub ticks: u64,
    /// Last tick, boot time.
    pub last_boot_ns: u64,
    /// Longest time between two ticks of the machine.
    pub max_gap_ns: u64,
    /// Times above the threshold.
    pub gaps: u64,
    /// Their sum.
    pub gap_total_ns: u64,
}

impl Ticks {
    /// What the BPF maps hold.
    #[must_use]
    pub fn from_maps(machine: &Machine, beats: &[Beat]) -> Self {
        Self {
            ticks: beats.iter().map(|b| b.ticks).max().unwrap_or(0),
            last_boot_ns: machine.last_boot_ns,
            max_gap_ns: machine.max_gap_ns,
            gaps: machine.gaps,
            gap_total_ns: machine.gap_total_ns,
        }
    }

    /// Adds a tick at `now_ns` (boot time).
    pub fn tick(&mut self, now_ns: u64, threshold_ns: u64) {
        if self.last_boot_ns != 0 {
            let gap = now_ns.saturating_sub(self.last_boot_ns);
            self.max_gap_ns = self.max_gap_ns.max(gap);
            if gap > threshold_ns {
                self.gaps += 1;
                self.gap_total_ns += gap;
            }
        }
        self.last_boot_ns = now_ns;
        self.ticks += 1;
    }

    /// The longest gap, counting the one that is still open at `now_ns`.
    #[must_use]
    pub fn max_gap_now(&self, now_ns: u64) -> u64 {
        if self.last_boot_ns == 0 {
            return self.max_gap_ns;
        }
        self.max_gap_ns.max(now_ns.saturating_sub(self.last_boot_ns))
    }
}

/// A gap of the kernel's own tick.
#[must_use]
pub fn kernel_gap(now: Clocks, from_boot_ns: u64, to_boot_ns: u64, suspended_ns: u64) -> Gap {
    let gap_ns = to_boot_ns.saturating_sub(from_boot_ns);
    let asleep = is_suspend(gap_ns, suspended_ns);
    gap(
        now,
        from_boot_ns,
        to_boot_ns,
        if asleep {
            GapCause::Suspend
        } else {
            GapCause::Stall
        },
        format!(
            "no CPU ticked for {:.1} s, {:.1} s of it suspended",
            seconds(gap_ns),
            seconds(suspended_ns.min(gap_ns))
        ),
    )
}

fn is_suspend(gap_ns: u64, suspended_ns: u64) -> bool {
    suspended_ns > CLOCK_NOISE_NS && suspended_ns >= gap_ns / 2
}

fn gap(now: Clocks, from_boot_ns: u64, to_boot_ns: u64, cause: GapCause, detail: String) -> Gap {
    Gap {
        from_ms: now.wall_ms(from_boot_ns),
        to_ms: now.wall_ms(to_boot_ns),
        cause,
        detail,
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The user-space tick, and what it can tell that the kernel's cannot.
///
/// With a kernel tick beside it, a gap of this one means that only r1-hostd stood still. The verdict waits one tick,
/// because after a stall of the whole machine either tick may come first.
#[derive(Debug, Clone)]
pub struct Sampler {
    threshold_ns: u64,
    kernel_ticks: bool,
    last: Option<Clocks>,
    last_kernel_gap_end_ns: u64,
    open: Option<(u64, u64)>,
    /// Ticks of this sampler.
    pub ticks: Ticks,
}

impl Sampler {
    /// A sampler that has not ticked yet. `kernel_ticks`: a BPF heartbeat runs beside it.
    #[must_use]
    pub fn new(threshold_ns: u64, kernel_ticks: bool) -> Self {
        let ticks = Ticks::default();
        Self {
            threshold_ns,
            kernel_ticks,
            last: None,
            last_kernel_gap_end_ns: 0,
            open: None,
            ticks,
        }
    }

    /// Notes a gap that the kernel's tick has reported.
    pub fn kernel_gap(&mut self, to_boot_ns: u64) {
        self.last_kernel_gap_end_ns = self.last_kernel_gap_end_ns.max(to_boot_ns);
    }

    /// One tick: returns the gaps that are certain now.
    pub fn tick(&mut self, now: Clocks) -> Vec<Gap> {
        let mut found = Vec::new();
        self.ticks.tick(now.boot_ns, self.threshold_ns);
        found.extend(self.settle(now));
        if let Some(last) = self.last.replace(now) {
            found.extend(clock_step(last, now));
            let stood = now.boot_ns.saturating_sub(last.boot_ns);
            if stood > self.threshold_ns {
                if self.kernel_ticks {
                    self.open = Some((last.boot_ns, now.boot_ns));
                } else {
                    let suspended = now.suspended_ns().saturating_sub(last.suspended_ns());
                    found.push(lone_gap(now, last.boot_ns, suspended));
                }
            }
        }
        found
    }

    /// Decides about the gap of the tick before: the machine's, already reported, or r1-hostd's own.
    fn settle(&mut self, now: Clocks) -> Option<Gap> {
        let (from, to) = self.open.take()?;
        if self.last_kernel_gap_end_ns > from {
            return None;
        }
        let detail = format!(
            "r1-hostd stood still for {:.1} s while the kernel ticked",
            seconds(to - from)
        );
        Some(gap(now, from, to, GapCause::AgentDown, detail))
    }
}

fn clock_step(last: Clocks, now: Clocks) -> Option<Gap> {
    let expected = last.real_ns + now.boot_ns.saturating_sub(last.boot_ns);
    if expected.abs_diff(now.real_ns) < CLOCK_STEP_NS {
        return None;
    }
    let step = (i128::from(now.real_ns) - i128::from(expected)) as f64 / 1e9;
    Some(Gap {
        from_ms: expected / 1_000_000,
        to_ms: now.real_ns / 1_000_000,
        cause: GapCause::ClockStep,
        detail: format!("the wall clock was set by {step:+.1} s"),
    })
}

fn lone_gap(now: Clocks, from_boot_ns: u64, suspended_ns: u64) -> Gap {
    let gap_ns = now.boot_ns.saturating_sub(from_boot_ns);
    let cause = if is_suspend(gap_ns, suspended_ns) {
        GapCause::Suspend
    } else {
        GapCause::Stall
    };
    let detail = format!(
        "no tick for {:.1} s; without BPF r1-hostd and machine cannot be told apart",
        seconds(gap_ns)
    );
    gap(now, from_boot_ns, now.boot_ns, cause, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(boot_s: u64) -> Clocks {
        Clocks {
            boot_ns: boot_s * S,
            mono_ns: boot_s * S,
            real_ns: (1_000 + boot_s) * S,
        }
    }

    #[test]
    fn ticks_in_time_are_no_gaps() {
        let mut sampler = Sampler::new(3 * S, true);
        for s in 1..100 {
            assert_eq!(sampler.tick(at(s)), []);
        }
        assert_eq!(sampler.ticks.ticks, 99);
        assert_eq!(sampler.ticks.max_gap_ns, S);
        assert_eq!(sampler.ticks.gaps, 0);
    }

    #[test]
    fn a_gap_of_the_sampler_alone_is_the_agents() {
        let mut sampler = Sampler::new(3 * S, true);
        sampler.tick(at(10));
        assert_eq!(sampler.tick(at(20)), [], "not certain yet");
        let gaps = sampler.tick(at(21));
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].cause, GapCause::AgentDown);
        assert_eq!((gaps[0].from_ms, gaps[0].to_ms), (1_010_000, 1_020_000));
    }

    #[test]
    fn a_gap_that_the_kernel_saw_is_reported_once() {
        for kernel_first in [true, false] {
            let mut sampler = Sampler::new(3 * S, true);
            sampler.tick(at(10));
            if kernel_first {
                sampler.kernel_gap(20 * S);
            }
            assert_eq!(sampler.tick(at(20)), []);
            if !kernel_first {
                sampler.kernel_gap(20 * S);
            }
            assert_eq!(sampler.tick(at(21)), []);
        }
    }

    #[test]
    fn without_a_kernel_tick_suspension_is_still_recognised() {
        let mut sampler = Sampler::new(3 * S, false);
        sampler.tick(at(10));
        let awake = Clocks {
            boot_ns: 40 * S,
            mono_ns: 11 * S,
            real_ns: 1_040 * S,
        };
        assert_eq!(sampler.tick(awake)[0].cause, GapCause::Suspend);
        let later = Clocks {
            boot_ns: 50 * S,
            mono_ns: 21 * S,
            real_ns: 1_050 * S,
        };
        assert_eq!(sampler.tick(later)[0].cause, GapCause::Stall);
    }

    #[test]
    fn a_set_wall_clock_is_noticed_in_both_directions() {
        let mut sampler = Sampler::new(3 * S, true);
        sampler.tick(at(10));
        let ahead = Clocks {
            real_ns: 2_000 * S,
            ..at(11)
        };
        let gaps = sampler.tick(ahead);
        assert_eq!(gaps[0].cause, GapCause::ClockStep);
        assert_eq!((gaps[0].from_ms, gaps[0].to_ms), (1_011_000, 2_000_000));
        assert_eq!(sampler.tick(at(12))[0].cause, GapCause::ClockStep);
    }

    #[test]
    fn the_kernels_gap_says_why() {
        let now = at(100);
        assert_eq!(kernel_gap(now, 50 * S, 60 * S, 9 * S).cause, GapCause::Suspend);
        assert_eq!(kernel_gap(now, 50 * S, 60 * S, 0).cause, GapCause::Stall);
        assert_eq!(kernel_gap(now, 50 * S, 60 * S, 0).from_ms, 1_050_000);
    }

    #[test]
    fn an_open_gap_counts() {
        let ticks = Ticks {
            last_boot_ns: 5 * S,
            max_gap_ns: S,
            ..Ticks::default()
        };
        assert_eq!(ticks.max_gap_now(6 * S), S);
        assert_eq!(ticks.max_gap_now(9 * S), 4 * S);
    }
}
