//! CPU time against getrusage.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use r1_host_api::UsageSource;

use crate::lab::{Cgroup, Helper, answer, listen, probe};

/// Figures may differ by this part of the whole.
const TOLERANCE: f64 = 0.01;
/// Length of the busy loop.
const BUSY: Duration = Duration::from_millis(2_500);
/// Messages of the switching pair.
const MESSAGES: usize = 20_000;

/// CPU time of this process by getrusage, nanoseconds.
fn rusage_ns() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let ns = |t: nix::sys::time::TimeVal| t.tv_sec() * 1_000_000_000 + t.tv_usec() * 1_000;
    ns(usage.user_time()) + ns(usage.system_time())
}

/// Computes without a pause, mostly in user space.
pub fn busy() {
    answer("ready");
    while listen().is_some() {
        let before = rusage_ns();
        let end = Instant::now() + BUSY;
        while Instant::now() < end {
            std::hint::black_box((0..20_000u64).fold(1, |a, b| a ^ b.wrapping_mul(a)));
        }
        answer(rusage_ns() - before);
    }
}

/// Two threads that wake each other: nothing but short slices.
pub fn switcher() {
    answer("ready");
    while listen().is_some() {
        let before = rusage_ns();
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let other = std::thread::spawn(move || {
            let mut byte = [0];
            while b.read(&mut byte).unwrap() == 1 {
                b.write_all(&byte).unwrap();
            }
        });
        for _ in 0..MESSAGES {
            a.write_all(&[1]).unwrap();
            a.read_exact(&mut [0]).unwrap();
        }
        drop(a);
        other.join().unwrap();
        answer(rusage_ns() - before);
    }
}

fn close(name: &str, measured: u64, reference: u64) {
    let off = (measured as f64 - reference as f64).abs() / reference as f64;
    eprintln!(
        "{name}: measured {measured} ns, getrusage {reference} ns, off by {:.3} %",
        off * 100.0
    );
    assert!(
        off <= TOLERANCE,
        "{name}: {measured} ns is not within 1 % of {reference} ns"
    );
}

#[test]
fn cpu_time_of_a_busy_loop_is_that_of_getrusage() {
    let test = "cpu_time_of_a_busy_loop_is_that_of_getrusage";
    let (Some(probe), Some(cgroup)) = (probe(test, &["sched_switch", "heartbeat"]), Cgroup::v2(test)) else {
        return;
    };
    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let mut helper = Helper::start("busy", None);
    cgroup.admit(helper.pid());
    let before = probe.usage(id).unwrap();
    assert_eq!(before.source, UsageSource::Bpf);
    helper.say("go");
    let mut seen = vec![before.cpu_ns];
    for _ in 0..20 {
        std::thread::sleep(BUSY / 25);
        seen.push(probe.usage(id).unwrap().cpu_ns);
    }
    assert!(seen.is_sorted(), "what is billed never shrinks: {seen:?}");
    seen.dedup();
    assert!(
        seen.len() > 5,
        "a running slice is counted before it ends: {seen:?}"
    );
    let reference = helper.hear().parse().unwrap();
    close(
        "busy loop",
        probe.usage(id).unwrap().cpu_ns - before.cpu_ns,
        reference,
    );
    helper.end();
    let total = probe.unwatch(id).unwrap();
    assert_eq!(total.exits, 2, "the process and the thread of its test harness");
    assert!(probe.usage(id).is_none());
}

#[test]
fn cpu_time_of_short_slices_is_that_of_getrusage() {
    let test = "cpu_time_of_short_slices_is_that_of_getrusage";
    let hooks = ["sched_switch", "sched_wakeup", "sched_process_fork"];
    let (Some(probe), Some(cgroup)) = (probe(test, &hooks), Cgroup::v2(test)) else {
        return;
    };
    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let mut helper = Helper::start("switcher", None);
    cgroup.admit(helper.pid());
    let before = probe.usage(id).unwrap();
    let reference = helper.ask("go").parse().unwrap();
    let after = probe.usage(id).unwrap();
    close("short slices", after.cpu_ns - before.cpu_ns, reference);
    let waits = after.rq_count - before.rq_count;
    assert!(
        waits >= MESSAGES as u64,
        "{waits} waits for a CPU; each message wakes at least one thread"
    );
    assert_eq!(after.rq_hist.iter().sum::<u64>(), after.rq_count);
    assert!(after.switches - before.switches >= waits / 2, "{after:?}");
    assert_eq!(after.forks - before.forks, 1);
}

#[test]
fn a_slice_is_split_where_the_task_changes_its_cgroup() {
    let test = "a_slice_is_split_where_the_task_changes_its_cgroup";
    let (Some(probe), Some(cgroup)) = (
        probe(test, &["sched_switch", "cgroup_attach_task"]),
        Cgroup::v2(test),
    ) else {
        return;
    };
    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let mut helper = Helper::start("busy", None);
    helper.say("go");
    std::thread::sleep(BUSY / 5);
    cgroup.admit(helper.pid());
    let entered = Instant::now();
    let whole: u64 = helper.hear().parse().unwrap();
    let part = probe.usage(id).unwrap().cpu_ns;
    let most = u64::try_from(entered.elapsed().as_nanos()).unwrap();
    // The task of another CPU is seen at the latest with the next tick, a second later.
    assert!(
        part > 0 && part < whole && part <= most,
        "{part} of {whole} ns, at most {most} ns were inside"
    );
}

#[test]
fn cpu_time_from_before_watching_is_included_without_a_seam() {
    let test = "cpu_time_from_before_watching_is_included_without_a_seam";
    let (Some(probe), Some(cgroup)) = (probe(test, &["sched_switch"]), Cgroup::v2(test)) else {
        return;
    };
    let mut helper = Helper::start("busy", None);
    cgroup.admit(helper.pid());
    helper.say("go");
    std::thread::sleep(BUSY / 2);
    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let before = probe.usage(id).unwrap().cpu_ns;
    let reference = helper.hear().parse().unwrap();
    let after = probe.usage(id).unwrap().cpu_ns;
    assert!(before > 0 && before < after);
    close("watched in the middle", after, reference);
}
