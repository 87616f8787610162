//! Maps and the configuration, and the few ways in which programs touch them.

use core::arch::asm;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    macros::map,
    maps::{Array, PerCpuArray, PerCpuHashMap, RingBuf},
};
use r1_ebpf_common::{
    Beat, Config, EXEC_RING_BYTES, Event, Machine, RING_BYTES, Running, USAGE_SLOTS, Usage, WAKE_SLOTS,
};

/// Filled in by r1-hostd before the programs are loaded.
#[unsafe(no_mangle)]
pub static CONFIG: Config = Config {
    task_pid: 0,
    task_tgid: 0,
    task_state: 0,
    task_cgroups: 0,
    task_exec_ns: 0,
    cset_dfl_cgrp: 0,
    cgroup_kn: 0,
    kn_id: 0,
    victim_is_task: 0,
    task_slice_start_ns: 0,
    gap_threshold_ns: 0,
};

/// Reads one field of [`CONFIG`].
macro_rules! config {
    ($field:ident) => {
        $crate::maps::read(&$crate::maps::CONFIG.$field)
    };
}
pub(crate) use config;

/// Reads what r1-hostd has set; volatile, or the compiler would fold in the zero it sees.
#[inline(always)]
pub fn read<T: Copy>(value: &'static T) -> T {
    // SAFETY: a reference is valid and aligned.
    unsafe { core::ptr::read_volatile(value) }
}

/// Use per metered cgroup; rows are put in and taken out by user space.
#[map]
static USAGE: PerCpuHashMap<u64, Usage> = PerCpuHashMap::with_max_entries(USAGE_SLOTS, 0);
/// What runs on this CPU.
#[map]
static RUNNING: PerCpuArray<Running> = PerCpuArray::with_max_entries(1, 0);
/// When a task became runnable; direct-mapped by pid, a collision loses one sample.
#[map]
static WAKE: Array<u64> = Array::with_max_entries(WAKE_SLOTS, 0);
/// The tick of each CPU.
#[map]
static BEAT: PerCpuArray<Beat> = PerCpuArray::with_max_entries(1, 0);
/// The tick of the machine.
#[map]
static MACHINE: Array<Machine> = Array::with_max_entries(1, 0);
/// Gaps and out-of-memory kills.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);
/// Started programs; apart, so that a flood of them displaces nothing else.
#[map]
static EXECS: RingBuf = RingBuf::with_byte_size(EXEC_RING_BYTES, 0);

/// The row of `cgroup` on this CPU, if it is metered.
#[inline(always)]
pub fn usage(cgroup: u64) -> Option<*mut Usage> {
    USAGE.get_ptr_mut(cgroup)
}

/// What runs on this CPU.
#[inline(always)]
pub fn running() -> Option<*mut Running> {
    RUNNING.get_ptr_mut(0)
}

/// The wake slot of `pid`.
#[inline(always)]
pub fn wake(pid: u32) -> Option<*mut u64> {
    WAKE.get_ptr_mut(pid & (WAKE_SLOTS - 1))
}

/// The tick of this CPU.
#[inline(always)]
pub fn beat() -> Option<*mut Beat> {
    BEAT.get_ptr_mut(0)
}

/// The tick of the machine.
#[inline(always)]
pub fn machine() -> Option<*mut Machine> {
    MACHINE.get_ptr_mut(0)
}

// The target declares no compare-and-swap, so `core` offers no atomic arithmetic for it, though the machine has it.

/// Adds to a counter that another program on any CPU may add to at the same time.
///
/// # Safety
/// `counter` points into a map value.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, by: u64) {
    // SAFETY: map values are 8-byte aligned and live as long as the program runs.
    unsafe { asm!("lock *(u64 *)({at} + 0) += {by}", at = in(reg) counter, by = in(reg) by) };
}

/// Stores `new` and returns what was there, in one step.
///
/// # Safety
/// `at` points into a map value.
#[inline(always)]
pub unsafe fn swap(at: *mut u64, new: u64) -> u64 {
    let mut value = new;
    // SAFETY: as for `add`.
    unsafe { asm!("{value} = xchg_64({at} + 0, {value})", at = in(reg) at, value = inout(reg) value) };
    value
}

/// The same value, of which the compiler knows nothing.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // SAFETY: no instructions.
    unsafe {
        asm!("/* {value} */", value = inout(reg) value, options(pure, nomem, preserves_flags, nostack))
    };
    value
}

/// Sends an event and wakes the reader.
#[inline(always)]
pub fn send(event: Event) {
    put(&EVENTS, event, 0);
}

/// Sends the start of a program. The reader finds it at its next tick: a flood wakes nobody.
#[inline(always)]
pub fn send_exec(event: Event) {
    put(&EXECS, event, u64::from(BPF_RB_NO_WAKEUP));
}

/// Stores an event, or counts that there was no room for it.
#[inline(always)]
fn put(ring: &RingBuf, event: Event, flags: u64) {
    match ring.reserve::<Event>(0) {
        Some(mut slot) => {
            slot.write(event);
            slot.submit(flags);
        }
        None => {
            if let Some(machine) = machine() {
                // SAFETY: a field of a map value.
                unsafe { add(&raw mut (*machine).lost_events, 1) };
            }
        }
    }
}
