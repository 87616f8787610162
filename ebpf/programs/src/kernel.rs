//! Reads of the kernel's own structures, at offsets that r1-hostd took from the running kernel's BTF.
//!
//! The pointers come from the arguments of BTF tracepoints, so the verifier knows their types, checks each offset
//! against them and turns a fault into a zero: plain loads are both allowed and the cheapest way.

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;

use crate::maps::config;

/// A `task_struct` that the kernel passed to a BTF tracepoint.
#[derive(Clone, Copy)]
pub struct Task(pub *const u8);

impl Task {
    /// The task that runs on this CPU.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: a helper without arguments; its result is never null.
        Self(unsafe { bpf_get_current_task_btf() }.cast_const().cast())
    }

    /// Thread id (what user space calls tid), 0 for the idle task.
    #[inline(always)]
    pub fn pid(self) -> u32 {
        // SAFETY: checked by the verifier, see the module page.
        unsafe { load::<u32>(self.0, config!(task_pid)) }
    }

    /// Process id (what user space calls pid).
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        // SAFETY: as above.
        unsafe { load::<u32>(self.0, config!(task_tgid)) }
    }

    /// True if the task gave up the CPU although it could have gone on.
    #[inline(always)]
    pub fn runnable(self) -> bool {
        // SAFETY: as above.
        unsafe { load::<u32>(self.0, config!(task_state)) == 0 }
    }

    /// CPU time by the scheduler's own account, nanoseconds.
    #[inline(always)]
    pub fn exec_ns(self) -> u64 {
        // SAFETY: as above.
        unsafe { load::<u64>(self.0, config!(task_exec_ns)) }
    }

    /// The same when the task was last put on a CPU (fair scheduling class only), nanoseconds.
    #[inline(always)]
    pub fn slice_start_ns(self) -> u64 {
        // SAFETY: as above.
        unsafe { load::<u64>(self.0, config!(task_slice_start_ns)) }
    }

    /// Id of the task's cgroup in the v2 hierarchy.
    #[inline(always)]
    pub fn cgroup(self) -> u64 {
        // SAFETY: as above, for each of the four structures.
        unsafe {
            let cset = load::<*const u8>(self.0, config!(task_cgroups));
            let cgroup = load::<*const u8>(cset, config!(cset_dfl_cgrp));
            let node = load::<*const u8>(cgroup, config!(cgroup_kn));
            load::<u64>(node, config!(kn_id))
        }
    }
}

/// Loads a field.
///
/// # Safety
/// `base` has a type that the verifier knows; it refuses the program if there is no such field at `offset`.
#[inline(always)]
unsafe fn load<T>(base: *const u8, offset: u32) -> T {
    // SAFETY: by contract.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast()) }
}
