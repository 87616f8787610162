//! Cutting a file into blocks as Kubo does: fixed chunks, balanced trees.

use bytes::{Bytes, BytesMut};
use cid::multihash::Multihash;
use sha2::{Digest as _, Sha256};

use super::data::{Data, Kind};
use crate::{
    Block, Cid,
    cid::{DAG_PB, RAW, SHA2_256},
    dag_pb::{Link, Node, put_number, put_varint},
};

/// Room before a chunk for its UnixFS and dag-pb headers: two lengths, a type and tags.
const HEADER: usize = 32;
/// Room after a chunk for its size.
const TRAILER: usize = 12;

/// How files are cut. The same profile gives the same CID for the same bytes everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// CIDv0 (true) or CIDv1.
    pub v0: bool,
    /// Leaves are the bytes themselves instead of dag-pb nodes. Needs CIDv1 for leaves.
    pub raw_leaves: bool,
    /// Bytes of a chunk.
    pub chunk: usize,
    /// Most links of a node.
    pub width: usize,
}

impl Profile {
    /// Kubo's `ipfs add` without options: CIDv0, 256 KiB, 174 links.
    pub const KUBO: Self = Self {
        v0: true,
        raw_leaves: false,
        chunk: 256 << 10,
        width: 174,
    };
    /// CIDv1, raw leaves of 1 MiB, 1024 links (the profile `unixfs-v1-2025`).
    pub const V1_2025: Self = Self {
        v0: false,
        raw_leaves: true,
        chunk: 1 << 20,
        width: 1024,
    };
}

/// Takes blocks as they are made, children before parents.
pub trait Sink {
    /// What taking a block may fail with.
    type Error;

    /// Takes a block and the links in it.
    ///
    /// # Errors
    /// Ends the import.
    fn block(&mut self, block: Block, links: &[Cid]) -> Result<(), Self::Error>;
}

/// Drops blocks: for names only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Sink for Nowhere {
    type Error = std::convert::Infallible;

    fn block(&mut self, _: Block, _: &[Cid]) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The root.
    pub cid: Cid,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of all its blocks (the link's `Tsize`).
    pub cumulative: u64,
}

/// Cuts one file. Memory: one chunk and the names of one unfinished node per level.
#[derive(Debug)]
pub struct Importer {
    profile: Profile,
    chunk: BytesMut,
    levels: Vec<Vec<Imported>>,
    leaves: u64,
}

impl Importer {
    /// An import by a profile.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            chunk: BytesMut::new(),
            levels: vec![Vec::new()],
            leaves: 0,
        }
    }

    /// Takes more of the file.
    ///
    /// # Errors
    /// What the sink fails with.
    pub fn push<S: Sink>(&mut self, mut bytes: &[u8], sink: &mut S) -> Result<(), S::Error> {
        while !bytes.is_empty() {
            if self.chunk.is_empty() {
                self.chunk = BytesMut::with_capacity(HEADER + self.profile.chunk + TRAILER);
                self.chunk.resize(HEADER, 0);
            }
            let room = HEADER + self.profile.chunk - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == HEADER + self.profile.chunk {
                self.leaf(sink)?;
            }
        }
        Ok(())
    }

    /// Ends the file and returns its root.
    ///
    /// # Errors
    /// What the sink fails with.
    pub fn finish<S: Sink>(mut self, sink: &mut S) -> Result<Imported, S::Error> {
        if !self.chunk.is_empty() || self.leaves == 0 {
            if self.chunk.is_empty() {
                self.chunk.resize(HEADER, 0);
            }
            self.leaf(sink)?;
        }
        let mut level = 0;
        loop {
            let last = level + 1 == self.levels.len();
            if last && self.levels[level].len() == 1 {
                return Ok(self.levels[level][0]);
            }
            if !self.levels[level].is_empty() {
                self.parent(level, sink)?;
            }
            level += 1;
        }
    }

    fn leaf<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let framed = std::mem::take(&mut self.chunk);
        let size = (framed.len() - HEADER) as u64;
        let data = if self.profile.raw_leaves {
            framed.freeze().slice(HEADER..)
        } else {
            frame(framed)
        };
        let cumulative = data.len() as u64;
        let codec = if self.profile.raw_leaves { RAW } else { DAG_PB };
        let cid = self.name(codec, &data);
        sink.block(Block { cid, data }, &[])?;
        self.leaves += 1;
        self.add(
            0,
            Imported {
                cid,
                size,
                cumulative,
            },
            sink,
        )
    }

    fn add<S: Sink>(&mut self, level: usize, child: Imported, sink: &mut S) -> Result<(), S::Error> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == self.profile.width {
            self.parent(level, sink)?;
        }
        self.levels[level].push(child);
        Ok(())
    }

    /// Makes a node of a level's children.
    fn parent<S: Sink>(&mut self, level: usize, sink: &mut S) -> Result<(), S::Error> {
        let children = std::mem::take(&mut self.levels[level]);
        let mut data = Data::new(Kind::File);
        let size = children.iter().map(|child| child.size).sum();
        data.file_size = Some(size);
        data.block_sizes = children.iter().map(|child| child.size).collect();
        let links: Vec<Cid> = children.iter().map(|child| child.cid).collect();
        let below: u64 = children.iter().map(|child| child.cumulative).sum();
        let links_out = children.iter().map(|child| Link {
            cid: child.cid,
            name: String::new(),
            tsize: child.cumulative,
        });
        let node = Node {
            links: links_out.collect(),
            data: Some(data.encode()),
        };
        let data = node.encode();
        let cumulative = below + data.len() as u64;
        let cid = self.name(DAG_PB, &data);
        sink.block(Block { cid, data }, &links)?;
        self.add(
            level + 1,
            Imported {
                cid,
                size,
                cumulative,
            },
            sink,
        )
    }

    fn name(&self, codec: u64, data: &[u8]) -> Cid {
        name(self.profile.v0 && codec == DAG_PB, codec, data)
    }
}

/// The CID of a block.
pub(super) fn name(v0: bool, codec: u64, data: &[u8]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, &Sha256::digest(data)).expect("32 bytes fit into a multihash of 64");
    if v0 {
        Cid::new_v0(hash).expect("sha2-256 is what CIDv0 wants")
    } else {
        Cid::new_v1(codec, hash)
    }
}

/// Puts the headers around a chunk that has room for them: its bytes are not copied.
fn frame(mut framed: BytesMut) -> Bytes {
    let size = framed.len() - HEADER;
    let mut trailer = BytesMut::with_capacity(TRAILER);
    put_number(&mut trailer, 3, size as u64);
    let mut inner = BytesMut::with_capacity(HEADER);
    put_number(&mut inner, 1, 2);
    if size > 0 {
        put_varint(&mut inner, 2 << 3 | 2);
        put_varint(&mut inner, size as u64);
    }
    let mut outer = BytesMut::with_capacity(HEADER);
    put_varint(&mut outer, 1 << 3 | 2);
    put_varint(&mut outer, (inner.len() + size + trailer.len()) as u64);
    outer.extend_from_slice(&inner);
    framed.extend_from_slice(&trailer);
    let start = HEADER - outer.len();
    framed[start..HEADER].copy_from_slice(&outer);
    framed.freeze().slice(start..)
}
