//! Blocks as flat files, `<folder>/<last two letters>/<CIDv1>`.
//!
//! A file is written under a temporary name and renamed; it counts only once the index says so, which is after it was
//! synced. A crash leaves at worst files that the index does not know; [`Folder::strangers`] finds them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{error::StoreError, index::Digest};
use crate::{
    Cid, MAX_BLOCK,
    cid::{digest_of, of_digest},
};

/// Up to so many new files are synced one by one; more are cheaper with one sync of their file system.
const SYNC_SINGLY: usize = 16;

/// The folder of block files.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    temporary: PathBuf,
    handle: File,
    next: AtomicU64,
}

impl Folder {
    /// Opens or makes the folder, and removes what a crash left half written.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let temporary = path.join("tmp");
        let fault = |source| StoreError::file(path, source);
        match fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        fs::create_dir_all(&temporary).map_err(fault)?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            handle: File::open(path).map_err(fault)?,
            next: AtomicU64::new(0),
        })
    }

    /// Bytes that the disk has left for this process; 0 if it does not say.
    pub fn free(&self) -> u64 {
        let stat = nix::sys::statvfs::fstatvfs(&self.handle);
        stat.map_or(0, |stat| {
            stat.blocks_available().saturating_mul(stat.fragment_size())
        })
    }

    /// Where a block's file is.
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = of_digest(digest).to_string();
        let shard = &name[name.len() - 2..];
        self.path.join(shard).join(&name)
    }

    /// Writes a block's file. It is not durable before [`Folder::sync`].
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::File`]; nothing is left behind then.
    pub fn write(&self, digest: &Digest, data: &[u8]) -> Result<(), StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.temporary.join(number.to_string());
        let written = self.write_as(&temporary, digest, data);
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn write_as(&self, temporary: &Path, digest: &Digest, data: &[u8]) -> Result<(), StoreError> {
        let path = self.path_of(digest);
        let fault = |source| StoreError::file(&path, source);
        File::create(temporary)
            .and_then(|mut file| file.write_all(data))
            .map_err(fault)?;
        match fs::rename(temporary, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.path)).map_err(fault)?;
                fs::rename(temporary, &path).map_err(fault)
            }
            renamed => renamed.map_err(fault),
        }
    }

    /// Makes files durable, with their names.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::File`].
    pub fn sync(&self, digests: &[Digest]) -> Result<(), StoreError> {
        if digests.len() > SYNC_SINGLY {
            let synced = nix::unistd::syncfs(&self.handle);
            return synced.map_err(|errno| StoreError::file(&self.path, errno.into()));
        }
        let mut shards = BTreeSet::new();
        for digest in digests {
            let path = self.path_of(digest);
            let synced = File::open(&path).and_then(|file| file.sync_data());
            synced.map_err(|source| StoreError::file(&path, source))?;
            shards.extend(path.parent().map(Path::to_owned));
        }
        if !shards.is_empty() {
            shards.insert(self.path.clone());
        }
        for shard in shards {
            let synced = File::open(&shard).and_then(|folder| folder.sync_all());
            synced.map_err(|source| StoreError::file(&shard, source))?;
        }
        Ok(())
    }

    /// Reads a block's file; `None` if it is not there or longer than a block can be.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn read(&self, digest: &Digest, size: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path_of(digest);
        let fault = |source| StoreError::file(&path, source);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(fault)?,
        };
        let mut data = Vec::with_capacity(size.min(MAX_BLOCK) + 1);
        let read = file.take(MAX_BLOCK as u64 + 1).read_to_end(&mut data);
        read.map_err(fault)?;
        Ok((data.len() <= MAX_BLOCK).then_some(data))
    }

    /// Removes a block's file if it is there.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path_of(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file(&path, error)),
            _ => Ok(()),
        }
    }

    /// Calls `each` with the digest of every block file; files with other names are none of ours and are left alone.
    ///
    /// # Errors
    /// [`StoreError::File`], and what `each` fails with.
    pub fn strangers(
        &self,
        mut each: impl FnMut(Digest) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let list = |path: &Path| -> Result<Vec<PathBuf>, StoreError> {
            let entries = fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
            let entries = entries.map_err(|source| StoreError::file(path, source))?;
            Ok(entries.into_iter().map(|entry| entry.path()).collect())
        };
        for shard in list(&self.path)? {
            if !shard.is_dir() || shard == self.temporary {
                continue;
            }
            for file in list(&shard)? {
                let name = file.file_name().and_then(|name| name.to_str());
                let cid = name.and_then(|name| Cid::try_from(name).ok());
                if let Some(digest) = cid.as_ref().and_then(digest_of) {
                    each(digest)?;
                }
            }
        }
        Ok(())
    }
}
