//! Resolving paths block by block: says what is needed next and is fed it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    UnixfsError,
    data::{Data, Kind},
    directory::MURMUR,
    list::{Shape, decode},
    murmur,
};
use crate::{Cid, dag_pb::Node};

/// Finds what a path below a root is. Of a sharded directory only the shards are needed that lead to the name: one a
/// level, as the name's hash says. Symbolic links are not followed.
#[derive(Debug)]
pub struct Resolver {
    /// The directory in which the first of the names is looked up; the end once there are none.
    directory: Cid,
    names: VecDeque<String>,
    /// The block that is needed: the directory or a shard of it.
    needed: Cid,
    /// Bits of the name's hash that led there.
    used: u32,
}

impl Resolver {
    /// Resolves `path` (names between slashes; empty ones are skipped) from `root`.
    pub fn new(root: Cid, path: &str) -> Self {
        let names = path.split('/').filter(|name| !name.is_empty());
        Self {
            directory: root,
            names: names.map(str::to_owned).collect(),
            needed: root,
            used: 0,
        }
    }

    /// Up to `limit` blocks to feed next (one at most is ever needed); empty once it is resolved.
    pub fn wanted(&self, limit: usize) -> Vec<Cid> {
        let needed = (!self.names.is_empty()).then_some(self.needed);
        needed.into_iter().take(limit).collect()
    }

    /// Takes a block that was wanted; others are ignored.
    ///
    /// # Errors
    /// [`UnixfsError::NoEntry`] with the name that is not there, or what is wrong with the directory.
    pub fn feed(&mut self, cid: &Cid, block: &Bytes) -> Result<(), UnixfsError> {
        let Some(name) = self.names.front().filter(|_| *cid == self.needed) else {
            return Ok(());
        };
        let (node, data) = decode(cid, block)?;
        let found = match data.kind {
            Kind::Directory if self.used == 0 => {
                let link = node.links.iter().find(|link| link.name == *name);
                link.map(|link| (link.cid, None))
            }
            Kind::Shard => in_shard(cid, &node, &data, name, self.used)?,
            _ => return Err(UnixfsError::NotDirectory { cid: *cid }),
        };
        let Some((cid, used)) = found else {
            return Err(UnixfsError::NoEntry {
                cid: self.directory,
                name: name.clone(),
            });
        };
        self.needed = cid;
        self.used = used.unwrap_or(0);
        if used.is_none() {
            self.directory = cid;
            self.names.pop_front();
        }
        Ok(())
    }

    /// What the path is, once nothing is wanted any more.
    pub fn resolved(&self) -> Option<Cid> {
        self.names.is_empty().then_some(self.directory)
    }
}

/// What a shard has for a name of whose hash `used` bits led to it: the entry, or the next shard and the bits used then.
fn in_shard(
    cid: &Cid,
    node: &Node,
    data: &Data,
    name: &str,
    used: u32,
) -> Result<Option<(Cid, Option<u32>)>, UnixfsError> {
    if data.hash_type != Some(MURMUR) {
        return Err(UnixfsError::malformed(cid, "a shard by an unknown hash"));
    }
    let shape = Shape::of(cid, node, data, used)?;
    let then = used + shape.bits;
    let hash = murmur::hash(name.as_bytes());
    let slot = hash << used >> (u64::BITS - shape.bits);
    for link in &node.links {
        match shape.split(cid, link)? {
            (at, "") if at == slot => return Ok(Some((link.cid, Some(then)))),
            (_, found) if found == name => return Ok(Some((link.cid, None))),
            _ => {}
        }
    }
    Ok(None)
}
