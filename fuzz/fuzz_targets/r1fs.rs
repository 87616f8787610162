//! Blocks and archives of strangers: nothing panics or grows without bound, what decodes encodes to itself, and files
//! read back as they were cut, whatever the order in which their blocks come.

#![no_main]

use std::{collections::HashMap, convert::Infallible, ops::Range};

use bytes::Bytes;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use r1_r1fs::{
    Block, Cid,
    car::{Decoder, Writer},
    cid::{RAW, v0, v1, verify},
    dag_pb::{Link, Node},
    unixfs::{Data, FileReader, Importer, Kind, Listing, Profile, Resolver, Sink, UnixfsError, links_of},
};

/// Blocks that one reading is fed; an endless one stops there.
const MAX_FED: usize = 500;
/// Bytes after which a reading stops.
const MAX_READ: usize = 1 << 16;
/// Nodes of a made DAG.
const MAX_NODES: usize = 24;
/// Times that a link may be repeated.
const MAX_REPEAT: usize = 300;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// A block as it comes.
    Block(&'a [u8]),
    /// A UnixFS message in a sound node.
    Message(&'a [u8]),
    /// An archive, and the size of the pieces in which it comes.
    Archive { bytes: &'a [u8], piece: u8 },
    /// Blocks as an archive of ours.
    Blocks { blocks: Vec<&'a [u8]>, piece: u8 },
    /// A DAG whose nodes say what they like; links go to nodes before.
    Dag {
        nodes: Vec<Made<'a>>,
        range: Option<(u16, u16)>,
        order: Order,
        name: &'a str,
    },
    /// A file of ours.
    Ours {
        content: &'a [u8],
        repeat: u8,
        chunk: u8,
        width: u8,
        raw_leaves: bool,
        range: (u16, u16),
        order: Order,
    },
}

#[derive(Debug, Arbitrary)]
struct Made<'a> {
    kind: u8,
    data: Option<&'a [u8]>,
    /// Which node, its name, the size that is said (true unless given), how often.
    links: Vec<(u8, &'a str, Option<u64>, u16)>,
    file_size: Option<u64>,
    fanout: u8,
    raw: bool,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Order {
    window: u8,
    backwards: bool,
}

#[derive(Default)]
struct Memory(HashMap<Cid, Bytes>);

impl Sink for Memory {
    type Error = Infallible;

    fn block(&mut self, block: Block, links: &[Cid]) -> Result<(), Infallible> {
        assert_eq!(verify(&block.cid, &block.data), Ok(()));
        assert_eq!(links_of(&block.cid, &block.data).as_deref(), Ok(links));
        self.0.insert(block.cid, block.data);
        Ok(())
    }
}

/// The bytes of a range, as far as they go; an error if the blocks contradict each other.
fn read(
    memory: &Memory,
    root: Cid,
    range: Option<Range<u64>>,
    order: Order,
    most: usize,
) -> Result<Vec<u8>, Box<UnixfsError>> {
    let mut reader = FileReader::new(root, range);
    let (mut out, mut fed) = (Vec::new(), 0);
    while !reader.is_done() && fed < most && out.len() < MAX_READ {
        if let Some(bytes) = reader.next_chunk() {
            assert!(!bytes.is_empty(), "an empty piece");
            out.extend_from_slice(&bytes);
            continue;
        }
        let mut wanted = reader.wanted(1 + usize::from(order.window));
        assert!(!wanted.is_empty(), "nothing is wanted and it is not done");
        if order.backwards {
            wanted.reverse();
        }
        for cid in wanted {
            let Some(block) = memory.0.get(&cid) else {
                return Ok(out);
            };
            reader.feed(&cid, block)?;
            fed += 1;
        }
    }
    Ok(out)
}

fn list(memory: &Memory, root: Cid) -> Result<Vec<String>, Box<UnixfsError>> {
    let mut listing = Listing::new(root);
    let mut names = Vec::new();
    while !listing.is_done() {
        for cid in listing.wanted(5) {
            let Some(block) = memory.0.get(&cid) else {
                return Ok(names);
            };
            listing.feed(&cid, block)?;
        }
        while let Some(entry) = listing.next_entry() {
            assert!(!entry.name.contains(['/', '\0']) && !["", ".", ".."].contains(&&*entry.name));
            names.push(entry.name);
        }
    }
    Ok(names)
}

fn resolve(memory: &Memory, root: Cid, path: &str) -> Result<Option<Cid>, Box<UnixfsError>> {
    let mut resolver = Resolver::new(root, path);
    while let [cid] = resolver.wanted(2)[..] {
        let Some(block) = memory.0.get(&cid) else {
            return Ok(None);
        };
        resolver.feed(&cid, block)?;
    }
    Ok(resolver.resolved())
}

fn all(memory: &Memory, root: Cid, range: Option<Range<u64>>, order: Order, name: &str) {
    let _ = read(memory, root, range, order, MAX_FED);
    let _ = list(memory, root);
    let _ = resolve(memory, root, name);
}

fn block(bytes: &[u8]) {
    let data = Bytes::copy_from_slice(bytes);
    let cid = v0(&data);
    if let Ok(node) = Node::decode(&data) {
        assert_eq!(Node::decode(&node.encode()), Ok(node));
    }
    let memory = Memory(HashMap::from([(cid, data)]));
    let order = Order {
        window: 9,
        backwards: false,
    };
    all(&memory, cid, None, order, "a/b");
}

fn message(bytes: &[u8]) {
    let data = Bytes::copy_from_slice(bytes);
    let cid = v0(bytes);
    if let Ok(message) = Data::decode(&cid, &data) {
        assert_eq!(Data::decode(&cid, &message.encode()), Ok(message));
    }
    let node = Node {
        links: Vec::new(),
        data: Some(data),
    };
    block(&node.encode());
}

fn unpack(bytes: &[u8], piece: u8) -> Option<(Vec<Cid>, Vec<Block>)> {
    let mut decoder = Decoder::default();
    let mut blocks = Vec::new();
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        decoder.feed(piece);
        while let Some(block) = decoder.next_block().ok()? {
            assert_eq!(verify(&block.cid, &block.data), Ok(()));
            blocks.push(block);
        }
    }
    Some((decoder.finish().ok()?, blocks))
}

fn pack(blocks: &[&[u8]], piece: u8) {
    let cids: Vec<Cid> = blocks.iter().map(|data| v1(RAW, data)).collect();
    let mut writer = Writer::new(Vec::new(), &cids).expect("memory takes all");
    for (cid, data) in cids.iter().zip(blocks) {
        writer.block(cid, data).expect("memory takes all");
    }
    let (roots, found) = unpack(&writer.finish(), piece).expect("our archive");
    assert_eq!(roots, cids);
    assert!(
        found
            .iter()
            .map(|block| &block.data[..])
            .eq(blocks.iter().copied())
    );
}

/// Makes a node of what was made before; its name and the bytes of a file that it says are below it.
fn make(made: &Made, before: &[(Cid, u64)], memory: &mut Memory) -> (Cid, u64) {
    let own = Bytes::copy_from_slice(made.data.unwrap_or_default());
    if made.raw {
        let cid = v1(RAW, &own);
        let size = own.len() as u64;
        memory.0.insert(cid, own);
        return (cid, size);
    }
    let kinds = [Kind::File, Kind::Raw, Kind::Directory, Kind::Shard, Kind::Symlink];
    let mut data = Data::new(kinds[usize::from(made.kind) % kinds.len()]);
    data.data = made.data.map(|_| own.clone());
    data.file_size = made.file_size;
    data.fanout = Some(1 << (made.fanout % 12));
    data.hash_type = Some(0x22);
    let (mut links, mut total) = (Vec::new(), own.len() as u64);
    for (which, name, said, repeat) in &made.links {
        let Some((cid, size)) = before.get(usize::from(*which)) else {
            continue;
        };
        let size = said.unwrap_or(*size);
        for _ in 0..1 + usize::from(*repeat) % MAX_REPEAT {
            total = total.saturating_add(size);
            data.block_sizes.push(size);
            links.push(Link {
                cid: *cid,
                name: (*name).to_owned(),
                tsize: size,
            });
        }
    }
    let data = Some(data.encode());
    let block = Node { links, data }.encode();
    let cid = v0(&block);
    memory.0.insert(cid, block);
    (cid, total)
}

fuzz_target!(|input: Input| match input {
    Input::Block(bytes) => block(bytes),
    Input::Message(bytes) => message(bytes),
    Input::Archive { bytes, piece } => drop(unpack(bytes, piece)),
    Input::Blocks { blocks, piece } => pack(&blocks, piece),
    Input::Dag {
        nodes,
        range,
        order,
        name,
    } => {
        let (mut memory, mut before) = (Memory::default(), Vec::new());
        for made in nodes.iter().take(MAX_NODES) {
            let node = make(made, &before, &mut memory);
            before.push(node);
        }
        let range = range.map(|(from, to)| u64::from(from)..u64::from(to));
        if let Some((root, _)) = before.last() {
            all(&memory, *root, range, order, name);
        }
    }
    Input::Ours {
        content,
        repeat,
        chunk,
        width,
        raw_leaves,
        range: (from, to),
        order,
    } => {
        let content = content.repeat(1 + usize::from(repeat) % 8);
        let mut memory = Memory::default();
        let mut importer = Importer::new(Profile {
            v0: !raw_leaves,
            raw_leaves,
            chunk: 1 + usize::from(chunk),
            width: 2 + usize::from(width),
        });
        let Ok(()) = importer.push(&content, &mut memory);
        let Ok(made) = importer.finish(&mut memory);
        assert_eq!(made.size, content.len() as u64);
        let place = |at: u16| usize::from(at).min(content.len());
        let (from, to) = (from.min(to), from.max(to));
        let range = Some(from.into()..to.into());
        let found = read(&memory, made.cid, range, order, usize::MAX);
        assert_eq!(found.as_deref(), Ok(&content[place(from)..place(to)]));
    }
});
