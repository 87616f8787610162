//! The BPF programs of r1-hostd.
//!
//! One module per subject: [`heartbeat`] (the machine ticks), [`sched`] (CPU time and run-queue waits), [`process`]
//! (exec, fork, exit, out-of-memory kills), [`net`] (bytes of a cgroup). [`maps`] holds what they share with user
//! space, [`kernel`] the only code that reads the kernel's own structures.
//!
//! Only cgroups for which user space put a row into `USAGE` are metered: nothing is ever inserted from here, so the
//! maps cannot fill up and an unmetered machine pays for a failed lookup only.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod heartbeat;
mod kernel;
mod maps;
mod net;
mod plain;
mod process;
mod sched;

/// The kernel lets only GPL-compatible programs call the helpers used here.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier would refuse a program that could loop here.
    loop {}
}
