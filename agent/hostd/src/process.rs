//! Processes that are named by more than a number: a pid is reused, so it is only acted on together with its
//! start time and the boot it was seen in, and then through a pidfd.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use nix::libc;
use tokio::io::{Interest, unix::AsyncFd};

/// A process that was checked to be the one meant. The pidfd becomes readable when it ends.
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
}

impl Process {
    /// Finds the process with this pid, start time (field 22 of `/proc/<pid>/stat`) and boot. `None` if it has
    /// ended, even if another process has its number now.
    ///
    /// # Errors
    /// Whatever `pidfd_open(2)` reports except that there is no such process.
    pub fn find(pid: i32, starttime: u64, boot_id: &str) -> io::Result<Option<Self>> {
        if boot_id != self::boot_id()? {
            return Ok(None);
        }
        // The start time is read after the pidfd was opened: if the number had been taken over, it differs.
        Ok(Self::open(pid)?.filter(|_| start_time(pid) == Some(starttime)))
    }

    /// The process that has this pid now, `None` if there is none. Whether it is the one meant must be checked
    /// after this call and before anything is done to it.
    ///
    /// # Errors
    /// Whatever `pidfd_open(2)` reports except that there is no such process.
    pub fn open(pid: i32) -> io::Result<Option<Self>> {
        if pid <= 0 {
            return Ok(None);
        }
        // SAFETY: pidfd_open takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ESRCH) {
                Ok(None)
            } else {
                Err(error)
            };
        }
        // SAFETY: the kernel has just given us this descriptor and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        Ok(Some(Self { pidfd }))
    }

    /// Sends it a signal; true if it was still there.
    pub fn signal(&self, signal: i32) -> bool {
        // SAFETY: the pidfd is open, and a null siginfo makes the kernel fill in one.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        result == 0
    }

    /// Waits until it has ended (a zombie counts as ended).
    ///
    /// # Errors
    /// If the descriptor cannot be watched.
    pub async fn ended(&self) -> io::Result<()> {
        // SAFETY: the descriptor is borrowed from `self` and stays open while it is watched here.
        let watched = unsafe { AsyncFd::register_with_interest(self.pidfd.as_fd(), Interest::READABLE) }?;
        watched.readable().await?.retain_ready();
        Ok(())
    }
}

/// The start time of a pid, if there is one.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may hold anything; the last parenthesis ends it.
    let rest = &stat[stat.rfind(')')? + 1..];
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Identifies this boot of the machine.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"))?
        .trim_end()
        .to_owned())
}

/// Now, milliseconds since 1970-01-01 UTC.
pub fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_pid_start_time_and_boot_only() {
        let me = std::process::id() as i32;
        let (start, boot) = (start_time(me).unwrap(), boot_id().unwrap());
        assert!(Process::find(me, start, &boot).unwrap().is_some());
        assert!(Process::find(me, start + 1, &boot).unwrap().is_none());
        assert!(Process::find(me, start, "another boot").unwrap().is_none());
        assert!(Process::find(0, start, &boot).unwrap().is_none());
        assert!(Process::find(-1, start, &boot).unwrap().is_none());
    }

    #[tokio::test]
    async fn the_end_of_a_foreign_process_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let process = Process::find(pid, start_time(pid).unwrap(), &boot_id().unwrap())
            .unwrap()
            .unwrap();
        assert!(process.signal(libc::SIGKILL));
        tokio::time::timeout(std::time::Duration::from_secs(5), process.ended())
            .await
            .unwrap()
            .unwrap();
        child.wait().unwrap();
        assert!(!process.signal(libc::SIGKILL));
    }
}
