//! UnixFS: files and directories as DAGs of blocks, cut as Kubo cuts them.
//!
//! All of it is pure: importing pushes blocks into a [`Sink`], reading asks for blocks and is fed them.

mod data;
mod directory;
mod import;
mod list;
mod murmur;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use self::{
    data::{Data, Kind},
    directory::{DirectoryError, Entry, MAX_NAME, SHARD_ABOVE, directory},
    import::{Imported, Importer, Nowhere, Profile, Sink},
    list::Listing,
    read::{FileReader, MAX_DEPTH},
    resolve::Resolver,
};
use crate::{Cid, cid::DAG_PB, dag_pb::Node};

/// Why blocks are not the file or directory that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnixfsError {
    /// A block does not decode.
    #[error("block {cid}: {why}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// What is wrong.
        why: &'static str,
    },
    /// A block has another size than what refers to it says.
    #[error("block {cid}: {found} bytes of the file are below it, {said} are said to be")]
    Size {
        /// The block.
        cid: Cid,
        /// What was said.
        said: u64,
        /// What is there.
        found: u64,
    },
    /// Too deep.
    #[error("{cid}: more than {limit} levels of nodes")]
    Depth {
        /// The root.
        cid: Cid,
        /// Levels allowed.
        limit: usize,
    },
    /// A directory or link where a file was expected.
    #[error("{cid}: not a file")]
    NotFile {
        /// The node.
        cid: Cid,
    },
    /// A file where a directory was expected.
    #[error("{cid}: not a directory")]
    NotDirectory {
        /// The node.
        cid: Cid,
    },
    /// A codec that holds no UnixFS.
    #[error("block {cid}: codec {codec:#x} holds no file")]
    Codec {
        /// The block.
        cid: Cid,
        /// The codec.
        codec: u64,
    },
    /// A path that is not there.
    #[error("{cid}: has no entry {name:?}")]
    NoEntry {
        /// The directory.
        cid: Cid,
        /// The name.
        name: String,
    },
    /// A name that no entry may have.
    #[error("{cid}: the name {name:?} is not allowed")]
    Name {
        /// The directory.
        cid: Cid,
        /// The name.
        name: String,
    },
}

impl UnixfsError {
    fn malformed(cid: &Cid, why: &'static str) -> Self {
        Self::Malformed { cid: *cid, why }
    }
}

/// The links of a block, by its codec: only dag-pb has links here.
///
/// # Errors
/// [`UnixfsError::Malformed`] if a dag-pb block does not decode.
pub fn links_of(cid: &Cid, block: &Bytes) -> Result<Vec<Cid>, UnixfsError> {
    if cid.codec() != DAG_PB {
        return Ok(Vec::new());
    }
    let node = Node::decode(block).map_err(|error| UnixfsError::malformed(cid, error.0))?;
    Ok(node.links.into_iter().map(|link| link.cid).collect())
}
