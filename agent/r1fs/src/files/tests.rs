use std::sync::Mutex;

use bytes::Bytes;
use futures::StreamExt as _;
use tempfile::TempDir;

use super::*;
use crate::{
    Files,
    api::{ByteStream, DeleteOptions, SealOptions},
    exchange::{Alone, Missing, Session},
    seal::segments::SEGMENTED_FROM,
    store,
    unixfs::links_of,
};

struct Fixture {
    dir: TempDir,
    files: NodeFiles,
}

fn fixture(exchange: Arc<dyn Exchange>) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let options = store::Options {
        index_bytes: 256 << 20,
        ..store::Options::default()
    };
    let clock: Clock = Arc::new(|| 1_000);
    let links = |cid: &Cid, data: &Bytes| links_of(cid, data).unwrap_or_default();
    let store = Store::open(dir.path(), options, Arc::clone(&clock), links).unwrap();
    let counter = Mutex::new(0u8);
    let parts = Parts {
        store,
        exchange,
        replicas: Arc::new(OneCopy),
        clock,
        randomness: Arc::new(move |bytes| {
            let mut counter = counter.lock().unwrap();
            *counter += 1;
            bytes.fill(*counter);
        }),
        identity: Arc::new(|| Identity {
            id: "id".into(),
            public_key: String::new(),
            addresses: vec![],
            agent_version: String::new(),
            protocols: vec![],
        }),
    };
    Fixture {
        dir,
        files: NodeFiles::new(parts, Options::default()),
    }
}

fn stream_of(data: &[u8]) -> ByteStream {
    let pieces: Vec<_> = data
        .chunks(300_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    futures::stream::iter(pieces).boxed()
}

fn named(filename: &str) -> SealOptions {
    SealOptions {
        filename: filename.into(),
        ..SealOptions::default()
    }
}

async fn read(
    files: &NodeFiles,
    cid: &Cid,
    secret: Option<&str>,
    range: Option<std::ops::Range<u64>>,
) -> Result<(String, Vec<u8>), String> {
    let opened = files
        .open(&Caller::Operator, cid, secret, range)
        .await
        .map_err(|error| error.to_string())?;
    let pieces: Vec<_> = opened.content.collect().await;
    let mut all = Vec::new();
    for piece in pieces {
        all.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    Ok((opened.filename, all))
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 % 251) as u8).collect()
}

#[tokio::test]
async fn what_is_added_opens_with_its_secret_only() {
    let fixture = fixture(Arc::new(Alone));
    for length in [0, 1, 262_144, 5 << 20] {
        let data = content(length);
        let options = SealOptions {
            secret: Some("s".into()),
            ..named("a.bin")
        };
        let added = fixture
            .files
            .add(&Caller::Operator, options, stream_of(&data))
            .await
            .unwrap();
        assert_eq!(added.size, length as u64);
        let (name, found) = read(&fixture.files, &added.cid, Some("s"), None).await.unwrap();
        assert_eq!(
            (name.as_str(), found.len(), found == data),
            ("a.bin", length, true)
        );
        let wrong = read(&fixture.files, &added.cid, Some("t"), None)
            .await
            .unwrap_err();
        assert!(
            wrong.contains("wrong secret") && wrong.contains(&added.cid.to_string()),
            "{wrong}"
        );
        let part = read(&fixture.files, &added.cid, Some("s"), Some(10..1 << 20))
            .await
            .unwrap()
            .1;
        assert_eq!(part, data.get(10..length.min(1 << 20)).unwrap_or_default());
    }
}

