//! CPU time and run-queue waits per cgroup.
//!
//! A slice is billed to the cgroup in which it began, with the scheduler's own figure (`sum_exec_runtime`), which is
//! the one getrusage is made from: it leaves out the time a hypervisor or an interrupt took away. A long slice is
//! billed in parts by the heartbeat's tick, and split when its task moves itself to another cgroup.
//!
//! A switch can be missed: the task ran already when the programs were attached, or the kernel keeps some task from
//! being traced. Then the scheduler's own note of the slice's beginning is used.

use core::cmp::{max, min};

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use r1_ebpf_common::{Running, Usage, bucket, waited, wake_slot};

use crate::{kernel::Task, maps};

/// `sched_switch(preempt, prev, next, …)`.
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let (prev, next) = (Task(ctx.arg(1)), Task(ctx.arg(2)));
    let Some(running) = maps::running() else { return 0 };
    // SAFETY: a map value of this CPU; scheduler and tick run with interrupts off.
    let running = unsafe { &mut *running };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let prev_pid = prev.pid();
    if let Some(row) = bill(running, prev, prev_pid, now) {
        row.switches += 1;
    }
    if prev_pid != 0 && prev.runnable() {
        set_wake(prev_pid, now);
    }
    open_slice(running, next, now);
    0
}

/// `sched_wakeup(task)`.
#[btf_tracepoint(function = "sched_wakeup")]
pub fn sched_wakeup(ctx: BtfTracePointContext) -> i32 {
    woken(Task(ctx.arg(0)))
}

/// `sched_wakeup_new(task)`.
#[btf_tracepoint(function = "sched_wakeup_new")]
pub fn sched_wakeup_new(ctx: BtfTracePointContext) -> i32 {
    woken(Task(ctx.arg(0)))
}

#[inline(always)]
fn woken(task: Task) -> i32 {
    // SAFETY: a helper without arguments.
    set_wake(task.pid(), unsafe { bpf_ktime_get_ns() });
    0
}

#[inline(always)]
fn set_wake(pid: u32, now: u64) {
    if let Some(slot) = maps::wake(pid) {
        // SAFETY: a map value; one aligned store, so a reader sees this task's word or another's, never a mix.
        unsafe { slot.write_volatile(wake_slot(pid, now)) };
    }
}

/// Bills what `task`, which has run on this CPU until now, has used since it was billed last.
#[inline(always)]
fn bill(running: &Running, task: Task, pid: u32, now: u64) -> Option<&'static mut Usage> {
    let (cgroup, used) = if running.pid == pid {
        if running.cgroup == 0 {
            return None;
        }
        (running.cgroup, task.exec_ns().saturating_sub(running.exec_ns))
    } else {
        if pid == 0 {
            return None;
        }
        let slice = task.exec_ns().saturating_sub(task.slice_start_ns());
        (task.cgroup(), min(slice, now.saturating_sub(running.since_ns)))
    };
    // SAFETY: a map value of this CPU, with interrupts off.
    let row = unsafe { &mut *maps::usage(cgroup)? };
    row.cpu_ns += used;
    Some(row)
}

/// Notes what runs on this CPU from now on, and how long it had waited.
#[inline(always)]
fn open_slice(running: &mut Running, task: Task, now: u64) {
    let pid = task.pid();
    running.pid = pid;
    running.cgroup = 0;
    running.since_ns = now;
    if pid == 0 {
        return;
    }
    let cgroup = task.cgroup();
    let Some(row) = maps::usage(cgroup) else { return };
    // SAFETY: a map value of this CPU, with interrupts off.
    count_wait(unsafe { &mut *row }, pid, now);
    running.cgroup = cgroup;
    running.exec_ns = task.exec_ns();
}

/// Bills what the running task has used so far, and looks again in which cgroup it is.
///
/// The scheduler's figure is behind by up to a tick of its own. A slice that goes on therefore begins anew at the
/// instant up to which it is billed, not now: user space adds the time since then.
#[inline(always)]
pub fn renew_slice(task: Task, now: u64) {
    let Some(running) = maps::running() else { return };
    // SAFETY: a map value of this CPU, with interrupts off.
    let running = unsafe { &mut *running };
    let pid = task.pid();
    if pid == 0 {
        return;
    }
    let exec = task.exec_ns();
    let metered = bill(running, task, pid, now).is_some();
    let cgroup = task.cgroup();
    let goes_on = metered && running.pid == pid && running.cgroup == cgroup;
    let billed = if goes_on {
        running.since_ns + exec.saturating_sub(running.exec_ns)
    } else {
        now
    };
    running.since_ns = max(billed, now.saturating_sub(MAX_BEHIND_NS));
    running.pid = pid;
    running.exec_ns = exec;
    running.cgroup = if maps::usage(cgroup).is_some() { cgroup } else { 0 };
}

/// The scheduler's figure is not older than this; what is missing beyond was taken by interrupts or the hypervisor.
const MAX_BEHIND_NS: u64 = 20_000_000;

#[inline(always)]
fn count_wait(row: &mut Usage, pid: u32, now: u64) {
    let Some(slot) = maps::wake(pid) else { return };
    // SAFETY: a map value, one aligned load.
    let Some(ns) = waited(unsafe { slot.read_volatile() }, pid, now) else {
        return;
    };
    // SAFETY: one aligned store; an empty slot belongs to nobody, because the idle task never waits.
    unsafe { slot.write_volatile(0) };
    row.rq_ns += ns;
    row.rq_count += 1;
    // The compiler knows that a bucket is below 32 and would leave the check out; the verifier does not know it.
    if let Some(count) = row.rq_hist.get_mut(maps::opaque(bucket(ns))) {
        *count += 1;
    }
}
