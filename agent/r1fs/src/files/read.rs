//! Reading the bytes of a UnixFS file, from here or from peers, a window ahead.

use std::{
    collections::HashSet,
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::{OnceCell, mpsc};

use super::{NodeFiles, recent::Recent};
use crate::{
    Block, Cid,
    api::{ByteStream, FilesError},
    exchange::{Exchange, Session},
    store::{Guard, Store, StoreError},
    unixfs::FileReader,
};

/// Blocks that are read ahead of what was given out.
const AHEAD: usize = 16;
/// Blocks from peers that wait to be stored.
const KEEP: usize = 64;

/// Blocks of one root: what is not here is asked for, and kept for the grace period.
pub(super) struct Source {
    root: Cid,
    store: Store,
    exchange: Arc<dyn Exchange>,
    session: OnceCell<Arc<dyn Session>>,
    keep: OnceCell<mpsc::Sender<Block>>,
    recent: Arc<Mutex<Recent>>,
    _guard: Guard,
}

impl Source {
    /// One block, checked.
    pub(super) async fn get(&self, cid: &Cid) -> Result<Bytes, FilesError> {
        let (store, name) = (self.store.clone(), *cid);
        let look = move || match store.get(&name) {
            Err(StoreError::Corrupt { .. }) => Ok(None),
            found => found,
        };
        let here = tokio::task::spawn_blocking(look).await;
        if let Some(data) = here.map_err(|error| FilesError::Fault(error.to_string()))?? {
            return Ok(data);
        }
        if let Some(data) = self.recent().get(cid) {
            return Ok(data);
        }
        let session = self
            .session
            .get_or_init(|| self.exchange.session(&self.root))
            .await;
        let data = session.get(cid).await?;
        self.recent().put(*cid, data.clone());
        let keep = self.keep.get_or_init(async || self.keeper()).await;
        // A store that is full or slow is no reason not to read.
        let _ = keep.try_send(Block {
            cid: *cid,
            data: data.clone(),
        });
        Ok(data)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeper(&self) -> mpsc::Sender<Block> {
        let (sender, mut receiver) = mpsc::channel::<Block>(KEEP);
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let mut batch = store.batch();
            while let Some(block) = receiver.blocking_recv() {
                let links = store.links(&block.cid, &block.data);
                if let Err(error) = batch.put(&block, &links) {
                    tracing::debug!(%error, "a block that was read is not kept");
                    return;
                }
            }
        });
        sender
    }
}

impl NodeFiles {
    /// The blocks below a root.
    pub(super) fn source(&self, root: &Cid) -> Arc<Source> {
        Arc::new(Source {
            root: *root,
            store: self.parts.store.clone(),
            exchange: Arc::clone(&self.parts.exchange),
            session: OnceCell::new(),
            keep: OnceCell::new(),
            recent: Arc::clone(&self.recent),
            _guard: self.parts.store.guard(root),
        })
    }
}

/// Reads a part of a file; its size, and its bytes in order.
pub(super) struct Reading {
    source: Arc<Source>,
    reader: FileReader,
    asked: HashSet<Cid>,
    under_way: FuturesUnordered<futures::future::BoxFuture<'static, (Cid, Result<Bytes, FilesError>)>>,
}

impl Reading {
    /// Begins; the root is read.
    pub(super) async fn begin(
        source: Arc<Source>,
        root: &Cid,
        range: Option<Range<u64>>,
    ) -> Result<Self, FilesError> {
        let mut reader = FileReader::new(*root, range);
        let data = source.get(root).await?;
        reader.feed(root, &data)?;
        Ok(Self {
            source,
            reader,
            asked: HashSet::new(),
            under_way: FuturesUnordered::new(),
        })
    }

    /// Bytes of the whole file.
    pub(super) fn size(&self) -> u64 {
        self.reader.size().unwrap_or_default()
    }

    /// The next bytes, `None` at the end of the range.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FilesError> {
        loop {
            for cid in self.reader.wanted(AHEAD) {
                if self.asked.insert(cid) {
                    let source = Arc::clone(&self.source);
                    let get = async move { (cid, source.get(&cid).await) };
                    self.under_way.push(Box::pin(get));
                }
            }
            if let Some(bytes) = self.reader.next_chunk() {
                return Ok(Some(bytes));
            }
            if self.reader.is_done() {
                return Ok(None);
            }
            let Some((cid, data)) = self.under_way.next().await else {
                return Err(FilesError::Fault("reading has lost a block".into()));
            };
            self.asked.remove(&cid);
            self.reader.feed(&cid, &data?)?;
        }
    }

    /// All that is left, for small files only.
    pub(super) async fn collect(mut self) -> Result<Vec<u8>, FilesError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

/// An error inside a stream of bytes.
pub(super) fn broken(error: FilesError) -> io::Error {
    // Whoever reads the stream may only see it end: the reason is for the log.
    tracing::warn!(%error, "a file cannot be read to its end");
    io::Error::other(error.to_string())
}

/// A reading as a stream, each piece passed through `change` with its place in the range.
pub(super) fn stream(
    reading: Reading,
    change: impl FnMut(u64, Bytes) -> Bytes + Send + 'static,
) -> ByteStream {
    let state = (reading, change, 0u64);
    let stream = futures::stream::try_unfold(state, |(mut reading, mut change, at)| async move {
        let Some(bytes) = reading.next().await.map_err(broken)? else {
            return Ok(None);
        };
        let next = at + bytes.len() as u64;
        let bytes = change(at, bytes);
        Ok(Some((bytes, (reading, change, next))))
    });
    stream.boxed()
}
