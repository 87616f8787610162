//! The meters for kernels without BTF: classic tracepoints, which pass no kernel structures.
//!
//! Everything is about the task that runs when the tracepoint fires. CPU time is that between two switches, with what
//! interrupts and the hypervisor took of it; waits for a CPU are not measured.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns},
    },
    macros::tracepoint,
    programs::TracePointContext,
};
use r1_ebpf_common::{COMM_BYTES, EVENT_EXEC, EVENT_OOM, Usage};

use crate::{maps, process::event};

/// Where the fields of an event begin, after those that all events share.
const FIRST_FIELD: usize = 8;

/// `sched:sched_switch`; the task that leaves the CPU is still the current one.
#[tracepoint(category = "sched", name = "sched_switch")]
pub fn plain_switch(_ctx: TracePointContext) -> u32 {
    bill_current(1);
    0
}

/// `sched:sched_process_exec`.
#[tracepoint(category = "sched", name = "sched_process_exec")]
pub fn plain_exec(_ctx: TracePointContext) -> u32 {
    let cgroup = current_cgroup();
    let Some(row) = maps::usage(cgroup) else { return 0 };
    // SAFETY: a field of a map value.
    unsafe { maps::add(&raw mut (*row).execs, 1) };
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let comm = bpf_get_current_comm().unwrap_or([0; COMM_BYTES]);
    maps::send_exec(event(EVENT_EXEC, pid, cgroup, comm));
    0
}

/// `sched:sched_process_fork`.
#[tracepoint(category = "sched", name = "sched_process_fork")]
pub fn plain_fork(_ctx: TracePointContext) -> u32 {
    if let Some(row) = maps::usage(current_cgroup()) {
        // SAFETY: a field of a map value.
        unsafe { maps::add(&raw mut (*row).forks, 1) };
    }
    0
}

/// `sched:sched_process_exit`.
#[tracepoint(category = "sched", name = "sched_process_exit")]
pub fn plain_exit(_ctx: TracePointContext) -> u32 {
    if let Some(row) = maps::usage(current_cgroup()) {
        // SAFETY: a field of a map value.
        unsafe { maps::add(&raw mut (*row).exits, 1) };
    }
    0
}

/// `oom:mark_victim`, whose first field is the pid; the victim is not the current task, so its cgroup stays unknown.
#[tracepoint(category = "oom", name = "mark_victim")]
pub fn plain_victim(ctx: TracePointContext) -> u32 {
    // SAFETY: a checked read of four bytes of the event.
    if let Ok(pid) = unsafe { ctx.read_at::<u32>(FIRST_FIELD) } {
        maps::send(event(EVENT_OOM, pid, 0, [0; COMM_BYTES]));
    }
    0
}

/// Bills the time since the last switch or tick on this CPU to the current task's cgroup.
#[inline(always)]
pub fn bill_current(switches: u64) {
    let Some(running) = maps::running() else { return };
    // SAFETY: a map value of this CPU; scheduler and tick run with interrupts off.
    let running = unsafe { &mut *running };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let since = running.since_ns;
    running.since_ns = now;
    let idle = bpf_get_current_pid_tgid() as u32 == 0;
    if idle || since == 0 {
        return;
    }
    let Some(row) = maps::usage(current_cgroup()) else {
        return;
    };
    // SAFETY: as above.
    let row: &mut Usage = unsafe { &mut *row };
    row.cpu_ns += now.saturating_sub(since);
    row.switches += switches;
}

#[inline(always)]
fn current_cgroup() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_cgroup_id() }
}
