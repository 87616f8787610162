//! Listing directories block by block: says what is needed next and is fed it.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use super::{
    UnixfsError,
    data::{Data, Kind},
    directory::{Entry, is_allowed},
};
use crate::{
    Cid,
    cid::DAG_PB,
    dag_pb::{Link, Node},
};

/// Widest shard that is read (Kubo's limit).
const MAX_FANOUT: u64 = 1024;

/// Lists a directory, flat or sharded. Memory: the entries not yet taken, and the names of its shards.
///
/// A shard stands in one place only: the hashes of its names begin as the place says. So a directory has no more
/// entries than its blocks have links.
#[derive(Debug)]
pub struct Listing {
    root: Cid,
    /// Blocks that are needed, and the bits of the hash that led to each.
    waiting: VecDeque<(Cid, u32)>,
    seen: HashSet<Cid>,
    entries: VecDeque<Entry>,
}

impl Listing {
    /// Lists the directory `root`.
    pub fn new(root: Cid) -> Self {
        Self {
            root,
            waiting: VecDeque::from([(root, 0)]),
            seen: HashSet::from([root]),
            entries: VecDeque::new(),
        }
    }

    /// Up to `limit` blocks to feed next.
    pub fn wanted(&self, limit: usize) -> Vec<Cid> {
        self.waiting.iter().take(limit).map(|(cid, _)| *cid).collect()
    }

    /// Takes a block that was wanted; others are ignored.
    ///
    /// # Errors
    /// [`UnixfsError`] if it is no directory.
    pub fn feed(&mut self, cid: &Cid, block: &Bytes) -> Result<(), UnixfsError> {
        let Some(at) = self.waiting.iter().position(|(wanted, _)| wanted == cid) else {
            return Ok(());
        };
        let used = self.waiting.remove(at).map_or(0, |(_, used)| used);
        let (node, data) = decode(cid, block)?;
        match data.kind {
            Kind::Directory if used == 0 => {
                for link in node.links {
                    self.take(Entry {
                        name: link.name,
                        cid: link.cid,
                        tsize: link.tsize,
                    })?;
                }
                Ok(())
            }
            Kind::Shard => self.shard(cid, node, &data, used),
            _ => Err(UnixfsError::NotDirectory { cid: *cid }),
        }
    }

    fn shard(&mut self, cid: &Cid, node: Node, data: &Data, used: u32) -> Result<(), UnixfsError> {
        let shape = Shape::of(cid, &node, data, used)?;
        let mut shards = 0;
        for link in node.links {
            let (_, name) = shape.split(cid, &link)?;
            if !name.is_empty() {
                let name = name.to_owned();
                self.take(Entry {
                    name,
                    cid: link.cid,
                    tsize: link.tsize,
                })?;
                continue;
            }
            if !self.seen.insert(link.cid) {
                return Err(UnixfsError::malformed(
                    &link.cid,
                    "a shard that stands in two places",
                ));
            }
            self.waiting.insert(shards, (link.cid, used + shape.bits));
            shards += 1;
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry) -> Result<(), UnixfsError> {
        if !is_allowed(&entry.name) {
            return Err(UnixfsError::Name {
                cid: self.root,
                name: entry.name,
            });
        }
        self.entries.push_back(entry);
        Ok(())
    }

    /// The next entry; `None` if a block is needed first or all were given out ([`Listing::is_done`]).
    pub fn next_entry(&mut self) -> Option<Entry> {
        self.entries.pop_front()
    }

    /// True if all entries were given out.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.entries.is_empty()
    }
}

pub(super) fn decode(cid: &Cid, block: &Bytes) -> Result<(Node, Data), UnixfsError> {
    if cid.codec() != DAG_PB {
        return Err(UnixfsError::NotDirectory { cid: *cid });
    }
    let node = Node::decode(block).map_err(|error| UnixfsError::malformed(cid, error.0))?;
    let bytes = node
        .data
        .as_ref()
        .ok_or_else(|| UnixfsError::malformed(cid, "a node without a UnixFS message"))?;
    let data = Data::decode(cid, bytes)?;
    Ok((node, data))
}

/// How a shard's links are named.
pub(super) struct Shape {
    /// Bits of the hash that a level takes.
    pub(super) bits: u32,
    /// Hexadecimal digits before a name.
    digits: usize,
}

impl Shape {
    /// The shape of a shard to which `used` bits of the hash led.
    pub(super) fn of(cid: &Cid, node: &Node, data: &Data, used: u32) -> Result<Self, UnixfsError> {
        let width = data.fanout.filter(|width| width.is_power_of_two());
        let width = width.filter(|width| (8..=MAX_FANOUT).contains(width));
        let width = width.ok_or_else(|| UnixfsError::malformed(cid, "a shard of an unknown width"))?;
        if node.links.len() as u64 > width {
            return Err(UnixfsError::malformed(
                cid,
                "a shard with more links than its width",
            ));
        }
        let bits = width.trailing_zeros();
        if used + bits > u64::BITS {
            let limit = (u64::BITS / bits) as usize;
            return Err(UnixfsError::Depth { cid: *cid, limit });
        }
        Ok(Self {
            bits,
            digits: format!("{:X}", width - 1).len(),
        })
    }

    /// The slot of a link and its name, which is empty for a shard.
    pub(super) fn split<'l>(&self, cid: &Cid, link: &'l Link) -> Result<(u64, &'l str), UnixfsError> {
        let split = link.name.split_at_checked(self.digits);
        let split = split.and_then(|(slot, name)| Some((u64::from_str_radix(slot, 16).ok()?, name)));
        split
            .filter(|(slot, _)| *slot < 1 << self.bits)
            .ok_or_else(|| UnixfsError::malformed(cid, "a shard's link without a prefix"))
    }
}
