//! Notification when the kernel's OOM killer acts inside a cgroup.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A descriptor that becomes readable when there is news.
#[derive(Debug)]
pub enum OomWatch {
    /// v1: an eventfd registered at `memory.oom_control`.
    Event {
        /// The eventfd.
        event: EventFd,
        /// Kept open for the registration's sake.
        _control: File,
    },
    /// v2: inotify on `memory.events`.
    Notify(Inotify),
}

impl OomWatch {
    /// Watches the memory cgroup in this folder.
    pub fn new(memory_dir: &Path, v2: bool) -> io::Result<OomWatch> {
        if v2 {
            let notify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            notify.add_watch(&memory_dir.join("memory.events"), AddWatchFlags::IN_MODIFY)?;
            return Ok(OomWatch::Notify(notify));
        }
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let control = File::open(memory_dir.join("memory.oom_control"))?;
        let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        let mut registration = OpenOptions::new()
            .write(true)
            .open(memory_dir.join("cgroup.event_control"))?;
        io::Write::write_all(&mut registration, line.as_bytes())?;
        Ok(OomWatch::Event {
            event,
            _control: control,
        })
    }

    /// Takes the news off the descriptor.
    pub fn drain(&self) {
        match self {
            OomWatch::Event { event, .. } => {
                let _ = event.read();
            }
            OomWatch::Notify(notify) => {
                let _ = notify.read_events();
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            OomWatch::Event { event, .. } => event.as_fd(),
            OomWatch::Notify(notify) => notify.as_fd(),
        }
    }
}
