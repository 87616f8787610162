//! Making directories: flat ones, and above [`SHARD_ABOVE`] ones that are sharded by the hash of their names.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Imported, Sink, UnixfsError,
    data::{Data, Kind},
    import::name,
    murmur,
};
use crate::{
    Block, Cid,
    cid::DAG_PB,
    dag_pb::{Link, Node},
};

/// Longest name of an entry, bytes (as of Linux file systems).
pub const MAX_NAME: usize = 255;
/// Bytes of names and CIDs above which a directory is sharded (Kubo's `HAMTShardingSize`).
pub const SHARD_ABOVE: usize = 256 << 10;
/// Width of a shard (Kubo's default).
const FANOUT: u64 = 256;
/// Multihash code of murmur3-x64-64.
pub(super) const MURMUR: u64 = 0x22;
/// Levels of shards: 64 bits of hash, 8 a level.
const LEVELS: u32 = 8;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub cid: Cid,
    /// Bytes of all its blocks, as its maker says.
    pub tsize: u64,
}

/// True for a name that can stand in a folder of a file system.
pub(super) fn is_allowed(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Makes a directory of entries whose blocks are made elsewhere; `v0` names it by CIDv0.
///
/// # Errors
/// [`UnixfsError::Name`] for a name that is not allowed or occurs twice; else what the sink fails with.
pub fn directory<S: Sink>(
    v0: bool,
    entries: Vec<Entry>,
    sink: &mut S,
) -> Result<Imported, DirectoryError<S::Error>> {
    let mut sorted = BTreeMap::new();
    for entry in entries {
        let name = entry.name.clone();
        if !is_allowed(&name) || sorted.insert(name.clone(), entry).is_some() {
            let empty = Node {
                links: Vec::new(),
                data: Some(Data::new(Kind::Directory).encode()),
            };
            let cid = super::import::name(v0, DAG_PB, &empty.encode());
            return Err(DirectoryError::Unixfs(Box::new(UnixfsError::Name { cid, name })));
        }
    }
    let estimate: usize = sorted
        .values()
        .map(|entry| entry.name.len() + entry.cid.encoded_len())
        .sum();
    let made = if estimate <= SHARD_ABOVE {
        let links = sorted.into_values().map(|entry| Link {
            cid: entry.cid,
            name: entry.name,
            tsize: entry.tsize,
        });
        put(v0, links.collect(), Data::new(Kind::Directory), sink)
    } else {
        let hashed = sorted
            .into_values()
            .map(|entry| (murmur::hash(entry.name.as_bytes()), entry));
        shard(v0, 0, hashed.collect(), sink)
    };
    made.map_err(DirectoryError::Sink)
}

/// Why a directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError<E> {
    /// Its entries cannot stand together.
    #[error(transparent)]
    Unixfs(Box<UnixfsError>),
    /// Its blocks could not be kept.
    #[error("{0}")]
    Sink(E),
}

fn put<S: Sink>(v0: bool, links: Vec<Link>, data: Data, sink: &mut S) -> Result<Imported, S::Error> {
    let below: u64 = links.iter().fold(0, |sum, link| sum.saturating_add(link.tsize));
    let cids: Vec<Cid> = links.iter().map(|link| link.cid).collect();
    let node = Node {
        links,
        data: Some(data.encode()),
    };
    let data = node.encode();
    let cumulative = below.saturating_add(data.len() as u64);
    let cid = name(v0, DAG_PB, &data);
    sink.block(Block { cid, data }, &cids)?;
    Ok(Imported {
        cid,
        size: 0,
        cumulative,
    })
}

/// The eight bits of a hash that choose a slot at a level.
fn slot(hash: u64, level: u32) -> u8 {
    hash.to_be_bytes()[level as usize]
}

fn shard<S: Sink>(
    v0: bool,
    level: u32,
    entries: Vec<(u64, Entry)>,
    sink: &mut S,
) -> Result<Imported, S::Error> {
    let mut slots: BTreeMap<u8, Vec<(u64, Entry)>> = BTreeMap::new();
    for (hash, entry) in entries {
        slots.entry(slot(hash, level)).or_default().push((hash, entry));
    }
    let mut bits = [0u8; 32];
    let mut links = Vec::new();
    for (slot, mut inside) in slots {
        let at = usize::from(slot);
        bits[31 - at / 8] |= 1 << (at % 8);
        // Names of equal hashes stay side by side in the last level.
        if inside.len() == 1 || level + 1 == LEVELS {
            let named = inside.drain(..).map(|(_, entry)| Link {
                cid: entry.cid,
                name: format!("{slot:02X}{}", entry.name),
                tsize: entry.tsize,
            });
            links.extend(named);
        } else {
            let below = shard(v0, level + 1, inside, sink)?;
            links.push(Link {
                cid: below.cid,
                name: format!("{slot:02X}"),
                tsize: below.cumulative,
            });
        }
    }
    let first = bits.iter().position(|byte| *byte != 0).unwrap_or(bits.len());
    let mut data = Data::new(Kind::Shard);
    data.data = Some(Bytes::copy_from_slice(&bits[first..]));
    data.hash_type = Some(MURMUR);
    data.fanout = Some(FANOUT);
    put(v0, links, data, sink)
}
