//! The state folder: one r1d at a time, and writable, or a clear word why not.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process holds the folder.
    #[error(
        "state folder {path} is in use by another r1d{holder}; stop it, or give this one its own state_dir"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// ` (pid N)` if the holder left its pid.
        holder: String,
    },
    /// The folder cannot be made or written.
    #[error("state folder {path} cannot be written: {source}; free space or fix its owner and mode")]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The locked state folder. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl StateDir {
    /// Makes (mode 0700) and locks the folder, and proves with a synced write that it can be written.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let unwritable = |source| StateDirError::Unwritable {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unwritable)?;
        let lock_path = path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(unwritable)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                return Err(StateDirError::InUse {
                    path: path.to_owned(),
                    holder: holder(&lock_path),
                });
            }
            Err((_, errno)) => return Err(unwritable(errno.into())),
        };
        prove_writable(path).map_err(unwritable)?;
        lock.set_len(0)
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(unwritable)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn holder(lock: &Path) -> String {
    match fs::read_to_string(lock) {
        Ok(pid) if pid.parse::<u32>().is_ok() => format!(" (pid {pid})"),
        _ => String::new(),
    }
}

/// LMDB grows its file through a memory map, where a full disk is a fatal signal: find out with a plain write.
fn prove_writable(path: &Path) -> io::Result<()> {
    /// Least room for the databases' first pages and one block.
    const LEAST_ROOM: usize = 1 << 20;
    let probe = path.join("probe.tmp");
    let result = File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![0; LEAST_ROOM])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    result.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        let error = StateDir::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("in use") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        StateDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = StateDir::open(Path::new("/proc/no-such/state"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/proc/no-such/state") && error.contains("cannot be written"),
            "{error}"
        );
    }
}
