//! Types that the BPF programs and r1-hostd share, byte for byte.
//!
//! Every type is `repr(C)`, has no padding that is not named, and its size is asserted: the programs are built
//! by another compiler than r1-hostd, and only the layout holds the two together. Times are nanoseconds of
//! `CLOCK_MONOTONIC` unless a field says `boot` (`CLOCK_BOOTTIME`, which goes on during suspend).
#![no_std]

/// Number of buckets of the run-queue latency histogram.
pub const HIST_BUCKETS: usize = 32;
/// Slots of the wake-time table; a power of two, because the slot is `pid & (WAKE_SLOTS - 1)`.
pub const WAKE_SLOTS: u32 = 16_384;
/// Bits of a wake slot that hold the time; the other 22 hold the pid (the kernel's largest pid is 2^22 - 1).
pub const WAKE_TIME_BITS: u32 = 42;
/// Low bits of a time that fit in a wake slot.
pub const WAKE_TIME_MASK: u64 = (1 << WAKE_TIME_BITS) - 1;
/// Cgroups that can be metered at the same time.
pub const USAGE_SLOTS: u32 = 1024;
/// Bytes of the ring buffer of gaps and out-of-memory kills, of which there are few.
pub const RING_BYTES: u32 = 8 * 1024;
/// Bytes of the ring buffer of started programs, which a tenant can flood.
pub const EXEC_RING_BYTES: u32 = 32 * 1024;
/// Bytes of a process name, with the closing zero.
pub const COMM_BYTES: usize = 16;

/// What is set before the programs are loaded: offsets in the running kernel's structures and thresholds.
///
/// Offsets are bytes. The verifier sees the values as constants, so a branch on one of them costs nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `task_struct.pid`; 0 says that there is no BTF, and no other offset is valid.
    pub task_pid: u32,
    /// `task_struct.tgid`.
    pub task_tgid: u32,
    /// `task_struct.__state` (`state` before Linux 5.14).
    pub task_state: u32,
    /// `task_struct.cgroups`.
    pub task_cgroups: u32,
    /// `task_struct.se.sum_exec_runtime`: the CPU time that getrusage reports from.
    pub task_exec_ns: u32,
    /// `css_set.dfl_cgrp`: the task's cgroup in the v2 hierarchy.
    pub cset_dfl_cgrp: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`.
    pub kn_id: u32,
    /// 1 where the tracepoint `mark_victim` passes the task, 0 where it passes a pid (before Linux 6.8).
    pub victim_is_task: u32,
    /// `task_struct.se.prev_sum_exec_runtime`: the same at the beginning of the running slice.
    pub task_slice_start_ns: u32,
    /// A time without ticks above this is a gap.
    pub gap_threshold_ns: u64,
}
const _: () = assert!(size_of::<Config>() == 48);

/// What one CPU has seen a cgroup use. User space sums the CPUs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of finished slices.
    pub cpu_ns: u64,
    /// Time spent runnable but waiting for a CPU.
    pub rq_ns: u64,
    /// Number of waits in `rq_ns`.
    pub rq_count: u64,
    /// Times a task was switched out.
    pub switches: u64,
    /// Programs started.
    pub execs: u64,
    /// Tasks created.
    pub forks: u64,
    /// Tasks ended.
    pub exits: u64,
    /// Processes chosen by the out-of-memory killer.
    pub ooms: u64,
    /// Bytes received, from the IP header on, without loopback.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes sent, from the IP header on, without loopback.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Waits by length: bucket `b` counts those of `2^b <= ns < 2^(b+1)`; the last bucket takes all longer ones.
    pub rq_hist: [u64; HIST_BUCKETS],
}
const _: () = assert!(size_of::<Usage>() == 12 * 8 + HIST_BUCKETS * 8);

impl Usage {
    /// A row of zeros.
    pub const ZERO: Self = Self {
        cpu_ns: 0,
        rq_ns: 0,
        rq_count: 0,
        switches: 0,
        execs: 0,
        forks: 0,
        exits: 0,
        ooms: 0,
        rx_bytes: 0,
        rx_packets: 0,
        tx_bytes: 0,
        tx_packets: 0,
        rq_hist: [0; HIST_BUCKETS],
    };
}

/// What runs on one CPU now.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Cgroup of the running task, 0 if that is not metered.
    pub cgroup: u64,
    /// Up to when the task is billed: at first the time of the switch.
    pub since_ns: u64,
    /// The task's `sum_exec_runtime` at that time.
    pub exec_ns: u64,
    /// The running thread, 0 if the CPU is idle.
    pub pid: u32,
    /// Always 0.
    pub reserved: u32,
}
const _: () = assert!(size_of::<Running>() == 32);

/// The tick of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Time of the last tick, `CLOCK_BOOTTIME`.
    pub last_boot_ns: u64,
    /// Time of the last tick.
    pub last_mono_ns: u64,
    /// Ticks so far.
    pub ticks: u64,
    /// Longest time between two ticks of this CPU, `CLOCK_BOOTTIME`.
    pub max_gap_ns: u64,
    /// Times between ticks of this CPU above the threshold.
    pub gaps: u64,
    /// Their sum.
    pub gap_total_ns: u64,
    /// Growth of boot time over monotonic time between ticks: time suspended.
    pub suspended_ns: u64,
}
const _: () = assert!(size_of::<Beat>() == 56);

/// The tick of the machine: any CPU's tick counts, so a gap here means that no CPU ran.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Time of the last tick of any CPU, `CLOCK_BOOTTIME`.
    pub last_boot_ns: u64,
    /// Longest time between two ticks.
    pub max_gap_ns: u64,
    /// Times between ticks above the threshold.
    pub gaps: u64,
    /// Their sum.
    pub gap_total_ns: u64,
    /// Events that found the ring buffer full.
    pub lost_events: u64,
}
const _: () = assert!(size_of::<Machine>() == 40);

/// No tick on any CPU for longer than the threshold.
pub const EVENT_GAP: u32 = 1;
/// The out-of-memory killer chose a process of a metered cgroup.
pub const EVENT_OOM: u32 = 2;
/// A program was started in a metered cgroup.
pub const EVENT_EXEC: u32 = 3;

/// What the ring buffers carry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// One of the `EVENT_` constants.
    pub kind: u32,
    /// Gap: the CPU that ticked first. Otherwise: the thread group (process) id.
    pub id: u32,
    /// Cgroup (0 for a gap).
    pub cgroup: u64,
    /// Gap: its start. Otherwise: now. `CLOCK_BOOTTIME`.
    pub from_boot_ns: u64,
    /// Gap: its end. Otherwise: now. `CLOCK_BOOTTIME`.
    pub to_boot_ns: u64,
    /// Gap: how much of it the machine was suspended.
    pub suspended_ns: u64,
    /// Exec: name of the process. Otherwise zeros.
    pub comm: [u8; COMM_BYTES],
}
const _: () = assert!(size_of::<Event>() == 56);

/// The histogram bucket of a wait of `ns`.
///
/// # Examples
/// ```
/// # use r1_ebpf_common::bucket;
/// assert_eq!((bucket(0), bucket(1), bucket(1023), bucket(1024), bucket(u64::MAX)), (0, 0, 9, 10, 31));
/// ```
#[inline(always)]
#[must_use]
pub const fn bucket(ns: u64) -> usize {
    if ns >> (HIST_BUCKETS - 1) != 0 {
        return HIST_BUCKETS - 1;
    }
    // Fills all bits below the highest and counts them: no branches, which the verifier would have to follow one by
    // one, and no count of leading zeros, which the BPF target lacks.
    let mut x = ns as u32 | 1;
    x |= x >> 1;
    x |= x >> 2;
    x |= x >> 4;
    x |= x >> 8;
    x |= x >> 16;
    (x >> 1).count_ones() as usize
}

