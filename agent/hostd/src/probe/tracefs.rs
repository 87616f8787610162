//! A view of tracefs, which names the tracepoints, for one piece of work.

use std::{path::Path, thread};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// Where tracefs belongs.
const TRACING: &str = "/sys/kernel/tracing";

/// Runs `work` where tracefs is mounted. Where the machine has not mounted it, that is a thread with a mount
/// namespace of its own, so that nobody else sees the mount and it is gone with the thread.
///
/// Whether the mount succeeded shows in what the work finds.
pub fn with_tracefs<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    if Path::new(TRACING).join("events").is_dir() {
        return Some(work());
    }
    thread::scope(|scope| {
        let private = scope.spawn(|| {
            // The work fails with the name of the missing file if this did.
            let _ = mount_privately();
            work()
        });
        private.join().ok()
    })
}

fn mount_privately() -> nix::Result<()> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tracefs"), TRACING, Some("tracefs"), flags, NONE)
}
