//! Reading a file block by block: says which blocks are needed next, takes them in any order, gives bytes in order.
//!
//! A place in the file is found by its offset, from the root down through the nodes that are here. A block that stands
//! in a thousand places is so held once, and a few small nodes that repeat each other cost no more than they weigh.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use bytes::Bytes;

use super::{
    UnixfsError,
    data::{Data, Kind},
};
use crate::{
    Cid,
    cid::{DAG_PB, RAW},
    dag_pb::Node,
};

/// Deepest file that is read. Kubo's importer needs three levels for a tebibyte.
pub const MAX_DEPTH: usize = 32;

/// What was said about a block before it came.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// Bytes of the file below it; unknown for the root.
    size: Option<u64>,
    /// Nodes above it.
    depth: usize,
}

/// What is at a place of the file.
enum Spot {
    /// Bytes from there on.
    Here { bytes: Bytes, end: u64 },
    /// The block that is needed to know, and where what is below it ends.
    Missing { cid: Cid, said: Said, end: u64 },
}

impl Spot {
    fn end(&self) -> u64 {
        match self {
            Self::Here { end, .. } | Self::Missing { end, .. } => *end,
        }
    }
}

/// Reads a range of a file. Memory: the blocks that were wanted and not yet given out, and one node per level.
#[derive(Debug)]
pub struct FileReader {
    root: Cid,
    range: Range<u64>,
    size: Option<u64>,
    /// Where the next byte to give out is.
    at: u64,
    held: HashMap<Cid, Part>,
    /// What was wanted and has not come.
    asked: HashMap<Cid, Said>,
    /// How many pieces ahead the caller has looked.
    ahead: usize,
}

impl FileReader {
    /// Reads `range` of the file `root`, clamped to its size; the whole file if there is none.
    pub fn new(root: Cid, range: Option<Range<u64>>) -> Self {
        let said = Said { size: None, depth: 0 };
        Self {
            root,
            range: range.unwrap_or(0..u64::MAX),
            size: None,
            at: 0,
            held: HashMap::new(),
            asked: HashMap::from([(root, said)]),
            ahead: 1,
        }
    }

    /// Bytes of the whole file, once its root was fed.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The blocks to feed next, in the order of the file, each once: those among the next `limit` pieces that are not
    /// here. Empty if everything within the limit is here. A block that comes again much later is wanted again.
    pub fn wanted(&mut self, limit: usize) -> Vec<Cid> {
        if self.size.is_none() {
            return vec![self.root];
        }
        self.ahead = self.ahead.max(limit);
        let (mut wanted, mut seen, mut at) = (Vec::new(), HashSet::new(), self.at);
        for _ in 0..limit {
            if at >= self.range.end {
                break;
            }
            let spot = self.locate(at, |_, _| {});
            at = spot.end();
            if let Spot::Missing { cid, said, .. } = spot
                && seen.insert(cid)
            {
                self.asked.entry(cid).or_insert(said);
                wanted.push(cid);
            }
        }
        wanted
    }

    /// Takes a block that was wanted; its bytes must have been checked against its name. Others are ignored.
    ///
    /// # Errors
    /// [`UnixfsError`] if it is no part of a file or contradicts what was said about it; reading is over then.
    pub fn feed(&mut self, cid: &Cid, data: &Bytes) -> Result<(), UnixfsError> {
        let Some(said) = self.asked.remove(cid) else {
            return Ok(());
        };
        let part = Part::decode(cid, data)?;
        if let Some(size) = said.size.filter(|size| *size != part.total) {
            return Err(UnixfsError::Size {
                cid: *cid,
                said: size,
                found: part.total,
            });
        }
        if !part.fits(said.depth) {
            return Err(UnixfsError::Depth {
                cid: self.root,
                limit: MAX_DEPTH,
            });
        }
        if self.size.is_none() {
            self.size = Some(part.total);
            self.range.end = self.range.end.min(part.total);
            self.range.start = self.range.start.min(self.range.end);
            self.at = self.range.start;
        }
        self.held.insert(*cid, part);
        Ok(())
    }

    /// What is at the offset `at`, which is in the file; `visit` is told each node on the way and where it ends.
    fn locate(&self, at: u64, mut visit: impl FnMut(&Cid, u64)) -> Spot {
        let (mut cid, mut start) = (&self.root, 0);
        let mut said = Said {
            size: self.size,
            depth: 0,
        };
        loop {
            // A block of which something else was said elsewhere is wanted again: feeding it finds the lie.
            let part = self.held.get(cid).filter(|part| part.is(said));
            let end = start + said.size.unwrap_or(0);
            let Some(part) = part else {
                let cid = *cid;
                return Spot::Missing { cid, said, end };
            };
            visit(cid, end);
            match part.at(at - start) {
                Inside::Own(bytes) => {
                    let end = at + bytes.len() as u64;
                    return Spot::Here { bytes, end };
                }
                Inside::Child(child, place) => {
                    cid = child;
                    start += place.start;
                    said = Said {
                        size: Some(place.end - place.start),
                        depth: said.depth + 1,
                    };
                }
            }
        }
    }

