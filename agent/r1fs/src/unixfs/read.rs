//! Reading a file block by block: says which blocks are needed next, takes them in any order, gives bytes in order.

use std::{collections::VecDeque, ops::Range};

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

#[derive(Debug)]
enum Part {
    /// A block that is needed: where its bytes begin, how many there must be (unknown for the root), how deep it is.
    Wanted {
        cid: Cid,
        start: u64,
        size: Option<u64>,
        depth: usize,
    },
    /// Bytes in the range.
    Here(Bytes),
}

/// Reads a range of a file. Holds what was fed and not yet taken, and the names of one unfinished node per level.
#[derive(Debug)]
pub struct FileReader {
    root: Cid,
    range: Range<u64>,
    size: Option<u64>,
    parts: VecDeque<Part>,
}

impl FileReader {
    /// Reads `range` of the file `root`, clamped to its size; the whole file if there is none.
    pub fn new(root: Cid, range: Option<Range<u64>>) -> Self {
        let wanted = Part::Wanted {
            cid: root,
            start: 0,
            size: None,
            depth: 0,
        };
        Self {
            root,
            range: range.unwrap_or(0..u64::MAX),
            size: None,
            parts: VecDeque::from([wanted]),
        }
    }

    /// Bytes of the whole file, once its root was fed.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The blocks to feed next, in the order of the file, each once: those among the first `limit` parts that are not
    /// here. Empty if everything within the limit is here.
    pub fn wanted(&self, limit: usize) -> Vec<Cid> {
        let mut wanted = Vec::new();
        for part in self.parts.iter().take(limit) {
            if let Part::Wanted { cid, .. } = part
                && !wanted.contains(cid)
            {
                wanted.push(*cid);
            }
        }
        wanted
    }

    /// Takes a block that was wanted; its bytes must have been checked against its name. Others are ignored.
    ///
    /// # Errors
    /// [`UnixfsError`] if it is no part of a file or contradicts what was said about it; reading is over then.
    pub fn feed(&mut self, cid: &Cid, data: &Bytes) -> Result<(), UnixfsError> {
        // The same block may stand in several places, as in a file of zeros.
        let mut at = 0;
        while at < self.parts.len() {
            let matching = match &self.parts[at] {
                Part::Wanted {
                    cid: wanted,
                    start,
                    size,
                    depth,
                } if wanted == cid => Some((*start, *size, *depth)),
                _ => None,
            };
            at = match matching {
                Some((start, size, depth)) => self.expand(at, cid, data, start, size, depth)?,
                None => at + 1,
            };
        }
        Ok(())
    }

    /// Replaces a wanted part by what is in its block; returns the index after it.
    fn expand(
        &mut self,
        at: usize,
        cid: &Cid,
        data: &Bytes,
        start: u64,
        size: Option<u64>,
        depth: usize,
    ) -> Result<usize, UnixfsError> {
        let (own, children, total) = parts_of(cid, data)?;
        if let Some(size) = size.filter(|size| *size != total) {
            return Err(UnixfsError::Size {
                cid: *cid,
                said: size,
                found: total,
            });
        }
        if depth == 0 {
            self.size = Some(total);
            self.range.end = self.range.end.min(total);
            self.range.start = self.range.start.min(self.range.end);
        }
        if !children.is_empty() && depth >= MAX_DEPTH {
            return Err(UnixfsError::Depth {
                cid: self.root,
                limit: MAX_DEPTH,
            });
        }
        let mut new = Vec::with_capacity(children.len() + 1);
        let mut start = start;
        let length = own.len() as u64;
        if let Some(cut) = self.cut(start, length) {
            new.push(Part::Here(own.slice(cut)));
        }
        start += length;
        for (cid, size) in children {
            if size > 0 && self.cut(start, size).is_some() {
                new.push(Part::Wanted {
                    cid,
                    start,
                    size: Some(size),
                    depth: depth + 1,
                });
            }
            start += size;
        }
        let count = new.len();
        let rest = self.parts.split_off(at);
        self.parts.extend(new);
        self.parts.extend(rest.into_iter().skip(1));
        Ok(at + count)
    }

    /// The part of `start..start + length` that is in the range, relative to `start`.
    fn cut(&self, start: u64, length: u64) -> Option<Range<usize>> {
        let from = self.range.start.clamp(start, start + length) - start;
        let to = self.range.end.clamp(start, start + length) - start;
        // A block's length fits into memory; a child's range is only asked whether it is empty.
        (from < to)
            .then(|| usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX))
    }

    /// The next bytes; `None` if a block is needed first, or if the range is complete ([`FileReader::is_done`]).
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        if !matches!(self.parts.front(), Some(Part::Here(_))) {
            return None;
        }
        match self.parts.pop_front() {
            Some(Part::Here(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// True if all bytes of the range were given out.
    pub fn is_done(&self) -> bool {
        self.parts.is_empty()
    }
}

type Parts = (Bytes, Vec<(Cid, u64)>, u64);

/// A block's own bytes of the file, its children with their sizes, and the size of all of it.
fn parts_of(cid: &Cid, block: &Bytes) -> Result<Parts, UnixfsError> {
    if cid.codec() == RAW {
        return Ok((block.clone(), Vec::new(), block.len() as u64));
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
    let sum = data
        .block_sizes
        .iter()
        .try_fold(own.len() as u64, |sum, size| sum.checked_add(*size));
    let sum = sum.ok_or_else(|| UnixfsError::malformed(cid, "sizes beyond 64 bits"))?;
    if let Some(said) = data.file_size.filter(|said| *said != sum) {
        return Err(UnixfsError::Size {
            cid: *cid,
            said,
            found: sum,
        });
    }
    let children = node.links.into_iter().map(|link| link.cid).zip(data.block_sizes);
    Ok((own, children.collect(), sum))
}
