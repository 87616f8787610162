//! Files that are replaced whole: a reader sees the old or the new content, never half of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result, io};

/// Largest JSON file that is read back.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Replaces `dir/name` by `bytes` (mode 0600): temporary file, fsync, rename.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!(".{name}.tmp"));
    let target = dir.join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&temporary)
        .map_err(io(format!("create {}", temporary.display())))?;
    file.write_all(bytes)
        .map_err(io(format!("write {}", temporary.display())))?;
    file.sync_all()
        .map_err(io(format!("sync {}", temporary.display())))?;
    fs::rename(&temporary, &target).map_err(io(format!("rename to {}", target.display())))
}

/// Replaces `dir/name` by the value as JSON.
pub fn write_json<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec(value).map_err(|e| Error::Refused(format!("encode {name}: {e}")))?;
    bytes.push(b'\n');
    write(dir, name, &bytes)
}

/// Reads a JSON file of bounded size; symbolic links are not followed.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let file = open_regular(path)?;
    let reader = std::io::Read::take(file, MAX_FILE_BYTES);
    serde_json::from_reader(std::io::BufReader::new(reader))
        .map_err(|e| Error::Refused(format!("{}: {e}", path.display())))
}

fn open_regular(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(io(format!("open {}", path.display())))
}
