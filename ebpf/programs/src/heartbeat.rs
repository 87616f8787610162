//! The heartbeat: a software clock event ticks once a second on each CPU.

use aya_ebpf::{
    helpers::{
        bpf_get_smp_processor_id,
        generated::{bpf_ktime_get_boot_ns, bpf_ktime_get_ns},
    },
    macros::perf_event,
    programs::PerfEventContext,
};
use r1_ebpf_common::{Beat, COMM_BYTES, EVENT_GAP, Event};

use crate::{
    kernel::Task,
    maps::{self, config},
    plain, sched,
};

/// One tick of one CPU.
#[perf_event]
pub fn heartbeat(_ctx: PerfEventContext) -> u32 {
    // SAFETY: helpers without arguments.
    let (boot, mono) = unsafe { (bpf_ktime_get_boot_ns(), bpf_ktime_get_ns()) };
    if let Some(suspended) = tick_cpu(boot, mono) {
        tick_machine(boot, suspended);
    }
    // A task that never leaves the CPU is billed once a second, not only when it ends.
    if config!(task_pid) == 0 {
        plain::bill_current(0);
    } else {
        sched::renew_slice(Task::current(), mono);
    }
    0
}

/// Counts the tick of this CPU; returns how long the machine was suspended since its last one.
#[inline(always)]
fn tick_cpu(boot: u64, mono: u64) -> Option<u64> {
    let beat: *mut Beat = maps::beat()?;
    // SAFETY: a map value of this CPU; nothing else on it writes here.
    let beat = unsafe { &mut *beat };
    let mut suspended = 0;
    if beat.last_boot_ns != 0 {
        let gap = boot.saturating_sub(beat.last_boot_ns);
        suspended = gap.saturating_sub(mono.saturating_sub(beat.last_mono_ns));
        beat.suspended_ns += suspended;
        if gap > beat.max_gap_ns {
            beat.max_gap_ns = gap;
        }
        if gap > config!(gap_threshold_ns) {
            beat.gaps += 1;
            beat.gap_total_ns += gap;
        }
    }
    beat.last_boot_ns = boot;
    beat.last_mono_ns = mono;
    beat.ticks += 1;
    Some(suspended)
}

/// Counts the tick for the machine.
///
/// After a gap all CPUs tick at once; the exchange lets exactly one of them see the old time, so a gap is
/// reported once. Suspension is judged by that CPU's own tick, which encloses the machine's gap.
#[inline(always)]
fn tick_machine(boot: u64, suspended: u64) {
    let Some(machine) = maps::machine() else { return };
    // SAFETY: fields of a map value, aligned, each swapped or added to in one step but the maximum, see there.
    unsafe {
        let last = maps::swap(&raw mut (*machine).last_boot_ns, boot);
        let gap = boot.saturating_sub(last);
        if last == 0 || gap == 0 {
            return;
        }
        // Two CPUs can only both get here with ordinary gaps, so losing one of the two stores loses nothing.
        if gap > (*machine).max_gap_ns {
            (*machine).max_gap_ns = gap;
        }
        if gap <= config!(gap_threshold_ns) {
            return;
        }
        maps::add(&raw mut (*machine).gaps, 1);
        maps::add(&raw mut (*machine).gap_total_ns, gap);
        maps::send(Event {
            kind: EVENT_GAP,
            id: bpf_get_smp_processor_id(),
            cgroup: 0,
            from_boot_ns: last,
            to_boot_ns: boot,
            suspended_ns: suspended,
            comm: [0; COMM_BYTES],
        });
    }
}
