use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    Block,
    cid::{RAW, v0, v1},
    dag_pb::Link,
};

#[derive(Default)]
struct Memory(HashMap<Cid, Bytes>);

impl Sink for Memory {
    type Error = std::convert::Infallible;

    fn block(&mut self, block: Block, links: &[Cid]) -> Result<(), Self::Error> {
        assert_eq!(links_of(&block.cid, &block.data).unwrap(), links);
        crate::cid::verify(&block.cid, &block.data).unwrap();
        self.0.insert(block.cid, block.data);
        Ok(())
    }
}

fn import(profile: Profile, data: &[u8], memory: &mut Memory) -> Imported {
    let mut importer = Importer::new(profile);
    for piece in data.chunks(100_000) {
        importer.push(piece, memory).unwrap();
    }
    importer.finish(memory).unwrap()
}

fn name(data: &[u8]) -> String {
    import(Profile::KUBO, data, &mut Memory::default())
        .cid
        .to_string()
}

fn read(
    memory: &Memory,
    root: Cid,
    range: Option<std::ops::Range<u64>>,
    window: usize,
    backwards: bool,
) -> Result<Vec<u8>, UnixfsError> {
    let mut reader = FileReader::new(root, range);
    let mut out = Vec::new();
    while !reader.is_done() {
        while let Some(bytes) = reader.next_chunk() {
            out.extend_from_slice(&bytes);
        }
        let mut wanted = reader.wanted(window);
        if backwards {
            wanted.reverse();
        }
        for cid in wanted {
            reader.feed(&cid, &memory.0[&cid])?;
        }
    }
    Ok(out)
}

#[test]
fn names_are_those_of_ipfs_add() {
    assert_eq!(
        name(b"hello world\n"),
        "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
    );
    assert_eq!(name(b""), "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH");
    let blob = hex::decode(concat!(
        "f5b165224a58b791df6af1d8000000198b9b6660412123310951df2e57655050b451e6fe72969e77f1f58c9ede933d8fbb8939a6a879b1",
        "120de5ef50f85394fd220948c655073a9f61535ce4455c3f737e860687d3fb04fbaaff2b60789a719b4a4245129bad01fdd6e5635788"
    ));
    assert_eq!(
        name(&blob.unwrap()),
        "QmdNA9YKmvvQk7JacJYAxnVEVz2bSXUijnMqpna31FZXPG"
    );
}

#[test]
fn a_file_of_equal_chunks_reads_back() {
    let data = vec![0; 1 << 20];
    let mut memory = Memory::default();
    let imported = import(Profile::KUBO, &data, &mut memory);
    assert_eq!((memory.0.len(), imported.size), (2, 1 << 20));
    assert_eq!(read(&memory, imported.cid, None, 64, false).unwrap(), data);
}

fn small() -> Profile {
    Profile {
        chunk: 7,
        width: 3,
        ..Profile::KUBO
    }
}

proptest! {
    #[test]
    fn any_range_reads_back_in_any_order(
        data in proptest::collection::vec(any::<u8>(), 0..400),
        from in 0u64..450, length in 0u64..450, window in 1usize..9,
        backwards in any::<bool>(), raw_leaves in any::<bool>(),
    ) {
        let profile = Profile { raw_leaves, v0: !raw_leaves, ..small() };
        let mut memory = Memory::default();
        let imported = import(profile, &data, &mut memory);
        prop_assert_eq!(imported.size, data.len() as u64);
        let clamp = |at: u64| usize::try_from(at).unwrap().min(data.len());
        let found = read(&memory, imported.cid, Some(from..from + length), window, backwards).unwrap();
        prop_assert_eq!(found, &data[clamp(from)..clamp(from + length)]);
    }

    #[test]
    fn hostile_blocks_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let cid = v0(&bytes);
        let mut reader = FileReader::new(cid, None);
        let _ = reader.feed(&cid, &bytes);
        let _ = links_of(&cid, &bytes);
    }
}

fn file_node(memory: &mut Memory, children: &[(Cid, u64)]) -> Cid {
    let mut data = Data::new(Kind::File);
    data.block_sizes = children.iter().map(|(_, size)| *size).collect();
    let links = children.iter().map(|(cid, size)| Link {
        cid: *cid,
        name: String::new(),
        tsize: *size,
    });
    let block = Node {
        links: links.collect(),
        data: Some(data.encode()),
    }
    .encode();
    let cid = v0(&block);
    memory.0.insert(cid, block);
    cid
}

