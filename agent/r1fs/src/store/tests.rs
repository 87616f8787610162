use std::sync::atomic::AtomicU64;

use tempfile::TempDir;

use super::*;
use crate::{
    Block,
    cid::{DAG_PB, RAW, v1},
};

/// A toy node: `>` and then the digests of its links.
fn toy_links(_: &Cid, data: &Bytes) -> Vec<Cid> {
    let Some(links) = data.strip_prefix(b">") else {
        return Vec::new();
    };
    links
        .chunks(32)
        .map(|digest| crate::cid::of_digest(digest.try_into().unwrap()))
        .collect()
}

fn node(children: &[&Block]) -> (Block, Vec<Cid>) {
    let mut data = b">".to_vec();
    for child in children {
        data.extend_from_slice(child.cid.hash().digest());
    }
    let block = Block {
        cid: v1(DAG_PB, &data),
        data: data.into(),
    };
    (block, children.iter().map(|child| child.cid).collect())
}

fn raw(data: impl Into<Bytes>) -> Block {
    let data = data.into();
    Block {
        cid: v1(RAW, &data),
        data,
    }
}

fn large(seed: u8) -> Block {
    raw(vec![seed; 100_000])
}

struct Fixture {
    dir: TempDir,
    now: Arc<AtomicU64>,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(1_000_000));
        let store = open(&dir, &now, options);
        Self { dir, now, store }
    }

    fn reopen(self) -> Self {
        let Self { dir, now, store } = self;
        drop(store);
        // The commit thread lets go of the index a moment after the last handle.
        let store = open(&dir, &now, Options::default());
        Self { dir, now, store }
    }

    fn advance(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    fn collect(&self) -> Collected {
        self.store.collect(1000, |_| true).unwrap()
    }

    fn pin(&self, root: &Cid, label: &str, expires_ms: Option<u64>) {
        self.store
            .change(vec![pinned(root, label, expires_ms)], vec![])
            .unwrap();
    }

    fn unpin(&self, root: &Cid, label: &str) {
        let change = PinChange {
            root: *root,
            label: label.into(),
            pin: None,
        };
        self.store.change(vec![change], vec![]).unwrap();
    }
}

fn open(dir: &TempDir, now: &Arc<AtomicU64>, options: Options) -> Store {
    let clock = Arc::clone(now);
    let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
    for _ in 0..100 {
        match Store::open(
            dir.path(),
            Options {
                index_bytes: 64 << 20,
                ..options
            },
            Arc::clone(&clock),
            toy_links,
        ) {
            Err(StoreError::Index(heed::Error::EnvAlreadyOpened)) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            store => return store.unwrap(),
        }
    }
    panic!("the index stays open");
}

fn pinned(root: &Cid, label: &str, expires_ms: Option<u64>) -> PinChange {
    PinChange {
        root: *root,
        label: label.into(),
        pin: Some(Pin {
            created_ms: 0,
            expires_ms,
        }),
    }
}

fn add(store: &Store, blocks: &[(&Block, &[Cid])], pins: Vec<PinChange>) {
    let mut batch = store.batch();
    for (block, links) in blocks {
        batch.put(block, links).unwrap();
    }
    batch.commit(pins, vec![]).unwrap();
}

#[test]
fn small_and_large_blocks_survive_a_restart() {
    let fixture = Fixture::new();
    let (small, large) = (raw("small"), large(7));
    add(&fixture.store, &[(&small, &[]), (&large, &[])], vec![]);
    let fixture = fixture.reopen();
    assert_eq!(fixture.store.get(&small.cid).unwrap(), Some(small.data.clone()));
    assert_eq!(fixture.store.get(&large.cid).unwrap(), Some(large.data.clone()));
    assert_eq!(fixture.store.size(&large.cid).unwrap(), Some(100_000));
    let usage = fixture.store.usage();
    assert_eq!((usage.blocks, usage.bytes, usage.promised), (2, 100_005, 0));
}

