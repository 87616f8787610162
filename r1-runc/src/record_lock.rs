//! A lock on a file that belongs to this process alone. flock(2) would not do for the command line: the container's
//! init inherits the descriptor and would hold the lock until its program is started.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::error::{Result, io, sys};

/// Held until dropped or until this process ends.
#[derive(Debug)]
pub struct RecordLock {
    _file: File,
}

/// Opens or creates a lock file.
pub fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(io(format!("open {}", path.display())))
}

/// Waits for the lock.
pub fn wait(path: &Path) -> Result<RecordLock> {
    let file = open(path)?;
    // SAFETY: flock is a plain C struct; all zeroes is "the whole file, from its start".
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = libc::F_WRLCK as i16;
    fcntl(&file, FcntlArg::F_SETLKW(&whole)).map_err(sys(format!("lock {}", path.display())))?;
    Ok(RecordLock { _file: file })
}
