//! The same bytes get the same names as from Helia's UnixFS importer (`vectors/unixfs.mjs` wrote the vectors).

use std::convert::Infallible;

use r1_r1fs::unixfs::{Entry, Imported, Importer, Nowhere, Profile, directory};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    files: Vec<File>,
    folders: Vec<Folder>,
}

#[derive(Deserialize)]
struct File {
    profile: String,
    seed: u32,
    length: usize,
    cid: String,
}

#[derive(Deserialize)]
struct Folder {
    profile: String,
    count: u32,
    cid: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/unixfs.json")).expect("the vectors are JSON")
}

fn profile(name: &str) -> Profile {
    match name {
        "kubo" => Profile::KUBO,
        "v1_2025" => Profile::V1_2025,
        other => panic!("a vector of an unknown profile {other}"),
    }
}

/// Words of xorshift32, little-endian.
fn random(seed: u32, length: usize) -> Vec<u8> {
    let mut x = seed;
    let mut out = Vec::with_capacity(length + 4);
    while out.len() < length {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        out.extend_from_slice(&x.to_le_bytes());
    }
    out.truncate(length);
    out
}

fn import(profile: Profile, data: &[u8]) -> Imported {
    let add = || -> Result<Imported, Infallible> {
        let mut importer = Importer::new(profile);
        importer.push(data, &mut Nowhere)?;
        importer.finish(&mut Nowhere)
    };
    add().unwrap()
}

#[test]
fn files_are_named_as_helia_names_them() {
    let files = vectors().files;
    assert_eq!(files.len(), 20);
    for file in files {
        let imported = import(profile(&file.profile), &random(file.seed, file.length));
        assert_eq!(
            imported.cid.to_string(),
            file.cid,
            "{} {}",
            file.profile,
            file.length
        );
        assert_eq!(imported.size, file.length as u64);
    }
}

#[test]
fn folders_are_named_as_helia_names_them() {
    let folders = vectors().folders;
    assert_eq!(folders.len(), 8);
    for folder in folders {
        let profile = profile(&folder.profile);
        let entry = |name: String, made: Imported| Entry {
            name,
            cid: made.cid,
            tsize: made.cumulative,
        };
        let files = (0..folder.count).map(|n| {
            let data = random(n + 1, (n % 7) as usize);
            entry(format!("file-{n}.txt"), import(profile, &data))
        });
        let inner = directory(profile.v0, files.collect(), &mut Nowhere).unwrap();
        let outer = directory(profile.v0, vec![entry("a".into(), inner)], &mut Nowhere).unwrap();
        assert_eq!(
            outer.cid.to_string(),
            folder.cid,
            "{} {}",
            folder.profile,
            folder.count
        );
    }
}
