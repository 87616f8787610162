//! The UnixFS message inside a dag-pb node's data.

use bytes::{Bytes, BytesMut};

use super::UnixfsError;
use crate::{
    Cid,
    dag_pb::{Value, fields, put_bytes, put_number},
};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a file without links (an old form of a leaf).
    Raw,
    /// A directory.
    Directory,
    /// A file or a part of one.
    File,
    /// A symbolic link; its data is the target. It is listed and never followed.
    Symlink,
    /// A part of a directory that is sharded by the hash of its names.
    Shard,
}

impl Kind {
    fn number(self) -> u64 {
        match self {
            Self::Raw => 0,
            Self::Directory => 1,
            Self::File => 2,
            Self::Symlink => 4,
            Self::Shard => 5,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Raw,
            1 => Self::Directory,
            2 => Self::File,
            4 => Self::Symlink,
            5 => Self::Shard,
            _ => return None,
        })
    }
}

/// The message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// What the node is.
    pub kind: Kind,
    /// Bytes of a file, the target of a symbolic link, or the bit field of a shard.
    pub data: Option<Bytes>,
    /// Bytes of the file below this node, this node's own included.
    pub file_size: Option<u64>,
    /// Bytes of the file below each link.
    pub block_sizes: Vec<u64>,
    /// Multihash code that a shard hashes names with.
    pub hash_type: Option<u64>,
    /// Width of a shard.
    pub fanout: Option<u64>,
}

impl Data {
    /// A message without any of the optional fields.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            data: None,
            file_size: None,
            block_sizes: Vec::new(),
            hash_type: None,
            fanout: None,
        }
    }

    /// Reads the message of the node `cid`. Mode and time of modification are skipped.
    ///
    /// # Errors
    /// [`UnixfsError::Malformed`] names the node.
    pub fn decode(cid: &Cid, bytes: &Bytes) -> Result<Self, UnixfsError> {
        let (mut kind, mut it) = (None, Self::new(Kind::Raw));
        let read = fields(bytes, |field| {
            match field {
                (1, Value::Number(number)) => kind = Some(number),
                (2, Value::Bytes(range)) => it.data = Some(bytes.slice(range)),
                (3, Value::Number(size)) => it.file_size = Some(size),
                (4, Value::Number(size)) => it.block_sizes.push(size),
                (4, Value::Bytes(range)) => {
                    let mut at = range.start;
                    while at < range.end {
                        it.block_sizes
                            .push(crate::dag_pb::varint(&bytes[..range.end], &mut at)?);
                    }
                }
                (5, Value::Number(code)) => it.hash_type = Some(code),
                (6, Value::Number(width)) => it.fanout = Some(width),
                _ => {}
            }
            Ok(())
        });
        read.map_err(|error| UnixfsError::malformed(cid, error.0))?;
        let kind = kind.ok_or_else(|| UnixfsError::malformed(cid, "a UnixFS message without a type"))?;
        it.kind =
            Kind::from_number(kind).ok_or_else(|| UnixfsError::malformed(cid, "an unknown UnixFS type"))?;
        Ok(it)
    }

    /// Writes the message.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(
            self.data.as_ref().map_or(0, Bytes::len) + 10 * self.block_sizes.len() + 32,
        );
        put_number(&mut out, 1, self.kind.number());
        if let Some(data) = &self.data {
            put_bytes(&mut out, 2, data);
        }
        if let Some(size) = self.file_size {
            put_number(&mut out, 3, size);
        }
        for size in &self.block_sizes {
            put_number(&mut out, 4, *size);
        }
        for (field, value) in [(5, self.hash_type), (6, self.fanout)] {
            if let Some(value) = value {
                put_number(&mut out, field, value);
            }
        }
        out.freeze()
    }
}
