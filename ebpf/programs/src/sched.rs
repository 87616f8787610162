//! CPU time and run-queue waits per cgroup.
//!
//! A slice is billed to the cgroup in which it began, with the scheduler's own figure (`sum_exec_runtime`), which is
//! the one getrusage is made from: it leaves out the time a hypervisor or an interrupt took away. A long slice is
//! closed and reopened by the heartbeat's tick and when its task moves itself to another cgroup.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use r1_ebpf_common::{Usage, bucket, waited, wake_slot};

use crate::{kernel::Task, maps};

/// `sched_switch(preempt, prev, next, …)`.
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let (prev, next) = (Task(ctx.arg(1)), Task(ctx.arg(2)));
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    close_slice(prev, 1);
    let prev_pid = prev.pid();
    if prev_pid != 0 && prev.runnable() {
        set_wake(prev_pid, now);
    }
    open_slice(next, now);
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

/// Bills the slice that ends now to the cgroup in which it began.
#[inline(always)]
pub fn close_slice(task: Task, switches: u64) {
    let Some(running) = maps::running() else { return };
    // SAFETY: a map value of this CPU; scheduler and tick run with interrupts off.
    let running = unsafe { &mut *running };
    if running.cgroup == 0 {
        return;
    }
    if let Some(row) = maps::usage(running.cgroup) {
        // SAFETY: as above.
        let row = unsafe { &mut *row };
        row.cpu_ns += task.exec_ns().saturating_sub(running.exec_ns);
        row.switches += switches;
    }
    running.cgroup = 0;
}

/// Notes what runs on this CPU from now on, and how long it had waited.
#[inline(always)]
fn open_slice(task: Task, now: u64) {
    let pid = task.pid();
    if pid == 0 {
        return;
    }
    let cgroup = task.cgroup();
    let Some(row) = maps::usage(cgroup) else { return };
    // SAFETY: a map value of this CPU, with interrupts off.
    count_wait(unsafe { &mut *row }, pid, now);
    begin(task, cgroup, now);
}

#[inline(always)]
fn begin(task: Task, cgroup: u64, now: u64) {
    if let Some(running) = maps::running() {
        // SAFETY: a map value of this CPU, with interrupts off.
        let running = unsafe { &mut *running };
        running.cgroup = cgroup;
        running.since_ns = now;
        running.exec_ns = task.exec_ns();
    }
}

/// Closes the running task's slice and opens a new one in the cgroup it is in now.
#[inline(always)]
pub fn renew_slice(task: Task, now: u64) {
    close_slice(task, 0);
    if task.pid() == 0 {
        return;
    }
    let cgroup = task.cgroup();
    if maps::usage(cgroup).is_some() {
        begin(task, cgroup, now);
    }
}

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
