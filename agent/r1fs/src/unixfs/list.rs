//! Listing directories and resolving paths, block by block: says what is needed next and is fed it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    UnixfsError,
    data::{Data, Kind},
    directory::{Entry, LEVELS, is_allowed},
};
use crate::{Cid, cid::DAG_PB, dag_pb::Node};

/// Lists a directory, flat or sharded. Memory: the entries not yet taken and the shards not yet fed.
#[derive(Debug)]
pub struct Listing {
    root: Cid,
    waiting: VecDeque<(Cid, u32)>,
    entries: VecDeque<Entry>,
}

impl Listing {
    /// Lists the directory `root`.
    pub fn new(root: Cid) -> Self {
        Self {
            root,
            waiting: VecDeque::from([(root, 0)]),
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
        let level = self.waiting.remove(at).map_or(0, |(_, level)| level);
        let (node, data) = decode(cid, block)?;
        match data.kind {
            Kind::Directory if level == 0 => {
                for link in node.links {
                    self.take(Entry {
                        name: link.name,
                        cid: link.cid,
                        tsize: link.tsize,
                    })?;
                }
                Ok(())
            }
            Kind::Shard if level < LEVELS => self.shard(cid, node, &data, level),
            Kind::Shard => Err(UnixfsError::Depth {
                cid: self.root,
                limit: LEVELS as usize,
            }),
            _ => Err(UnixfsError::NotDirectory { cid: *cid }),
        }
    }

    fn shard(&mut self, cid: &Cid, node: Node, data: &Data, level: u32) -> Result<(), UnixfsError> {
        let width = data
            .fanout
            .filter(|fanout| fanout.is_power_of_two() && (8..=1024).contains(fanout));
        let width = width.ok_or_else(|| UnixfsError::malformed(cid, "a shard of an unknown width"))?;
        let prefix = format!("{:X}", width - 1).len();
        for (at, link) in node.links.into_iter().enumerate() {
            let name = link.name.get(prefix..);
            match name.ok_or_else(|| UnixfsError::malformed(cid, "a shard's link without a prefix"))? {
                "" => self
                    .waiting
                    .insert(at.min(self.waiting.len()), (link.cid, level + 1)),
                name => self.take(Entry {
                    name: name.to_owned(),
                    cid: link.cid,
                    tsize: link.tsize,
                })?,
            }
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

/// Finds what a path below a root is.
#[derive(Debug)]
pub struct Resolver {
    at: Cid,
    names: VecDeque<String>,
    listing: Option<Listing>,
}

impl Resolver {
    /// Resolves `path` (names between slashes; empty ones are skipped) from `root`.
    pub fn new(root: Cid, path: &str) -> Self {
        let names: VecDeque<_> = path
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let listing = (!names.is_empty()).then(|| Listing::new(root));
        Self {
            at: root,
            names,
            listing,
        }
    }

    /// Up to `limit` blocks to feed next; empty once it is resolved.
    pub fn wanted(&self, limit: usize) -> Vec<Cid> {
        self.listing
            .as_ref()
            .map_or_else(Vec::new, |listing| listing.wanted(limit))
    }

    /// Takes a block that was wanted; others are ignored.
    ///
    /// # Errors
    /// [`UnixfsError::NoEntry`] with the name that is not there, or what is wrong with the directory.
    pub fn feed(&mut self, cid: &Cid, block: &Bytes) -> Result<(), UnixfsError> {
        let (Some(listing), Some(name)) = (&mut self.listing, self.names.front()) else {
            return Ok(());
        };
        listing.feed(cid, block)?;
        while let Some(entry) = listing.next_entry() {
            if entry.name == *name {
                self.at = entry.cid;
                self.names.pop_front();
                self.listing = (!self.names.is_empty()).then(|| Listing::new(entry.cid));
                return Ok(());
            }
        }
        if listing.is_done() {
            return Err(UnixfsError::NoEntry {
                cid: self.at,
                name: name.clone(),
            });
        }
        Ok(())
    }

    /// What the path is, once nothing is wanted any more.
    pub fn resolved(&self) -> Option<Cid> {
        self.names.is_empty().then_some(self.at)
    }
}

fn decode(cid: &Cid, block: &Bytes) -> Result<(Node, Data), UnixfsError> {
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
