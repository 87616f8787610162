//! CAR archives in and out.

use std::{collections::HashSet, io};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{NodeFiles, label, read::broken};
use crate::{
    Block, Cid,
    api::{ByteStream, Caller, FilesError},
    car::{self, Decoder},
    fetch,
    store::{Pin, PinChange, StoreError},
};

/// Blocks of an archive that wait to be stored.
const BLOCKS: usize = 64;

/// What came out of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedArchive {
    /// Its roots; each is pinned.
    pub roots: Vec<String>,
    /// Blocks in it.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl NodeFiles {
    /// Stores the blocks of an archive and pins its roots. What the archive lacks below a root is fetched from peers.
    ///
    /// # Errors
    /// [`FilesError::Invalid`] for an archive that lies, [`FilesError::BrokenOff`], [`FilesError::NotFound`] for what
    /// it lacks and nobody has; no root is pinned then.
    pub async fn import_archive(
        &self,
        caller: &Caller,
        mut content: ByteStream,
    ) -> Result<ImportedArchive, FilesError> {
        let (sender, mut receiver) = mpsc::channel::<Block>(BLOCKS);
        let store = self.parts.store.clone();
        let writer = tokio::task::spawn_blocking(move || -> Result<_, StoreError> {
            let mut batch = store.batch();
            while let Some(block) = receiver.blocking_recv() {
                let links = store.links(&block.cid, &block.data);
                batch.put(&block, &links)?;
            }
            Ok(batch)
        });
        let decoded = decode(&mut content, &sender).await;
        drop(sender);
        let batch = writer
            .await
            .map_err(|error| FilesError::Fault(error.to_string()))?;
        // Kept until the roots are pinned: nothing of it is collected meanwhile.
        let batch = batch?;
        let ended = tokio::task::spawn_blocking(move || batch.commit(vec![], vec![])).await;
        let (roots, blocks, bytes) = decoded?;
        ended.map_err(|error| FilesError::Fault(error.to_string()))??;
        for root in &roots {
            let pin = PinChange {
                root: *root,
                label: label(caller),
                pin: Some(Pin {
                    created_ms: (self.parts.clock)(),
                    expires_ms: None,
                }),
            };
            let session = self.parts.exchange.session(root).await;
            let (store, limits) = (&self.parts.store, self.options.fetch);
            let complete = fetch::fetch(store, &session, root, limits, vec![pin], vec![], |_| {}).await?;
            self.parts.replicas.added(root, complete.bytes).await?;
        }
        Ok(ImportedArchive {
            roots: roots.iter().map(Cid::to_string).collect(),
            blocks,
            bytes,
        })
    }

    /// All that a root refers to as an archive, each block once, parents before children.
    pub fn export_archive(&self, root: &Cid) -> ByteStream {
        let source = self.source(root);
        let store = self.parts.store.clone();
        let header = stream::iter([Ok(car::header(&[*root]))]);
        let state = (source, store, vec![*root], HashSet::from([*root]));
        let sections = stream::try_unfold(state, |(source, store, mut waiting, mut seen)| async move {
            let Some(cid) = waiting.pop() else { return Ok(None) };
            let data = source.get(&cid).await.map_err(broken)?;
            let links = store.links(&cid, &data);
            waiting.extend(links.into_iter().rev().filter(|link| seen.insert(*link)));
            let pieces: [io::Result<Bytes>; 2] = [Ok(car::section(&cid, data.len())), Ok(data)];
            Ok::<_, io::Error>(Some((stream::iter(pieces), (source, store, waiting, seen))))
        });
        header.chain(flatten(sections)).boxed()
    }
}

fn flatten<S, I>(sections: S) -> impl futures::Stream<Item = io::Result<Bytes>> + Send
where
    S: futures::Stream<Item = io::Result<I>> + Send,
    I: futures::Stream<Item = io::Result<Bytes>> + Send,
{
    sections.flat_map(|section| match section {
        Ok(pieces) => pieces.left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}

async fn decode(
    content: &mut ByteStream,
    blocks: &mpsc::Sender<Block>,
) -> Result<(Vec<Cid>, u64, u64), FilesError> {
    let mut decoder = Decoder::default();
    let invalid = |error: car::CarError| FilesError::Invalid(error.to_string());
    let (mut received, mut count, mut bytes) = (0u64, 0u64, 0u64);
    while let Some(piece) = content.next().await {
        let piece = piece.map_err(|source| FilesError::BrokenOff {
            bytes: received,
            source,
        })?;
        received += piece.len() as u64;
        decoder.feed(&piece);
        while let Some(block) = decoder.next_block().map_err(invalid)? {
            count += 1;
            bytes += block.data.len() as u64;
            let sent = blocks.send(block).await;
            // A closed channel means that the store refuses, which the caller hears from it.
            if sent.is_err() {
                return Err(FilesError::Fault(
                    "the store refused a block of the archive".into(),
                ));
            }
        }
    }
    Ok((decoder.finish().map_err(invalid)?, count, bytes))
}