#[test]
fn a_collection_removes_exactly_what_nothing_refers_to() {
    let fixture = Fixture::new();
    let (a, b, shared) = (large(1), large(2), raw("shared"));
    let (first, first_links) = node(&[&a, &shared]);
    let (second, second_links) = node(&[&b, &shared, &shared]);
    add(
        &fixture.store,
        &[
            (&a, &[]),
            (&b, &[]),
            (&shared, &[]),
            (&first, &first_links),
            (&second, &second_links),
        ],
        vec![
            pinned(&first.cid, "user", None),
            pinned(&second.cid, "user", None),
        ],
    );
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 0);
    fixture.unpin(&second.cid, "user");
    assert_eq!(
        fixture.collect().blocks,
        0,
        "the grace period begins when the pin goes"
    );
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 2);
    assert!(fixture.store.get(&b.cid).unwrap().is_none());
    assert!(fixture.store.get(&shared.cid).unwrap().is_some());
    assert!(
        !fixture
            .store
            .inner
            .folder
            .path_of(&digest_of(&b.cid).unwrap())
            .exists()
    );
    fixture.unpin(&first.cid, "user");
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 3);
    assert_eq!(fixture.store.usage().bytes, 0);
}

#[test]
fn a_root_stays_while_one_of_its_pins_does() {
    let fixture = Fixture::new();
    let block = raw("x");
    add(
        &fixture.store,
        &[(&block, &[])],
        vec![
            pinned(&block.cid, "user", None),
            pinned(&block.cid, "replica", Some(1_500_000)),
        ],
    );
    fixture.unpin(&block.cid, "user");
    fixture.unpin(&block.cid, "user");
    fixture.advance(100_000);
    assert_eq!(fixture.collect().blocks, 0);
    assert_eq!(fixture.store.pins_of(&block.cid).unwrap().len(), 1);
    fixture.advance(500_000);
    assert_eq!(fixture.collect().expired_pins, 1);
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 1);
    assert!(fixture.store.pins(None, 10).unwrap().is_empty());
}

#[test]
fn an_expiry_can_be_prolonged() {
    let fixture = Fixture::new();
    let block = raw("x");
    add(
        &fixture.store,
        &[(&block, &[])],
        vec![pinned(&block.cid, "user", Some(1_000_001))],
    );
    fixture.pin(&block.cid, "user", Some(9_000_000));
    fixture.advance(1_000_000);
    assert_eq!(fixture.collect(), Collected::default());
}

#[test]
fn what_is_being_written_or_read_is_not_collected() {
    let fixture = Fixture::new();
    let (old, new) = (large(3), large(4));
    add(&fixture.store, &[(&old, &[])], vec![]);
    fixture.advance(10_000);
    let mut batch = fixture.store.batch();
    assert!(!batch.put(&old, &[]).unwrap());
    assert!(batch.put(&new, &[]).unwrap());
    batch.flush().unwrap();
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 0);
    batch
        .commit(vec![pinned(&old.cid, "user", None)], vec![])
        .unwrap();
    let guard = fixture.store.guard(&new.cid);
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 0);
    drop(guard);
    assert_eq!(fixture.collect().blocks, 1);
    assert!(fixture.store.get(&old.cid).unwrap().is_some());
}

#[test]
fn many_blocks_in_use_do_not_hide_what_can_go() {
    let fixture = Fixture::new();
    let mut batch = fixture.store.batch();
    for number in 0..600u32 {
        batch.put(&raw(number.to_be_bytes().to_vec()), &[]).unwrap();
    }
    batch.flush().unwrap();
    let last = raw("zzz");
    add(&fixture.store, &[(&last, &[])], vec![]);
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 1);
    drop(batch);
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 600);
}

#[test]
fn a_dropped_batch_keeps_what_came_for_the_grace_period_and_leaves_no_promise() {
    let fixture = Fixture::new();
    let block = large(5);
    let mut batch = fixture.store.batch();
    batch.put(&block, &[]).unwrap();
    drop(batch);
    assert!(fixture.store.get(&block.cid).unwrap().is_some());
    assert_eq!(fixture.store.usage().promised, 0);
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 1);
}