#[tokio::test]
async fn large_contents_are_sealed_in_segments_whatever_is_known_of_their_length() {
    let fixture = fixture(Arc::new(Alone));
    let data = content(usize::try_from(SEGMENTED_FROM).unwrap() + 5);
    let mut names = Vec::new();
    for length in [
        None,
        Some((data.len() as u64, data.len() as u64)),
        Some((0, 1 << 40)),
        Some((SEGMENTED_FROM, 1 << 40)),
    ] {
        let options = SealOptions {
            nonce: Some(7),
            length,
            ..named("m")
        };
        let added = fixture
            .files
            .add(&Caller::Operator, options.clone(), stream_of(&data))
            .await
            .unwrap();
        assert_eq!(
            fixture.files.calculate(options, stream_of(&data)).await.unwrap(),
            added.cid
        );
        names.push(added.cid);
    }
    assert!(names.iter().all(|name| *name == names[0]));
    let range = 30_000_000..30_600_000u64;
    let part = read(&fixture.files, &names[0], None, Some(range.clone()))
        .await
        .unwrap()
        .1;
    assert_eq!(part, &data[30_000_000..30_600_000]);
    let all = read(&fixture.files, &names[0], None, None).await.unwrap().1;
    assert!(all == data);
    assert!(
        read(&fixture.files, &names[0], Some("x"), None)
            .await
            .unwrap_err()
            .contains("wrong secret")
    );
}

#[tokio::test]
async fn contents_below_the_threshold_keep_upstreams_form_whatever_is_known_of_their_length() {
    let fixture = fixture(Arc::new(Alone));
    let mut names = Vec::new();
    for length in [None, Some((9, 9)), Some((0, 100)), Some((0, 1 << 40))] {
        let options = SealOptions {
            nonce: Some(7),
            length,
            ..named("m")
        };
        names.push(
            fixture
                .files
                .calculate(options, stream_of(b"123456789"))
                .await
                .unwrap(),
        );
    }
    assert!(names.iter().all(|name| *name == names[0]));
}

#[tokio::test]
async fn names_are_reproducible_with_a_nonce_only_and_known() {
    let fixture = fixture(Arc::new(Alone));
    let json = br#"{"name":"test","nested":{"key":"value"},"value":123}"#;
    let options = SealOptions {
        secret: Some("test-secret".into()),
        nonce: Some(1),
        ..named("test.json")
    };
    let cid = fixture.files.calculate(options, stream_of(json)).await.unwrap();
    assert_eq!(cid.to_string(), "QmdNA9YKmvvQk7JacJYAxnVEVz2bSXUijnMqpna31FZXPG");
    let first = fixture
        .files
        .add(&Caller::Operator, named("x"), stream_of(json))
        .await
        .unwrap();
    let second = fixture
        .files
        .add(&Caller::Operator, named("x"), stream_of(json))
        .await
        .unwrap();
    assert_ne!(first.cid, second.cid);
}

