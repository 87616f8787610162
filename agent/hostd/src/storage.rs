//! Folders, locks and files that survive a crash: written beside, synced, renamed.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use r1_host_api::HostError;

/// A folder or file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process holds the lock.
    #[error("{} is locked: another r1-hostd uses this folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StorageError {
    /// What an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "stop the other r1-hostd, or give this one its own --state and --run",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on that file system",
                io::ErrorKind::PermissionDenied => {
                    "run r1-hostd as root or give it a folder that it may write"
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "mount that file system writable or choose another folder"
                }
                _ => "check that path",
            },
            Self::Content { .. } => "remove the file after looking at it",
        }
    }
}

impl From<StorageError> for HostError {
    fn from(error: StorageError) -> Self {
        Self::Storage {
            message: error.to_string(),
            remedy: error.remedy().to_owned(),
        }
    }
}

/// Attaches action and path to an I/O error.
pub(crate) fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Makes a folder and those above it, with `mode` for the new ones.
///
/// # Errors
/// [`StorageError::Io`] with the path.
pub fn make_folder(path: &Path, mode: u32) -> Result<(), StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(at("make the folder", path))
}

/// Takes the lock `name` of a folder and checks that files can be stored there. It lasts as long as the file.
///
/// # Errors
/// [`StorageError::Locked`] if another process has it, [`StorageError::Io`] if nothing can be written there.
pub fn lock_folder(folder: &Path, name: &str) -> Result<File, StorageError> {
    let path = folder.join(name);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = file.map_err(at("open the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StorageError::Locked { path }),
        Err(TryLockError::Error(source)) => return Err(at("lock", &path)(source)),
    }
    check_writable(folder)?;
    Ok(file)
}

/// Checks that a file can be stored in a folder, by storing one.
///
/// # Errors
/// [`StorageError::Io`] with the path.
pub fn check_writable(folder: &Path) -> Result<(), StorageError> {
    let probe = folder.join(".writable");
    replace_file(&probe, &[0; 4096])?;
    remove_file(&probe)
}

/// Replaces a file so that after a crash either the old or the new content is there, whole. On failure the old
/// one stays and nothing else is left.
///
/// # Errors
/// [`StorageError::Io`] with the path.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let beside = beside(path);
    let written = write_synced(&beside, content).and_then(|()| {
        fs::rename(&beside, path).map_err(at("rename a new file to", path))?;
        path.parent().map_or(Ok(()), sync_folder)
    });
    if written.is_err() {
        // Best effort: the half-written file is of no use to anyone.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The temporary name of a file that is being replaced; scans skip names with this ending.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn write_synced(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(at("create", path))?;
    file.write_all(content).map_err(at("write", path))?;
    file.sync_all().map_err(at("sync", path))
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(at("sync the folder", folder))
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// [`StorageError::Io`] with the path.
pub fn remove_file(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; one that is not there is fine. What is mounted below it is
/// unmounted first: its content belongs to someone else.
///
/// # Errors
/// [`StorageError::Io`] with the path.
pub fn remove_folder(path: &Path) -> Result<(), StorageError> {
    unmount_below(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove the folder", path)(error)),
        _ => Ok(()),
    }
}

fn unmount_below(folder: &Path) -> Result<(), StorageError> {
    use nix::mount::{MntFlags, umount2};
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(at("read", table))?;
    // The newest mounts come last and must go first.
    for line in text.lines().rev() {
        let Some(point) = line.split(' ').nth(4).map(unescape) else {
            continue;
        };
        if Path::new(&point).starts_with(folder) {
            let gone = umount2(point.as_str(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
            gone.map_err(|errno| at("unmount", Path::new(&point))(errno.into()))?;
        }
    }
    Ok(())
}

/// Mount points are written with octal escapes for blank, tab, newline and backslash (proc_pid_mountinfo(5)).
fn unescape(point: &str) -> String {
    point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// Reads a file of at most `limit` bytes; `None` if it is not there.
///
/// # Errors
/// [`StorageError`] with the path; a longer file is one.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StorageError> {
    use std::io::Read as _;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(at("open", path))?,
    };
    let mut content = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut content)
        .map_err(at("read", path))?;
    if content.len() as u64 > limit {
        return Err(StorageError::Content {
            path: path.to_owned(),
            reason: format!("longer than {limit} bytes"),
        });
    }
    Ok(Some(content))
}

/// Reads a JSON file of at most `limit` bytes; `None` if it is not there.
///
/// # Errors
/// [`StorageError`] with the path.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>, StorageError> {
    let Some(content) = read_bounded(path, limit)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&content);
    parsed.map(Some).map_err(|error| StorageError::Content {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace_file(&path, b"1").unwrap();
        replace_file(&path, b"22").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"22");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(
            read_bounded(&path, 1),
            Err(StorageError::Content { .. })
        ));
        assert_eq!(read_json::<u32>(&path, 10).unwrap(), Some(22));
        assert_eq!(read_json::<u32>(&folder.path().join("none"), 10).unwrap(), None);
    }

    #[test]
    fn a_locked_folder_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock_folder(folder.path(), "lock").unwrap();
        let error = lock_folder(folder.path(), "lock").unwrap_err();
        assert!(matches!(error, StorageError::Locked { .. }), "{error}");
        assert!(
            error.to_string().contains(&*folder.path().to_string_lossy()),
            "{error}"
        );
        drop(held);
        lock_folder(folder.path(), "lock").unwrap();
    }
}
