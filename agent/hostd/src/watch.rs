//! Evidence that the machine was up, from clocks alone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use r1_host_api::{Evidence, EvidenceSource};
use tokio::time::{MissedTickBehavior, interval};

use crate::process;

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// A longer time between two ticks is a gap.
const GAP: Duration = Duration::from_secs(2);

/// A task that ticks once a second and remembers when it could not.
#[derive(Debug, Clone)]
pub struct ClockWatch {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    evidence: Evidence,
    last_boottime_ns: u64,
    /// Boottime minus monotonic at the start: time that had been slept through before.
    suspended_before_ns: u64,
}

impl ClockWatch {
    /// Starts ticking in the current runtime.
    pub fn start(boot_id: String) -> Self {
        let (boottime_ns, monotonic_ns) = clocks();
        let evidence = Evidence {
            boot_id,
            source: EvidenceSource::Proc,
            boottime_ns,
            monotonic_ns,
            since_ms: process::unix_ms(),
            ..Evidence::default()
        };
        let suspended_before_ns = boottime_ns.saturating_sub(monotonic_ns);
        let state = State {
            evidence,
            last_boottime_ns: boottime_ns,
            suspended_before_ns,
        };
        let watch = Self {
            state: Arc::new(Mutex::new(state)),
        };
        let ticking = watch.clone();
        tokio::spawn(async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                ticking.tick();
            }
        });
        watch
    }

    /// The evidence as of now.
    pub fn evidence(&self) -> Evidence {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (boottime_ns, monotonic_ns) = clocks();
        Evidence {
            boottime_ns,
            monotonic_ns,
            ..state.evidence.clone()
        }
    }

    fn tick(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (boottime_ns, monotonic_ns) = clocks();
        let since = boottime_ns.saturating_sub(state.last_boottime_ns);
        state.last_boottime_ns = boottime_ns;
        let before = state.suspended_before_ns;
        let evidence = &mut state.evidence;
        evidence.ticks += 1;
        evidence.max_gap_ns = evidence.max_gap_ns.max(since);
        if u128::from(since) > GAP.as_nanos() {
            evidence.gaps += 1;
            evidence.gap_total_ns += since;
        }
        evidence.suspended_ns = boottime_ns.saturating_sub(monotonic_ns).saturating_sub(before);
    }
}

/// CLOCK_BOOTTIME and CLOCK_MONOTONIC, nanoseconds.
fn clocks() -> (u64, u64) {
    let read = |clock| {
        let time = clock_gettime(clock).map(Duration::from);
        time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    };
    (read(ClockId::CLOCK_BOOTTIME), read(ClockId::CLOCK_MONOTONIC))
}
