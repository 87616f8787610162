//! Bringing a whole DAG here: what is missing is fetched, what is here is not, and a cut loses only what was under way.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::mpsc;

use crate::{
    Block, Cid,
    cid::RAW,
    exchange::{Missing, Session},
    store::{PinChange, RecordChange, Store, StoreError},
};

/// Limits of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Blocks that are asked for at a time. Default 96: 24 MiB of the usual 256 KiB.
    pub window: usize,
    /// Most blocks of one DAG. Default 2^24: 4 TiB of the usual size.
    pub blocks: usize,
    /// Deepest DAG. Default 64; Kubo's importer makes 3 levels of 1 TiB.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 96,
            blocks: 1 << 24,
            depth: 64,
        }
    }
}

/// What was fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Blocks of the DAG.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of them that came from peers.
    pub received: u64,
    /// Blocks of them that came from peers.
    pub received_blocks: u64,
}

/// Why a DAG is not complete here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A block is nowhere.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The DAG is larger or deeper than allowed.
    #[error("{root}: {what}, at most {limit} are allowed")]
    Limit {
        /// The root.
        root: Cid,
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

/// Fetches all that a root refers to and makes it durable, together with pins and records.
///
/// What arrives is stored while the rest is on its way; after a failure or a cut it stays for the grace period, so
/// that the next try asks only for what is missing. Memory: the window, and 40 bytes for each block not yet asked for.
/// Cancel-safe. `progress` is told after each block.
///
/// # Errors
/// [`FetchError`] names the root or the block.
pub async fn fetch(
    store: &Store,
    session: &Arc<dyn Session>,
    root: &Cid,
    limits: Limits,
    pins: Vec<PinChange>,
    records: Vec<RecordChange>,
    mut progress: impl FnMut(&Fetched),
) -> Result<Fetched, FetchError> {
    let _guard = store.guard(root);
    let (blocks, writer) = writer(store.clone(), limits.window);
    let walked = walk(store, session, root, limits, &blocks, &mut progress).await;
    drop(blocks);
    let batch = writer.await.map_err(|_| StoreError::Closed)?;
    let batch = batch?;
    let end = move || match walked {
        Ok(walked) => Ok(batch.commit(pins, records).map(|()| walked)?),
        // Dropped here, off the runtime: it waits until what came is on disk.
        Err(error) => Err(error),
    };
    tokio::task::spawn_blocking(end)
        .await
        .map_err(|_| StoreError::Closed)?
}

type Batched = Result<crate::store::Batch, StoreError>;

/// A thread that puts what comes into a batch; its end gives the batch back.
fn writer(
    store: Store,
    window: usize,
) -> (mpsc::Sender<(Block, Vec<Cid>)>, tokio::task::JoinHandle<Batched>) {
    let (sender, mut receiver) = mpsc::channel::<(Block, Vec<Cid>)>(window.max(1));
    let task = tokio::task::spawn_blocking(move || {
        let mut batch = store.batch();
        while let Some((block, links)) = receiver.blocking_recv() {
            batch.put(&block, &links)?;
        }
        Ok(batch)
    });
    (sender, task)
}

struct Got {
    cid: Cid,
    depth: usize,
    data: Bytes,
    received: bool,
}

async fn walk(
    store: &Store,
    session: &Arc<dyn Session>,
    root: &Cid,
    limits: Limits,
    blocks: &mpsc::Sender<(Block, Vec<Cid>)>,
    progress: &mut impl FnMut(&Fetched),
) -> Result<Fetched, FetchError> {
    let mut fetched = Fetched::default();
    let mut seen = HashSet::from([*root]);
    let mut waiting = VecDeque::from([(*root, 0)]);
    let mut asked = FuturesUnordered::new();
    loop {
        while asked.len() < limits.window {
            let Some((cid, depth)) = waiting.pop_front() else {
                break;
            };
            asked.push(obtain(store, session, cid, depth));
        }
        let Some(got) = asked.next().await else {
            return Ok(fetched);
        };
        let got = got?;
        fetched.blocks += 1;
        fetched.bytes += got.data.len() as u64;
        let links = if got.cid.codec() == RAW {
            Vec::new()
        } else {
            store.links(&got.cid, &got.data)
        };
        let beyond = |what, limit| FetchError::Limit {
            root: *root,
            what,
            limit,
        };
        if !links.is_empty() && got.depth >= limits.depth {
            return Err(beyond("more levels of nodes", limits.depth));
        }
        // Children go first: depth before breadth keeps the list of what waits short.
        for link in links.iter().rev() {
            if seen.insert(*link) {
                waiting.push_front((*link, got.depth + 1));
            }
        }
        if seen.len() > limits.blocks {
            return Err(beyond("more blocks", limits.blocks));
        }
        if got.received {
            fetched.received += got.data.len() as u64;
            fetched.received_blocks += 1;
            let block = Block {
                cid: got.cid,
                data: got.data,
            };
            // A closed channel means that the writer failed; its end says why.
            if blocks.send((block, links)).await.is_err() {
                return Ok(fetched);
            }
        }
        progress(&fetched);
    }
}

/// A block from here, or from a peer. One that is damaged here is fetched again.
async fn obtain(
    store: &Store,
    session: &Arc<dyn Session>,
    cid: Cid,
    depth: usize,
) -> Result<Got, FetchError> {
    let local = {
        let store = store.clone();
        let look = move || match store.get(&cid) {
            Err(StoreError::Corrupt { .. }) => Ok(None),
            found => found,
        };
        tokio::task::spawn_blocking(look)
            .await
            .map_err(|_| StoreError::Closed)??
    };
    let received = local.is_none();
    let data = match local {
        Some(data) => data,
        None => session.get(&cid).await?,
    };
    Ok(Got {
        cid,
        depth,
        data,
        received,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        cid::{DAG_PB, v1},
        store::{Options, Pin},
    };

    #[derive(Default)]
    struct Peer {
        blocks: Mutex<HashMap<Cid, Bytes>>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Session for Peer {
        async fn get(&self, cid: &Cid) -> Result<Bytes, Missing> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            let found = self.blocks.lock().unwrap().get(cid).cloned();
            found.ok_or(Missing {
                cid: *cid,
                asked: vec!["peer".into()],
            })
        }

        fn asked(&self) -> Vec<String> {
            vec!["peer".into()]
        }
    }

    fn links(_: &Cid, data: &Bytes) -> Vec<Cid> {
        let Some(links) = data.strip_prefix(b">") else {
            return Vec::new();
        };
        links
            .chunks(33)
            .map(|link| {
                let digest = crate::cid::of_digest(link[1..].try_into().unwrap());
                Cid::new_v1(u64::from(link[0]), *digest.hash())
            })
            .collect()
    }

    impl Peer {
        fn put(&self, codec: u64, data: Vec<u8>) -> Cid {
            let cid = v1(codec, &data);
            self.blocks.lock().unwrap().insert(cid, data.into());
            cid
        }

        fn node(&self, children: &[Cid]) -> Cid {
            let mut data = b">".to_vec();
            for child in children {
                data.push(child.codec() as u8);
                data.extend_from_slice(child.hash().digest());
            }
            self.put(DAG_PB, data)
        }
    }

    fn store(dir: &tempfile::TempDir) -> Store {
        let options = Options {
            index_bytes: 64 << 20,
            ..Options::default()
        };
        Store::open(dir.path(), options, Arc::new(|| 1), links).unwrap()
    }

    async fn get(store: &Store, peer: &Arc<Peer>, root: &Cid, limits: Limits) -> Result<Fetched, FetchError> {
        let session: Arc<dyn Session> = peer.clone();
        let pin = PinChange {
            root: *root,
            label: "user".into(),
            pin: Some(Pin {
                created_ms: 0,
                expires_ms: None,
            }),
        };
        fetch(store, &session, root, limits, vec![pin], vec![], |_| {}).await
    }

    #[tokio::test]
    async fn a_dag_is_fetched_once_and_what_is_here_is_not_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (store, peer) = (store(&dir), Arc::new(Peer::default()));
        let leaves: Vec<_> = (0..300u32)
            .map(|n| peer.put(RAW, n.to_be_bytes().to_vec()))
            .collect();
        let inner: Vec<_> = leaves.chunks(100).map(|chunk| peer.node(chunk)).collect();
        let root = peer.node(&[inner[0], inner[1], inner[2], inner[0]]);
        let fetched = get(&store, &peer, &root, Limits::default()).await.unwrap();
        assert_eq!((fetched.blocks, peer.asked.load(Ordering::Relaxed)), (304, 304));
        assert_eq!(store.pins_of(&root).unwrap().len(), 1);
        let again = get(&store, &peer, &root, Limits::default()).await.unwrap();
        assert_eq!((again.received, peer.asked.load(Ordering::Relaxed)), (0, 304));
    }

    #[tokio::test]
    async fn after_a_failure_only_what_is_missing_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (store, peer) = (store(&dir), Arc::new(Peer::default()));
        let leaves: Vec<_> = (0..50u32).map(|n| peer.put(RAW, vec![n as u8; 20_000])).collect();
        let root = peer.node(&leaves);
        let lost = peer.blocks.lock().unwrap().remove(&leaves[49]).unwrap();
        let error = get(
            &store,
            &peer,
            &root,
            Limits {
                window: 1,
                ..Limits::default()
            },
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("peer") && error.to_string().contains(&leaves[49].to_string()));
        assert!(store.pins_of(&root).unwrap().is_empty());
        peer.blocks.lock().unwrap().insert(leaves[49], lost);
        peer.asked.store(0, Ordering::Relaxed);
        get(&store, &peer, &root, Limits::default()).await.unwrap();
        assert_eq!(peer.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn endless_dags_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (store, peer) = (store(&dir), Arc::new(Peer::default()));
        let mut deep = peer.put(RAW, b"end".to_vec());
        for _ in 0..100 {
            deep = peer.node(&[deep]);
        }
        let error = get(&store, &peer, &deep, Limits::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Limit { limit: 64, .. }), "{error}");
        let leaves: Vec<_> = (0..50u32).map(|n| peer.put(RAW, vec![n as u8])).collect();
        let error = get(
            &store,
            &peer,
            &peer.node(&leaves),
            Limits {
                blocks: 20,
                ..Limits::default()
            },
        )
        .await;
        assert!(matches!(error, Err(FetchError::Limit { limit: 20, .. })));
    }
}
