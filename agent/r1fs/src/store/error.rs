//! Why the block store refuses or fails.

use std::{io, path::PathBuf};

use crate::Cid;

/// Why a block cannot be stored, read or collected.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The index failed.
    #[error("block index: {0}")]
    Index(heed::Error),
    /// The index has reached its largest size.
    #[error("block index: full at {bytes} bytes; raise r1fs.index_bytes")]
    IndexFull {
        /// Its largest size.
        bytes: usize,
    },
    /// The index was written by another version.
    #[error("block index: format {found}, this program reads format {known}")]
    Version {
        /// The version found.
        found: u64,
        /// The version this program writes.
        known: u64,
    },
    /// An entry of the index does not decode.
    #[error("block index: the entry of {what} is damaged")]
    Damaged {
        /// Which entry.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file system has no room left. Nothing that was acknowledged is touched.
    #[error("{path}: the disk is full; free space, lower r1fs.quota or unpin files")]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// The quota is used up.
    #[error("no room for {asked} bytes: {used} of {quota} bytes are used; unpin files or raise r1fs.quota")]
    Quota {
        /// Bytes that were to be stored.
        asked: u64,
        /// Bytes used or promised.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// The bytes on disk are not the block. The block counts as missing from now on.
    #[error("block {cid}: its bytes on disk are damaged; it will be fetched again")]
    Corrupt {
        /// The block.
        cid: Cid,
    },
    /// Only sha2-256 names are stored.
    #[error("block {cid}: only sha2-256 blocks are stored")]
    Name {
        /// The block.
        cid: Cid,
    },
    /// A pin's label is empty or too long.
    #[error("pin label {label:?}: 1 to {max} bytes without NUL are allowed")]
    Label {
        /// The label.
        label: String,
        /// Longest label, bytes.
        max: usize,
    },
    /// The store is being closed.
    #[error("the block store is closed")]
    Closed,
    /// An earlier write of the same batch failed; nothing of the batch is acknowledged.
    #[error("{0}")]
    Batch(String),
}

impl StoreError {
    /// A failed operation on a file; a full disk is named as such.
    pub(super) fn file(path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::File { path, source },
        }
    }

    /// A failed operation on the index; a full one is named as such.
    pub(super) fn index(error: heed::Error, path: &std::path::Path, map_bytes: usize) -> Self {
        match error {
            heed::Error::Mdb(heed::MdbError::MapFull) => Self::IndexFull { bytes: map_bytes },
            heed::Error::Io(source) => Self::file(path, source),
            error => Self::Index(error),
        }
    }
}
