//! Group commit: one thread makes what waits durable, many batches with one sync and one transaction.

use std::sync::{
    Arc, Condvar, Mutex, PoisonError, Weak,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use bytes::Bytes;

use super::{
    Inner,
    error::StoreError,
    index::{Change, Digest, Entry, Place},
    pins::PinChange,
};
use crate::Cid;

/// Batches that wait for the commit thread before those who make them wait.
const QUEUE: usize = 256;
/// Block files that wait for a writing thread before those who make them wait.
const WRITES: usize = 64;

/// A block of a batch.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) size: u32,
    /// Its bytes, if they go into the index.
    pub(super) inline: Option<Bytes>,
    /// True if this batch wrote its file.
    pub(super) written: bool,
    /// Digests of its links if it is a dag-pb node.
    pub(super) links: Option<Vec<Digest>>,
}

/// A record of a room above: its key, and its value unless it is removed.
pub type RecordChange = (Vec<u8>, Option<Vec<u8>>);

/// What becomes durable together.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) blocks: Vec<Stored>,
    pub(super) pins: Vec<PinChange>,
    pub(super) records: Vec<RecordChange>,
    pub(super) promised: u64,
}

pub(super) struct Job {
    pub(super) work: Work,
    pub(super) writes: Arc<Writes>,
    pub(super) done: SyncSender<Result<(), StoreError>>,
}

/// Files of one job that are still being written, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Writes {
    state: Mutex<(usize, Option<StoreError>)>,
    changed: Condvar,
}

impl Writes {
    fn begin(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
    }

    fn end(&self, result: Result<(), StoreError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 -= 1;
        if let Err(error) = result {
            state.1.get_or_insert(error);
        }
        self.changed.notify_all();
    }

    fn wait(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0 > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.1.take().map_or(Ok(()), Err)
    }
}

pub(super) struct WriteFile {
    digest: Digest,
    data: Bytes,
    writes: Arc<Writes>,
}

/// The threads of a store; they end when the store is dropped.
#[derive(Debug, Clone)]
pub(super) struct Threads {
    commits: SyncSender<Job>,
    files: SyncSender<WriteFile>,
}

/// What the threads take work from.
pub(super) struct Queues {
    commits: Receiver<Job>,
    files: Receiver<WriteFile>,
}

impl Threads {
    pub(super) fn new() -> (Self, Queues) {
        let (commits, commit_queue) = sync_channel(QUEUE);
        let (files, file_queue) = sync_channel(WRITES);
        let queues = Queues {
            commits: commit_queue,
            files: file_queue,
        };
        (Self { commits, files }, queues)
    }

    pub(super) fn write(&self, digest: Digest, data: Bytes, writes: &Arc<Writes>) -> Result<(), StoreError> {
        writes.begin();
        let job = WriteFile {
            digest,
            data,
            writes: Arc::clone(writes),
        };
        self.files.send(job).map_err(|_| {
            writes.end(Ok(()));
            StoreError::Closed
        })
    }

    pub(super) fn commit(&self, job: Job) -> Result<(), StoreError> {
        self.commits.send(job).map_err(|_| StoreError::Closed)
    }
}

/// Starts the threads. They hold the store weakly, so that dropping it ends them.
pub(super) fn spawn(inner: &Arc<Inner>, queues: Queues, writers: usize) -> std::io::Result<()> {
    let files = Arc::new(Mutex::new(queues.files));
    for number in 0..writers.max(1) {
        let (inner, files) = (Arc::downgrade(inner), Arc::clone(&files));
        std::thread::Builder::new()
            .name(format!("r1fs-write-{number}"))
            .spawn(move || write_files(&inner, &files))?;
    }
    let inner = Arc::downgrade(inner);
    std::thread::Builder::new()
        .name("r1fs-commit".into())
        .spawn(move || commit_batches(&inner, &queues.commits))?;
    Ok(())
}

fn write_files(inner: &Weak<Inner>, queue: &Mutex<Receiver<WriteFile>>) {
    loop {
        let received = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = received else { return };
        let result = match inner.upgrade() {
            Some(inner) => inner.folder.write(&job.digest, &job.data),
            None => Err(StoreError::Closed),
        };
        job.writes.end(result);
    }
}

fn commit_batches(inner: &Weak<Inner>, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let Some(inner) = inner.upgrade() else { return };
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter().take(QUEUE - 1));
        inner.commit_group(jobs);
    }
}

impl Inner {
    /// Makes a group durable, or each member by itself if the group as a whole cannot be.
    fn commit_group(&self, jobs: Vec<Job>) {
        let mut sound = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job.writes.wait() {
                Ok(()) => sound.push(job),
                Err(error) => self.answer(job, Err(error)),
            }
        }
        if sound.len() > 1 && self.make_durable(sound.iter().map(|job| &job.work)).is_ok() {
            for job in sound {
                self.answer(job, Ok(()));
            }
            return;
        }
        for job in sound {
            let result = self.make_durable(std::iter::once(&job.work));
            self.answer(job, result);
        }
    }

    fn answer(&self, job: Job, result: Result<(), StoreError>) {
        self.promised
            .fetch_sub(job.work.promised, std::sync::atomic::Ordering::Relaxed);
        // Whoever does not wait any more does not mind.
        let _ = job.done.send(result);
    }

    fn make_durable<'w>(&self, works: impl Iterator<Item = &'w Work> + Clone) -> Result<(), StoreError> {
        let files: Vec<Digest> = works
            .clone()
            .flat_map(|work| &work.blocks)
            .filter(|block| block.written)
            .map(|block| block.digest)
            .collect();
        self.folder.sync(&files)?;
        let now_ms = (self.clock)();
        let mut change = self.index.change()?;
        for work in works {
            for block in &work.blocks {
                apply(&mut change, block, now_ms)?;
            }
            for pin in &work.pins {
                change.pin(pin, now_ms)?;
            }
            for (key, value) in &work.records {
                change.record(key, value.as_deref())?;
            }
        }
        let totals = (change.bytes, change.count);
        change.commit()?;
        self.set_totals(totals);
        Ok(())
    }
}

fn apply(change: &mut Change<'_>, block: &Stored, now_ms: u64) -> Result<(), StoreError> {
    let mut entry = change.entry(&block.digest)?.unwrap_or(Entry::ABSENT);
    if !entry.is_here() {
        entry.size = block.size;
        entry.place = match &block.inline {
            Some(data) => {
                change.put_inline(&block.digest, data)?;
                Place::Inline
            }
            None if block.written => Place::File,
            // It was here when the batch looked and is not any more: only damage does that.
            None => {
                return Err(StoreError::Corrupt {
                    cid: crate::cid::of_digest(&block.digest),
                });
            }
        };
    }
    entry.touched_ms = now_ms;
    let link = block.links.as_ref().filter(|_| !entry.linked);
    entry.linked |= link.is_some();
    change.set(&block.digest, &entry)?;
    for child in link.into_iter().flatten() {
        change.refer(child, true)?;
    }
    Ok(())
}

/// The digests of links, without those that carry their data in themselves.
pub(super) fn digests(links: &[Cid]) -> Vec<Digest> {
    links.iter().filter_map(crate::cid::digest_of).collect()
}