#[test]
fn lying_sizes_and_depth_are_found() {
    let mut memory = Memory::default();
    let leaf = v1(RAW, b"abc");
    memory.0.insert(leaf, Bytes::from_static(b"abc"));
    let lie = file_node(&mut memory, &[(leaf, 4)]);
    assert!(matches!(
        read(&memory, lie, None, 9, false),
        Err(UnixfsError::Size {
            said: 4,
            found: 3,
            ..
        })
    ));
    let huge = file_node(&mut memory, &[(leaf, u64::MAX), (leaf, 3)]);
    assert!(read(&memory, huge, None, 9, false).is_err());
    let mut deep = leaf;
    for _ in 0..=MAX_DEPTH {
        deep = file_node(&mut memory, &[(deep, 3)]);
    }
    assert!(matches!(
        read(&memory, deep, None, 9, false),
        Err(UnixfsError::Depth { .. })
    ));
}

fn file(name: String, memory: &mut Memory) -> Entry {
    let imported = import(Profile::KUBO, name.as_bytes(), memory);
    Entry {
        name,
        cid: imported.cid,
        tsize: imported.cumulative,
    }
}

fn list(memory: &Memory, root: Cid) -> Result<Vec<Entry>, UnixfsError> {
    let mut listing = Listing::new(root);
    let mut entries = Vec::new();
    while !listing.is_done() {
        for cid in listing.wanted(5) {
            listing.feed(&cid, &memory.0[&cid])?;
        }
        entries.extend(std::iter::from_fn(|| listing.next_entry()));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn resolve(memory: &Memory, root: Cid, path: &str) -> Result<Cid, UnixfsError> {
    let mut resolver = Resolver::new(root, path);
    loop {
        if let Some(cid) = resolver.resolved() {
            return Ok(cid);
        }
        for cid in resolver.wanted(3) {
            resolver.feed(&cid, &memory.0[&cid])?;
        }
    }
}

#[test]
fn an_empty_directory_has_its_known_name() {
    let made = directory(true, vec![], &mut Memory::default()).unwrap();
    assert_eq!(
        made.cid.to_string(),
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    );
}

#[test]
fn directories_list_and_resolve_flat_and_sharded() {
    for count in [3, 9000] {
        let mut memory = Memory::default();
        let entries: Vec<_> = (0..count)
            .map(|n| file(format!("file-{n:05}"), &mut memory))
            .collect();
        let made = directory(true, entries.clone(), &mut memory).unwrap();
        let outer = vec![Entry {
            name: "sub".into(),
            cid: made.cid,
            tsize: made.cumulative,
        }];
        let root = directory(true, outer, &mut memory).unwrap();
        assert_eq!(list(&memory, made.cid).unwrap(), entries);
        assert_eq!(
            resolve(&memory, root.cid, "/sub//file-00002").unwrap(),
            entries[2].cid
        );
        let error = resolve(&memory, root.cid, "sub/nothing").unwrap_err();
        assert!(error.to_string().contains("nothing"));
        assert!(matches!(
            resolve(&memory, root.cid, "sub/file-00002/x"),
            Err(UnixfsError::NotDirectory { .. })
        ));
        assert!(matches!(
            read(&memory, made.cid, None, 9, false),
            Err(UnixfsError::NotFile { .. })
        ));
    }
}

#[test]
fn names_that_leave_the_folder_are_refused_on_both_sides() {
    let mut memory = Memory::default();
    for bad in ["", ".", "..", "a/b", "a\0"] {
        let mut entry = file("x".into(), &mut memory);
        entry.name = bad.into();
        let refused = directory(true, vec![entry.clone()], &mut memory)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("not allowed"), "{refused}");
        let links = vec![Link {
            cid: entry.cid,
            name: bad.into(),
            tsize: 1,
        }];
        let block = Node {
            links,
            data: Some(Data::new(Kind::Directory).encode()),
        }
        .encode();
        let cid = v0(&block);
        memory.0.insert(cid, block);
        assert!(
            matches!(list(&memory, cid), Err(UnixfsError::Name { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn a_shard_in_a_shard_without_end_is_cut() {
    let mut memory = Memory::default();
    let mut below = directory(true, vec![], &mut memory).unwrap().cid;
    for _ in 0..12 {
        let mut data = Data::new(Kind::Shard);
        (data.hash_type, data.fanout) = (Some(0x22), Some(256));
        let links = vec![Link {
            cid: below,
            name: "00".into(),
            tsize: 1,
        }];
        let block = Node {
            links,
            data: Some(data.encode()),
        }
        .encode();
        below = v0(&block);
        memory.0.insert(below, block);
    }
    assert!(matches!(list(&memory, below), Err(UnixfsError::Depth { .. })));
}

fn shard_node(memory: &mut Memory, fanout: u64, links: Vec<Link>) -> Cid {
    let mut data = Data::new(Kind::Shard);
    (data.hash_type, data.fanout) = (Some(0x22), Some(fanout));
    let data = Some(data.encode());
    let block = Node { links, data }.encode();
    let cid = v0(&block);
    memory.0.insert(cid, block);
    cid
}

#[test]
fn a_shard_that_stands_twice_or_is_too_wide_is_refused() {
    let mut memory = Memory::default();
    let empty = directory(true, vec![], &mut memory).unwrap().cid;
    let links = |count: u32| {
        let links = (0..count).map(|n| Link {
            cid: empty,
            name: format!("{:02X}", n % 256),
            tsize: 1,
        });
        links.collect::<Vec<_>>()
    };
    let refused = |memory: &Memory, root| list(memory, root).unwrap_err().to_string();
    let twice = shard_node(&mut memory, 256, links(2));
    assert!(refused(&memory, twice).contains("two places"));
    let wide = shard_node(&mut memory, 256, links(257));
    assert!(refused(&memory, wide).contains("more links than its width"));
    let odd = shard_node(&mut memory, 100, links(1));
    assert!(refused(&memory, odd).contains("unknown width"));
    let mut nine = links(1);
    nine[0].name = "9".into();
    let outside = shard_node(&mut memory, 8, nine);
    assert!(refused(&memory, outside).contains("without a prefix"));
}

#[test]
fn a_path_through_a_sharded_directory_needs_one_block_a_level() {
    let mut memory = Memory::default();
    let entries: Vec<_> = (0..9000)
        .map(|n| file(format!("file-{n:05}"), &mut memory))
        .collect();
    let root = directory(true, entries.clone(), &mut memory).unwrap().cid;
    let mut most = 0;
    for entry in entries.iter().step_by(20) {
        let mut resolver = Resolver::new(root, &entry.name);
        let mut needed = 0;
        while let [cid] = resolver.wanted(9)[..] {
            resolver.feed(&cid, &memory.0[&cid]).unwrap();
            needed += 1;
        }
        assert_eq!(resolver.resolved(), Some(entry.cid));
        most = most.max(needed);
    }
    assert!((2..=4).contains(&most), "{most}");
}

/// A file of nodes of which each has its only child many times.
fn repeated(memory: &mut Memory, levels: u32, width: usize) -> (Cid, u64) {
    let mut child = v1(RAW, b"abc");
    memory.0.insert(child, Bytes::from_static(b"abc"));
    let mut size = 3;
    for _ in 0..levels {
        child = file_node(memory, &vec![(child, size); width]);
        size *= width as u64;
    }
    (child, size)
}

#[test]
fn a_few_nodes_that_repeat_each_other_are_held_once() {
    let mut memory = Memory::default();
    let (root, size) = repeated(&mut memory, 3, 40_000);
    assert_eq!((memory.0.len(), size), (4, 3 * 40_000u64.pow(3)));
    let mut reader = FileReader::new(root, Some(size - 100_000..size));
    let (mut given, mut fed) = (0, 0);
    while !reader.is_done() {
        while let Some(bytes) = reader.next_chunk() {
            given += bytes.len();
        }
        for cid in reader.wanted(64) {
            reader.feed(&cid, &memory.0[&cid]).unwrap();
            fed += 1;
        }
    }
    assert_eq!((given, fed), (100_000, 4));
}

#[test]
fn a_node_with_more_links_than_any_needs_is_refused() {
    let mut memory = Memory::default();
    let (root, _) = repeated(&mut memory, 1, 100_000);
    let refused = read(&memory, root, None, 9, false).unwrap_err().to_string();
    assert!(
        refused.contains("longer than a block") || refused.contains("too many links"),
        "{refused}"
    );
    assert!(links_of(&root, &memory.0[&root]).is_err());
}

#[test]
fn a_block_of_which_two_sizes_are_said_is_found() {
    let mut memory = Memory::default();
    let leaf = v1(RAW, b"abc");
    memory.0.insert(leaf, Bytes::from_static(b"abc"));
    let lie = file_node(&mut memory, &[(leaf, 3), (leaf, 2)]);
    assert!(matches!(
        read(&memory, lie, None, 9, false),
        Err(UnixfsError::Size { said: 2, .. })
    ));
}