#[test]
fn a_damaged_or_missing_file_is_found_and_can_be_stored_again() {
    let fixture = Fixture::new();
    let (a, b) = (large(1), large(2));
    add(
        &fixture.store,
        &[(&a, &[]), (&b, &[])],
        vec![pinned(&a.cid, "user", None), pinned(&b.cid, "user", None)],
    );
    let path = |block: &Block| {
        fixture
            .store
            .inner
            .folder
            .path_of(&digest_of(&block.cid).unwrap())
    };
    std::fs::write(path(&a), b"rot").unwrap();
    std::fs::remove_file(path(&b)).unwrap();
    let found = fixture.store.verify(|_| true).unwrap();
    assert_eq!(found.damaged.len(), 2);
    let found = fixture.store.verify(|_| true).unwrap();
    assert_eq!((found.absent.len(), found.damaged.len()), (2, 0));
    assert_eq!(fixture.store.get(&a.cid).unwrap(), None);
    add(&fixture.store, &[(&a, &[]), (&b, &[])], vec![]);
    assert_eq!(fixture.store.verify(|_| true).unwrap().sound, 2);
    fixture.advance(10_000);
    assert_eq!(fixture.collect().blocks, 0, "the pins still count");
}

#[test]
fn the_quota_refuses_before_anything_is_written_and_takes_nothing_from_others() {
    let fixture = Fixture::with(Options {
        quota: 150_000,
        ..Options::default()
    });
    let (a, b) = (large(1), large(2));
    add(&fixture.store, &[(&a, &[])], vec![pinned(&a.cid, "user", None)]);
    let mut batch = fixture.store.batch();
    let error = batch.put(&b, &[]).unwrap_err().to_string();
    assert!(
        error.contains("150000") && error.contains("r1fs.quota"),
        "{error}"
    );
    drop(batch);
    assert_eq!(fixture.store.usage().promised, 0);
    assert!(fixture.store.get(&a.cid).unwrap().is_some());
    add(&fixture.store, &[(&a, &[])], vec![]);
}

#[test]
fn a_full_index_fails_the_batch_and_nothing_else() {
    let fixture = Fixture::new();
    let kept = raw("kept");
    add(&fixture.store, &[(&kept, &[])], vec![]);
    let mut batch = fixture.store.batch();
    let mut failed = None;
    for number in 0..8000u32 {
        let mut data = vec![0; 15_000];
        data[..4].copy_from_slice(&number.to_be_bytes());
        if let Err(error) = batch.put(&raw(data), &[]) {
            failed = Some(error);
            break;
        }
    }
    let error = failed.unwrap_or_else(|| batch.commit(vec![], vec![]).unwrap_err());
    assert!(matches!(error, StoreError::IndexFull { .. }), "{error}");
    assert_eq!(fixture.store.get(&kept.cid).unwrap(), Some(kept.data));
}

#[test]
fn strangers_from_a_crash_are_removed_and_known_files_stay() {
    let fixture = Fixture::new();
    let (known, stranger) = (large(1), large(2));
    add(&fixture.store, &[(&known, &[])], vec![]);
    fixture
        .store
        .inner
        .folder
        .write(&digest_of(&stranger.cid).unwrap(), &stranger.data)
        .unwrap();
    assert_eq!(fixture.store.remove_strangers().unwrap(), 1);
    assert!(fixture.store.get(&known.cid).unwrap().is_some());
}

#[test]
fn records_change_together_with_pins() {
    let fixture = Fixture::new();
    let block = raw("x");
    let mut batch = fixture.store.batch();
    batch.put(&block, &[]).unwrap();
    batch
        .commit(
            vec![pinned(&block.cid, "user", None)],
            vec![(b"r/1".to_vec(), Some(b"one".to_vec()))],
        )
        .unwrap();
    let bad = fixture.store.change(
        vec![PinChange {
            root: block.cid,
            label: "a\0b".into(),
            pin: None,
        }],
        vec![(b"r/1".to_vec(), None)],
    );
    assert!(matches!(bad, Err(StoreError::Label { .. })));
    assert_eq!(
        fixture.store.record(b"r/1").unwrap().as_deref(),
        Some(b"one".as_slice())
    );
    assert_eq!(fixture.store.records(b"r/").unwrap().len(), 1);
}

#[test]
fn many_threads_share_commits_and_lose_nothing() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let store = fixture.store.clone();
            scope.spawn(move || {
                for number in 0..25u32 {
                    let block = raw(format!("{thread}/{number}"));
                    add(&store, &[(&block, &[])], vec![pinned(&block.cid, "user", None)]);
                }
            });
        }
    });
    let fixture = fixture.reopen();
    assert_eq!(fixture.store.usage().blocks, 200);
    assert_eq!(fixture.store.pins(None, 1000).unwrap().len(), 200);
}
