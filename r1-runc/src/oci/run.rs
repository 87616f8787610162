//! `run` in the foreground: the container's init is our child.

use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::CreateArgs;
use super::lifecycle;
use super::record::Store;
use crate::error::{Result, sys};

/// Signals that are about us, not about the container.
const OURS: [i32; 5] = [
    libc::SIGCHLD,
    libc::SIGPIPE,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
];

/// Makes a container, starts it, waits for it and removes it. Its exit code is ours; 128+n for signal n.
pub fn run(store: &Store, args: &CreateArgs, detach: bool, keep: bool) -> Result<ExitCode> {
    // Before anything is forked: a SIGCHLD that comes while nobody listens would be waited for for ever.
    let mask = SigSet::all();
    mask.thread_block().map_err(sys("block signals"))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&mask, flags).map_err(sys("signalfd"))?;
    // SAFETY: an integer argument; orphans of the container come to us instead of to the host's init.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };

    let (held, mut record) = lifecycle::create(store, args, !detach)?;
    if let Err(error) = lifecycle::start_held(&held, &mut record) {
        let _ = lifecycle::destroy(held, &record);
        return Err(error);
    }
    if detach {
        return Ok(ExitCode::SUCCESS);
    }
    let pid = record.init.as_ref().map_or(0, |init| init.pid);
    // Others may kill or pause it meanwhile.
    drop(held);
    let code = wait(pid, &signals)?;
    if !keep && let Ok((held, record)) = store.hold(&args.id) {
        lifecycle::destroy(held, &record)?;
    }
    Ok(ExitCode::from(code))
}

fn wait(init: i32, signals: &SignalFd) -> Result<u8> {
    loop {
        if let Some(code) = reap(init) {
            return Ok(code);
        }
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(sys("poll")(errno)),
        }
        while let Ok(Some(info)) = signals.read_signal() {
            let signal = info.ssi_signo as i32;
            if !OURS.contains(&signal) {
                // SAFETY: two integers; the init is our child and not reaped, so the pid is its.
                unsafe { libc::kill(init, signal) };
            }
        }
    }
}

fn reap(init: i32) -> Option<u8> {
    loop {
        let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            Ok(_) | Err(_) => continue,
        };
        if pid.as_raw() == init {
            return Some(code as u8);
        }
    }
}
