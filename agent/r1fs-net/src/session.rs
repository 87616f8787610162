//! Fetching blocks that belong together.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use libp2p::PeerId;
use r1_r1fs::{
    Cid,
    cid::{IDENTITY, MAX_IDENTITY},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    client::SessionId,
    error::FetchError,
    message::{Digest, digest},
};

/// Where a block goes.
pub(crate) type Waiter = oneshot::Sender<Result<Bytes, FetchError>>;

/// What sessions tell the network task. There are no more of them on their way than sessions and wants are allowed.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    Open {
        id: SessionId,
        candidates: Vec<PeerId>,
    },
    Close(SessionId),
    Want {
        id: SessionId,
        cid: Cid,
        waiter: u64,
        reply: Waiter,
    },
    Cancel {
        id: SessionId,
        digest: Digest,
        waiter: u64,
    },
}

/// A session; dropped, all that it waits for is cancelled at its peers.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    candidates: Vec<PeerId>,
    wants: mpsc::UnboundedSender<SessionCommand>,
    window: Semaphore,
    next_waiter: AtomicU64,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Tells the network task when nobody waits any more.
struct Waiting<'a> {
    session: &'a Session,
    digest: Digest,
    waiter: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let _ = self.session.wants.send(SessionCommand::Cancel {
            id: self.session.id,
            digest: self.digest,
            waiter: self.waiter,
        });
    }
}

impl Session {
    pub(crate) fn open(
        id: SessionId,
        candidates: Vec<PeerId>,
        wants: mpsc::UnboundedSender<SessionCommand>,
        window: usize,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let _ = wants.send(SessionCommand::Open {
            id,
            candidates: candidates.clone(),
        });
        Self {
            id,
            candidates,
            wants,
            window: Semaphore::new(window),
            next_waiter: AtomicU64::new(0),
            _permit: permit,
        }
    }

    /// The peers that it was opened with.
    pub fn candidates(&self) -> &[PeerId] {
        &self.candidates
    }

    /// One block; its bytes are checked against its name. Many calls at a time share the peers, up to the window of
    /// [`crate::Limits::window`]; further ones wait. Cancel-safe: dropped, the block is not waited for any more.
    ///
    /// # Errors
    /// [`FetchError::Missing`] with what each peer did once nobody is left to ask; [`FetchError::Hash`] for a name that
    /// is not sha2-256; [`FetchError::Closed`].
    pub async fn get(&self, cid: Cid) -> Result<Bytes, FetchError> {
        let hash = cid.hash();
        if hash.code() == IDENTITY && hash.digest().len() <= MAX_IDENTITY {
            return Ok(Bytes::copy_from_slice(hash.digest()));
        }
        let digest = digest(&cid).ok_or(FetchError::Hash { cid })?;
        let closed = || FetchError::Closed { cid };
        let _permit = self.window.acquire().await.map_err(|_| closed())?;
        let waiter = self.next_waiter.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let want = SessionCommand::Want {
            id: self.id,
            cid,
            waiter,
            reply,
        };
        self.wants.send(want).map_err(|_| closed())?;
        let waiting = Waiting {
            session: self,
            digest,
            waiter,
        };
        let got = answer.await.map_err(|_| closed())?;
        // Answered: there is nothing to cancel.
        std::mem::forget(waiting);
        got
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.wants.send(SessionCommand::Close(self.id));
    }
}