    /// The next bytes; `None` if a block is needed first, or if the range is complete ([`FileReader::is_done`]).
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        if self.size.is_none() || self.is_done() {
            return None;
        }
        let mut path = Vec::new();
        let spot = self.locate(self.at, |cid, end| path.push((*cid, end)));
        let Spot::Here { mut bytes, end } = spot else {
            return None;
        };
        let left = self.range.end - self.at;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        self.at = end.min(self.range.end);
        let passed = path.into_iter().filter(|(_, end)| *end <= self.at);
        self.drop_passed(passed.map(|(cid, _)| cid).collect());
        Some(bytes)
    }

    /// Lets go of nodes that were passed and do not come again among the pieces ahead.
    fn drop_passed(&mut self, mut passed: Vec<Cid>) {
        let mut at = self.at;
        for _ in 0..self.ahead {
            if at >= self.range.end || passed.is_empty() {
                break;
            }
            let spot = self.locate(at, |cid, _| passed.retain(|passed| passed != cid));
            at = spot.end();
        }
        for cid in passed {
            self.held.remove(&cid);
        }
    }

    /// True if all bytes of the range were given out.
    pub fn is_done(&self) -> bool {
        self.size.is_some() && self.at >= self.range.end
    }
}

/// A block of a file.
#[derive(Debug)]
struct Part {
    /// Its own bytes, which come first.
    own: Bytes,
    /// Its children that have bytes, each with its end, counted from the part's beginning.
    children: Vec<(Cid, u64)>,
    /// Bytes of all of it.
    total: u64,
}

/// What is at an offset inside a part.
enum Inside<'p> {
    /// Its own bytes from there on.
    Own(Bytes),
    /// A child, and its place in the part.
    Child(&'p Cid, Range<u64>),
}

impl Part {
    fn decode(cid: &Cid, block: &Bytes) -> Result<Self, UnixfsError> {
        if cid.codec() == RAW {
            return Ok(Self {
                own: block.clone(),
                children: Vec::new(),
                total: block.len() as u64,
            });
        }
        if cid.codec() != DAG_PB {
            return Err(UnixfsError::Codec {
                cid: *cid,
                codec: cid.codec(),
            });
        }
        let node = Node::decode(block).map_err(|error| UnixfsError::malformed(cid, error.0))?;
        let bytes = node
            .data
            .ok_or_else(|| UnixfsError::malformed(cid, "a node without a UnixFS message"))?;
        let data = Data::decode(cid, &bytes)?;
        if !matches!(data.kind, Kind::File | Kind::Raw) {
            return Err(UnixfsError::NotFile { cid: *cid });
        }
        if data.block_sizes.len() != node.links.len() {
            return Err(UnixfsError::malformed(cid, "as many sizes as links are needed"));
        }
        let own = data.data.unwrap_or_default();
        let mut total = own.len() as u64;
        let mut children = Vec::with_capacity(node.links.len());
        for (link, size) in node.links.iter().zip(data.block_sizes) {
            let end = total.checked_add(size);
            total = end.ok_or_else(|| UnixfsError::malformed(cid, "sizes beyond 64 bits"))?;
            if size > 0 {
                children.push((link.cid, total));
            }
        }
        match data.file_size.filter(|said| *said != total) {
            Some(said) => Err(UnixfsError::Size {
                cid: *cid,
                said,
                found: total,
            }),
            None => Ok(Self { own, children, total }),
        }
    }

    /// Whether it may stand that deep.
    fn fits(&self, depth: usize) -> bool {
        self.children.is_empty() || depth < MAX_DEPTH
    }

    /// Whether it is what was said.
    fn is(&self, said: Said) -> bool {
        said.size.is_none_or(|size| size == self.total) && self.fits(said.depth)
    }

    /// What is at an offset below the total.
    fn at(&self, offset: u64) -> Inside<'_> {
        let own = self.own.len() as u64;
        let index = self.children.partition_point(|(_, end)| *end <= offset);
        match (usize::try_from(offset), self.children.get(index)) {
            (_, Some((cid, end))) if offset >= own => {
                let before = index.checked_sub(1).and_then(|index| self.children.get(index));
                Inside::Child(cid, before.map_or(own, |(_, end)| *end)..*end)
            }
            (Ok(offset), _) => Inside::Own(self.own.slice(offset.min(self.own.len())..)),
            (Err(_), _) => Inside::Own(Bytes::new()),
        }
    }
}