/// The wake slot for a task that became runnable at `now_ns`.
#[inline(always)]
#[must_use]
pub const fn wake_slot(pid: u32, now_ns: u64) -> u64 {
    ((pid as u64) << WAKE_TIME_BITS) | (now_ns & WAKE_TIME_MASK)
}

/// How long `pid` has waited at `now_ns`, if `slot` is its own (another task may have overwritten it).
#[inline(always)]
#[must_use]
pub const fn waited(slot: u64, pid: u32, now_ns: u64) -> Option<u64> {
    if slot >> WAKE_TIME_BITS != pid as u64 {
        return None;
    }
    Some(now_ns.wrapping_sub(slot) & WAKE_TIME_MASK)
}

#[cfg(feature = "user")]
mod pod {
    use super::{Beat, Config, Event, Machine, Running, Usage};

    // SAFETY: repr(C), integers only, no padding (the sizes are asserted), so any bytes are a value.
    unsafe impl aya::Pod for Beat {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Config {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Event {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Machine {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Running {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Usage {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        for b in 0..HIST_BUCKETS - 1 {
            assert_eq!(bucket(1 << b), b);
            assert_eq!(bucket((1 << (b + 1)) - 1), b);
        }
        assert_eq!(bucket(1 << 31), 31);
        assert_eq!(bucket(1 << 40), 31);
    }

    #[test]
    fn a_wait_is_measured_by_its_own_task_only() {
        let slot = wake_slot(4_194_303, 5_000);
        assert_eq!(waited(slot, 4_194_303, 7_500), Some(2_500));
        assert_eq!(waited(slot, 4_194_302, 7_500), None);
        assert_eq!(waited(0, 7, 7_500), None);
    }

    #[test]
    fn a_wait_survives_the_wrap_of_the_short_clock() {
        let before = (3 << WAKE_TIME_BITS) - 10;
        assert_eq!(waited(wake_slot(9, before), 9, before + 25), Some(25));
    }
}
