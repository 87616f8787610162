//! Life of processes in metered cgroups: fork, exec, exit, out-of-memory kills, moves between cgroups.

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_ktime_get_boot_ns, bpf_ktime_get_ns},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use r1_ebpf_common::{COMM_BYTES, EVENT_EXEC, EVENT_OOM, Event};

use crate::{
    kernel::Task,
    maps::{self, config},
    sched,
};

/// `sched_process_exec(task, old_pid, bprm)`.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let cgroup = Task(ctx.arg(0)).cgroup();
    let Some(row) = maps::usage(cgroup) else { return 0 };
    // SAFETY: a field of a map value.
    unsafe { maps::add(&raw mut (*row).execs, 1) };
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let comm = bpf_get_current_comm().unwrap_or([0; COMM_BYTES]);
    maps::send_exec(event(EVENT_EXEC, pid, cgroup, comm));
    0
}

/// `sched_process_fork(parent, child)`.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    if let Some(row) = maps::usage(Task(ctx.arg(0)).cgroup()) {
        // SAFETY: a field of a map value.
        unsafe { maps::add(&raw mut (*row).forks, 1) };
    }
    0
}

/// `sched_process_exit(task, …)`.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(row) = maps::usage(Task(ctx.arg(0)).cgroup()) {
        // SAFETY: a field of a map value.
        unsafe { maps::add(&raw mut (*row).exits, 1) };
    }
    0
}

/// `mark_victim(task, uid)`; `mark_victim(pid)` before Linux 6.8, where user space has to find the cgroup.
#[btf_tracepoint(function = "mark_victim")]
pub fn mark_victim(ctx: BtfTracePointContext) -> i32 {
    if config!(victim_is_task) == 0 {
        maps::send(event(EVENT_OOM, ctx.arg(0), 0, [0; COMM_BYTES]));
        return 0;
    }
    let task = Task(ctx.arg(0));
    let cgroup = task.cgroup();
    let Some(row) = maps::usage(cgroup) else { return 0 };
    // SAFETY: a field of a map value.
    unsafe { maps::add(&raw mut (*row).ooms, 1) };
    maps::send(event(EVENT_OOM, task.tgid(), cgroup, [0; COMM_BYTES]));
    0
}

/// `cgroup_attach_task(cgroup, path, task, threadgroup)`: the running task moved itself.
#[btf_tracepoint(function = "cgroup_attach_task")]
pub fn cgroup_attach_task(ctx: BtfTracePointContext) -> i32 {
    let moved = Task(ctx.arg(2));
    let current = Task::current();
    if moved.pid() == current.pid() {
        // SAFETY: a helper without arguments.
        sched::renew_slice(current, unsafe { bpf_ktime_get_ns() });
    }
    0
}

/// An event of now.
#[inline(always)]
pub fn event(kind: u32, pid: u32, cgroup: u64, comm: [u8; COMM_BYTES]) -> Event {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    Event {
        kind,
        id: pid,
        cgroup,
        from_boot_ns: now,
        to_boot_ns: now,
        suspended_ns: 0,
        comm,
    }
}
