//! The key on disk: a PKCS#8 PEM that only its owner can read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::{KeyError, NodeKey};

/// Longest key file that is read; a PEM of this kind has about 240 bytes.
const MAX_KEY_FILE_BYTES: u64 = 16 << 10;
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Why a key file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Group or others may read or write it.
    #[error("key file {path} has mode {mode:04o}: group or others have access; run chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a device, or too long to be a key.
    #[error("key file {path} is not a regular file of at most {MAX_KEY_FILE_BYTES} bytes")]
    NotAKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// There is a key already; it is never overwritten.
    #[error("key file {path} exists already and is not overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The content is no key.
    #[error("key file {path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

impl NodeKey {
    /// Reads a key file. Needs only the right to read it.
    ///
    /// # Errors
    /// A [`KeyFileError`] that names the file; also when anybody but its owner has access to it.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        // O_NONBLOCK: a FIFO of this name must not hang the start.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(path)
            .map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() || metadata.len() > MAX_KEY_FILE_BYTES {
            return Err(KeyFileError::NotAKeyFile {
                path: path.to_owned(),
            });
        }
        if metadata.mode() & OTHERS != 0 {
            return Err(KeyFileError::Open {
                path: path.to_owned(),
                mode: metadata.mode() & 0o7777,
            });
        }
        let mut pem = Zeroizing::new(String::with_capacity(MAX_KEY_FILE_BYTES as usize));
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_string(&mut pem)
            .map_err(io)?;
        Self::from_pem(&pem).map_err(|source| KeyFileError::Key {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes a new key file, mode 0600, whole or not at all, and durable when this returns.
    ///
    /// # Errors
    /// A [`KeyFileError`] that names the file; [`KeyFileError::Exists`] rather than overwriting a key.
    pub fn save(&self, path: &Path) -> Result<(), KeyFileError> {
        let io = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let name = path
            .file_name()
            .ok_or_else(|| io(io::ErrorKind::InvalidInput.into()))?;
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}.tmp", process::id()));
        let temporary = folder.join(temporary);
        let written = self.write_whole(&temporary).and_then(|()| {
            // A link, unlike a rename, fails when the name is taken: of two starts at once, one key wins.
            fs::hard_link(&temporary, path)
        });
        let removed = fs::remove_file(&temporary);
        match written {
            Ok(()) => removed.and_then(|()| File::open(folder)?.sync_all()).map_err(io),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Err(KeyFileError::Exists {
                path: path.to_owned(),
            }),
            Err(source) => Err(io(source)),
        }
    }

    /// Reads the key file, or writes a new key there if no such file exists.
    ///
    /// # Errors
    /// Those of [`NodeKey::load`] and [`NodeKey::save`].
    pub fn load_or_generate(path: &Path, rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let key = Self::generate(rng);
        match key.save(path) {
            Ok(()) => Ok(key),
            Err(KeyFileError::Exists { .. }) => Self::load(path),
            Err(error) => Err(error),
        }
    }

    fn write_whole(&self, path: &Path) -> io::Result<()> {
        // A rest of a process with our id that was killed while it wrote.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(self.to_pem().as_bytes())?;
        file.sync_all()
    }
}

/// From Linux `asm-generic/fcntl.h`: the value on x86-64, aarch64 and riscv64.
const O_NONBLOCK: i32 = 0o4000;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_reads_back_and_belongs_to_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = NodeKey::load_or_generate(&path, &mut rand::thread_rng()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(NodeKey::load(&path).unwrap().address(), key.address());
        let again = NodeKey::load_or_generate(&path, &mut rand::thread_rng()).unwrap();
        assert_eq!(again.address(), key.address());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        NodeKey::generate(&mut rand::thread_rng()).save(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = NodeKey::load(&path).unwrap_err().to_string();
            assert!(
                error.contains("chmod 600") && error.contains(&format!("{mode:04o}")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_key_is_never_overwritten_and_a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = NodeKey::generate(&mut rand::thread_rng());
        key.save(&path).unwrap();
        let other = NodeKey::generate(&mut rand::thread_rng());
        assert!(matches!(other.save(&path), Err(KeyFileError::Exists { .. })));
        assert_eq!(NodeKey::load(&path).unwrap().address(), key.address());

        fs::write(&path, "no key").unwrap();
        assert!(matches!(NodeKey::load(&path), Err(KeyFileError::Key { .. })));
        fs::write(&path, vec![b'a'; 20_000]).unwrap();
        assert!(matches!(
            NodeKey::load(&path),
            Err(KeyFileError::NotAKeyFile { .. })
        ));
        assert!(matches!(
            NodeKey::load(folder.path()),
            Err(KeyFileError::NotAKeyFile { .. })
        ));
    }
}
