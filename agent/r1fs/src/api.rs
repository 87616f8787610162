//! What the front ends ask of a node's files.

use std::{io, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::Serialize;

use crate::Cid;

/// Bytes as they come; each piece at most a few MiB.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Who asks: decides on quotas and on what may be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The operator of this machine.
    Operator,
    /// A container of this node, by its id.
    Container(String),
}

/// How an object is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealOptions {
    /// The file's name, stored inside the sealed object.
    pub filename: String,
    /// The secret; upstream's default secret if absent.
    pub secret: Option<String>,
    /// Makes the object reproducible: the nonce is drawn from CPython's generator with this seed.
    pub nonce: Option<i64>,
    /// The least and the most bytes that the content can have, where that is known before it comes. Contents of
    /// [`crate::seal::segments::SEGMENTED_FROM`] and more are sealed in segments; where the bounds leave that open,
    /// the content is held in memory until it is known.
    pub length: Option<(u64, u64)>,
}

/// What was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// The object's name as text.
    #[serde(with = "crate::api::text")]
    pub cid: Cid,
    /// Bytes of the content, without sealing.
    pub size: u64,
    /// Copies on nodes, this one included, when the call returned.
    pub replicas: u16,
    /// Distinct operators that hold a copy.
    pub operators: u16,
    /// Copies wanted.
    pub wanted: u16,
}

/// An object that is open for reading.
pub struct Opened {
    /// The file's name from its metadata.
    pub filename: String,
    /// Length of the content, bytes.
    pub size: u64,
    /// The content, or the part of it that was asked for. Every byte of it is authenticated before it is given out.
    pub content: ByteStream,
}

/// What is deleted and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Let go of the replicas on other nodes too.
    pub unpin_remote: bool,
    /// Collect garbage at once instead of after the grace period of the next run.
    pub run_gc: bool,
}

/// What IPFS clients call `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Identity {
    /// The peer id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The public key, protobuf in base64.
    pub public_key: String,
    /// Multiaddresses that it listens on.
    pub addresses: Vec<String>,
    /// Name and version of the program.
    pub agent_version: String,
    /// Stream protocols.
    pub protocols: Vec<String>,
}

/// Why files cannot be added, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Nobody who was asked has the object.
    #[error("{cid}: not found here, and none of {} peers asked has it: {}", asked.len(), asked.join(", "))]
    NotFound {
        /// What was asked for, with the missing block.
        cid: String,
        /// Peers that were asked.
        asked: Vec<String>,
    },
    /// It did not come in time.
    #[error("{cid}: not complete after {seconds} s; asked: {}", asked.join(", "))]
    Timeout {
        /// What was asked for.
        cid: String,
        /// Seconds waited.
        seconds: u64,
        /// Peers that were asked.
        asked: Vec<String>,
    },
    /// The secret does not open it, or it was changed.
    #[error("{cid}: wrong secret, or not an object of this network")]
    Sealed {
        /// The object.
        cid: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The node's quota is used up.
    #[error("{what}: no room: {used} of {quota} bytes are used; delete files or raise r1fs.quota")]
    Full {
        /// What was to be stored.
        what: String,
        /// Bytes used.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// Fewer copies than wanted were made in time.
    #[error(
        "{cid}: stored here, but only {replicas} of {wanted} copies were made in time: {reason}; repair goes on"
    )]
    Replicas {
        /// The object.
        cid: String,
        /// Copies that are safe, this node's included.
        replicas: u16,
        /// Copies wanted.
        wanted: u16,
        /// What the nodes that refused said.
        reason: String,
    },
    /// The disk or the index is full.
    #[error("{0}")]
    NoSpace(String),
    /// The caller may not.
    #[error("{what}: {who} may not")]
    Forbidden {
        /// What was asked for.
        what: String,
        /// Who asked.
        who: String,
    },
    /// The content could not be read to its end; nothing was stored.
    #[error("upload broken off after {bytes} bytes: {source}; nothing was stored")]
    BrokenOff {
        /// Bytes that came.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// A fault of this node (disk, index), by object.
    #[error("{0}")]
    Fault(String),
}

/// A node's files. One implementation is the node itself; tests of front ends have one in memory.
///
/// Cancel-safe: a call that is dropped stores nothing that is not collected later.
#[async_trait]
pub trait Files: Send + Sync + 'static {
    /// Seals a content, stores it and makes its replicas.
    async fn add(
        &self,
        caller: &Caller,
        options: SealOptions,
        content: ByteStream,
    ) -> Result<Added, FilesError>;

    /// The name that [`Files::add`] would give; stores nothing. Needs a nonce to be reproducible.
    async fn calculate(&self, options: SealOptions, content: ByteStream) -> Result<Cid, FilesError>;

    /// Fetches, checks and opens an object; `range` is of the content's bytes, clamped to its size.
    async fn open(
        &self,
        caller: &Caller,
        cid: &Cid,
        secret: Option<&str>,
        range: Option<Range<u64>>,
    ) -> Result<Opened, FilesError>;

    /// Lets go of an object: what nothing else holds is collected. An object that is not here is no error.
    async fn delete(&self, caller: &Caller, cid: &Cid, options: DeleteOptions) -> Result<(), FilesError>;

    /// What `ipfs id` says.
    async fn identity(&self) -> Identity;
}

/// CIDs as text.
pub(crate) mod text {
    use serde::Serializer;

    use crate::Cid;

    pub(crate) fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cid)
    }
}