#[tokio::test]
async fn a_broken_upload_stores_nothing_that_stays() {
    let fixture = fixture(Arc::new(Alone));
    let pieces = vec![
        Ok(Bytes::from(content(600_000))),
        Err(std::io::Error::other("cut")),
    ];
    let error = fixture
        .files
        .add(
            &Caller::Operator,
            named("x"),
            futures::stream::iter(pieces).boxed(),
        )
        .await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("600000") && error.contains("nothing was stored"),
        "{error}"
    );
    fixture.files.collect(Some(Duration::ZERO)).await.unwrap();
    let usage = fixture.files.store().usage();
    assert_eq!((usage.blocks, usage.promised), (0, 0));
    assert!(fixture.files.pins(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn deleting_lets_go_and_collects_when_told_to() {
    let fixture = fixture(Arc::new(Alone));
    let container = Caller::Container("c".into());
    let options = SealOptions {
        nonce: Some(1),
        ..named("x")
    };
    let cid = fixture
        .files
        .add(&Caller::Operator, options.clone(), stream_of(b"data"))
        .await
        .unwrap()
        .cid;
    fixture
        .files
        .add(&container, options, stream_of(b"data"))
        .await
        .unwrap();
    let now = DeleteOptions {
        unpin_remote: true,
        run_gc: true,
    };
    fixture.files.delete(&Caller::Operator, &cid, now).await.unwrap();
    assert!(
        read(&fixture.files, &cid, None, None).await.is_ok(),
        "the container still keeps it"
    );
    fixture.files.delete(&container, &cid, now).await.unwrap();
    let error = read(&fixture.files, &cid, None, None).await.unwrap_err();
    assert!(
        error.contains("not found") && error.contains(&cid.to_string()),
        "{error}"
    );
}

/// Another node's store as an exchange.
struct Other(Store);

#[async_trait]
impl Exchange for Other {
    async fn session(&self, _: &Cid) -> Arc<dyn Session> {
        Arc::new(Other(self.0.clone()))
    }
}

#[async_trait]
impl Session for Other {
    async fn get(&self, cid: &Cid) -> Result<Bytes, Missing> {
        let found = self.0.get(cid).unwrap();
        found.ok_or(Missing {
            cid: *cid,
            asked: vec!["other".into()],
        })
    }

    fn asked(&self) -> Vec<String> {
        vec!["other".into()]
    }
}

#[tokio::test]
async fn objects_are_read_from_another_node_and_healed_from_it() {
    let origin = fixture(Arc::new(Alone));
    let data = content(3 << 20);
    let cid = origin
        .files
        .add(&Caller::Operator, named("x"), stream_of(&data))
        .await
        .unwrap()
        .cid;
    let reader = fixture(Arc::new(Other(origin.files.store().clone())));
    assert!(read(&reader.files, &cid, None, None).await.unwrap().1 == data);
    reader
        .files
        .pin(&Caller::Operator, &cid, Change::Pin(None), |_| {})
        .await
        .unwrap();
    let stat = reader.files.stat(&cid).await.unwrap();
    assert_eq!((stat.kind, stat.here, stat.pins.len()), ("file", true, 1));
    let folder = reader.dir.path().join("blocks");
    let shard = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| !path.ends_with("tmp"))
        .unwrap();
    let file = std::fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file, b"rot").unwrap();
    let (verified, healed) = reader.files.verify(true).await.unwrap();
    assert_eq!((verified.damaged.len(), healed), (1, 1));
    assert!(reader.files.verify(false).await.unwrap().0.damaged.is_empty());
}

async fn bytes_of(stream: ByteStream) -> Vec<u8> {
    let pieces: Vec<_> = stream.collect().await;
    pieces.into_iter().flat_map(|piece| piece.unwrap()).collect()
}

#[tokio::test]
async fn archives_carry_objects_and_lies_in_them_pin_nothing() {
    let origin = fixture(Arc::new(Alone));
    let data = content(1 << 20);
    let added = origin
        .files
        .add_plain(&Caller::Operator, stream_of(&data))
        .await
        .unwrap();
    let archive = bytes_of(origin.files.export_archive(&added.cid)).await;
    let other = fixture(Arc::new(Alone));
    let imported = other
        .files
        .import_archive(&Caller::Operator, stream_of(&archive))
        .await
        .unwrap();
    assert_eq!(
        (imported.roots, imported.blocks),
        (vec![added.cid.to_string()], 5)
    );
    let (size, stream) = other.files.cat(&added.cid).await.unwrap();
    assert_eq!((size, bytes_of(stream).await == data), (1 << 20, true));
    for (what, bytes) in [
        ("cut off", archive[..archive.len() - 1].to_vec()),
        ("another hash", [&archive[..archive.len() - 1], b"x"].concat()),
        (
            "none of 0 peers",
            archive[..archive.len() - 262_158 - 37].to_vec(),
        ),
    ] {
        let third = fixture(Arc::new(Alone));
        let error = third
            .files
            .import_archive(&Caller::Operator, stream_of(&bytes))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(what), "{what}: {error}");
        assert!(third.files.pins(None, 9).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_content_of_another_length_than_announced_is_refused() {
    let fixture = fixture(Arc::new(Alone));
    for length in [(0, 8), (10, 10), (SEGMENTED_FROM, 1 << 40)] {
        let options = SealOptions {
            length: Some(length),
            ..named("m")
        };
        let error = fixture
            .files
            .add(&Caller::Operator, options, stream_of(b"123456789"))
            .await;
        assert!(error.unwrap_err().to_string().contains("9 bytes came"));
    }
    assert!(fixture.files.pins(None, 9).await.unwrap().is_empty());
}
