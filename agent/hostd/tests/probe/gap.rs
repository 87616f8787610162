//! Times without ticks.

use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use r1_host_api::{EvidenceSource, Gap, GapCause};
use r1_hostd::probe::{Probe, ProbeConfig, ProbeEvent};

use crate::lab::{Helper, answer, listen, probe, wait_for};

/// Longer than the threshold.
const STOP: Duration = Duration::from_millis(3_400);
/// The ticks before and after a stop are each up to a second away from it.
const AROUND: Duration = Duration::from_millis(2_500);

fn gaps(events: &std::sync::mpsc::Receiver<ProbeEvent>) -> Vec<Gap> {
    let gap = |e| {
        if let ProbeEvent::Gap(gap) = e {
            Some(gap)
        } else {
            None
        }
    };
    events.try_iter().filter_map(gap).collect()
}

#[test]
fn a_stop_of_the_heartbeat_is_one_gap_of_that_length() {
    let test = "a_stop_of_the_heartbeat_is_one_gap_of_that_length";
    let Some(probe) = probe(test, &["heartbeat"]) else {
        return;
    };
    let events = probe.events().unwrap();
    wait_for("two ticks", || (probe.evidence().ticks >= 2).then_some(()));
    let before = probe.evidence();
    assert_eq!((before.source, before.gaps), (EvidenceSource::Bpf, 0));
    assert!(before.max_gap_ns < 2_000_000_000, "{before:?}");
    assert_eq!(before.suspended_ns, 0);

    probe.set_heartbeat(false).unwrap();
    let stopped = Instant::now();
    std::thread::sleep(STOP);
    let during = probe.evidence();
    assert!(
        during.max_gap_ns >= 3_000_000_000,
        "an open gap is in the evidence: {during:?}"
    );
    probe.set_heartbeat(true).unwrap();
    let stopped = stopped.elapsed();

    let found = wait_for("the gap", || Some(gaps(&events)).filter(|g| !g.is_empty()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].cause, GapCause::Stall);
    let length = Duration::from_millis(found[0].to_ms - found[0].from_ms);
    assert!(
        length >= stopped && length <= stopped + AROUND,
        "{length:?} for a stop of {stopped:?}"
    );
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(gaps(&events), [], "reported once, whatever the number of CPUs");
    let after = probe.evidence();
    assert_eq!(after.gaps, 1);
    assert_eq!(after.gap_total_ns / 1_000_000, after.max_gap_ns / 1_000_000);
    assert!(after.ticks > during.ticks);
}

/// An r1-hostd in small: reports its gaps.
pub fn agent() {
    let probe = Probe::start(ProbeConfig::default());
    let events = probe.events().unwrap();
    wait_for("a tick", || (probe.evidence().ticks >= 1).then_some(()));
    answer("ready");
    while listen().is_some() {
        let found = wait_for("a gap", || Some(gaps(&events)).filter(|g| !g.is_empty()));
        let evidence = probe.evidence();
        answer(format!(
            "{:?} kernel gaps {}",
            found.iter().map(|g| g.cause).collect::<Vec<_>>(),
            evidence.gaps
        ));
    }
}

#[test]
fn a_stopped_agent_on_a_running_machine_is_told_apart() {
    let test = "a_stopped_agent_on_a_running_machine_is_told_apart";
    if probe(test, &["heartbeat"]).is_none() {
        return;
    }
    let mut helper = Helper::start("agent", None);
    let pid = Pid::from_raw(helper.pid().try_into().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(STOP + Duration::from_secs(1));
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(helper.ask("report"), "[AgentDown] kernel gaps 0");
}
