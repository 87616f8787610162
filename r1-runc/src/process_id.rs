//! Which process is meant: a pid alone may have been reused, so it is always held with its start time and boot.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::libc;
use serde::{Deserialize, Serialize};

/// One process of one boot of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Host pid.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    pub starttime: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It has ended and waits to be reaped.
    Zombie,
    /// It is gone, or its pid belongs to another process now.
    Gone,
}

/// The id of this boot.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// State letter and start time out of the text of `/proc/<pid>/stat`.
pub fn parse_stat(text: &str) -> Option<(char, u64)> {
    // The command name may hold spaces and parentheses: count from its last closing parenthesis.
    let rest = &text[text.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let starttime = fields.nth(18)?.parse().ok()?;
    Some((state, starttime))
}

fn stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl ProcessId {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> io::Result<ProcessId> {
        let (_, starttime) =
            stat(pid).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no process {pid}")))?;
        Ok(ProcessId {
            pid,
            starttime,
            boot_id: boot_id()?,
        })
    }

    /// Whether it still runs.
    pub fn liveness(&self) -> Liveness {
        if self.pid <= 0 || boot_id().ok().as_deref() != Some(self.boot_id.as_str()) {
            return Liveness::Gone;
        }
        match stat(self.pid) {
            Some((_, starttime)) if starttime != self.starttime => Liveness::Gone,
            Some(('Z' | 'X', _)) => Liveness::Zombie,
            Some(_) => Liveness::Alive,
            None => Liveness::Gone,
        }
    }

    /// A pidfd of it, or `None` if it is gone. The start time is compared after the pidfd was opened, so the
    /// descriptor cannot mean another process.
    pub fn pidfd(&self) -> io::Result<Option<OwnedFd>> {
        if self.pid <= 0 {
            return Ok(None);
        }
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ESRCH) {
                Ok(None)
            } else {
                Err(error)
            };
        }
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        Ok(if self.liveness() == Liveness::Gone {
            None
        } else {
            Some(fd)
        })
    }

    /// Sends a signal to it and to no other process; false if it is gone.
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        let Some(fd) = self.pidfd()? else { return Ok(false) };
        // SAFETY: a valid pidfd, a signal number, no siginfo, no flags.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                fd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if rc == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ESRCH) {
            Ok(false)
        } else {
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_hostile_name() {
        let text = "42 (a) S 1 (x) R 1 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 777 1000 10 184467";
        assert_eq!(parse_stat(text), Some(('R', 777)));
        assert_eq!(parse_stat("42 (x"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn wrong_start_time_is_another_process() {
        let mut me = ProcessId::of(std::process::id() as i32).unwrap();
        assert_eq!(me.liveness(), Liveness::Alive);
        assert!(me.signal(0).unwrap());
        me.starttime += 1;
        assert_eq!(me.liveness(), Liveness::Gone);
        assert!(!me.signal(0).unwrap());
        me.starttime -= 1;
        me.boot_id = "another".to_owned();
        assert!(!me.signal(0).unwrap());
    }
}
