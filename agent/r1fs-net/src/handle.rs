//! What the application holds: a handle to the network task, sessions, and requests of others.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use libp2p::{Multiaddr, PeerId, request_response::ResponseChannel};
use r1_r1fs::Cid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::{
    NetError,
    config::{Config, MAX_BODY, MAX_SESSIONS},
    message::PROTOCOLS,
    session::{Session, SessionCommand},
};

/// What is connected and listened on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Connected peers.
    pub peers: Vec<PeerId>,
    /// Addresses that are listened on.
    pub listen: Vec<Multiaddr>,
}

/// What a peer asks of the application.
#[derive(Debug)]
pub struct Request {
    /// Who asks; its identity is proven by the handshake.
    pub peer: PeerId,
    /// What it asks, at most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Something that the application is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An announced peer asks something. Strangers' requests are refused before.
    Request(Request),
}

/// The place for one answer. Dropped, the peer is told that there is none.
#[derive(Debug)]
pub struct Reply {
    pub(crate) channel: ResponseChannel<Vec<u8>>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// Counts towards [`crate::MAX_PENDING_REPLIES`].
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Reply {
    /// Sends the answer, at most [`MAX_BODY`] bytes. A peer that is gone gets nothing and that is no error.
    /// Cancel-safe: dropped before it is sent, there is no answer.
    ///
    /// # Errors
    /// [`NetError::Setting`] for a longer answer; [`NetError::Closed`].
    pub async fn send(self, body: Vec<u8>) -> Result<(), NetError> {
        if body.len() > MAX_BODY {
            return Err(NetError::Setting {
                name: format!("answer of {} bytes", body.len()),
                reason: format!("at most {MAX_BODY} are allowed"),
            });
        }
        let channel = self.channel;
        let command = Command::Reply { channel, body };
        self.commands.send(command).await.map_err(|_| NetError::Closed)
    }
}

/// The answer to a command.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, NetError>>;

#[derive(Debug)]
pub(crate) enum Command {
    AddPeer {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        reply: Answer<()>,
    },
    Connect {
        address: Multiaddr,
        reply: Answer<PeerId>,
    },
    Provide {
        cid: Cid,
        reply: Answer<()>,
    },
    StopProviding(Cid),
    FindProviders {
        cid: Cid,
        reply: Answer<Vec<PeerId>>,
    },
    Request {
        peer: PeerId,
        body: Vec<u8>,
        reply: Answer<Vec<u8>>,
    },
    Reply {
        channel: ResponseChannel<Vec<u8>>,
        body: Vec<u8>,
    },
    Shutdown,
}

/// A handle to the network task. Clones share it.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) wants: mpsc::UnboundedSender<SessionCommand>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) local: PeerId,
    pub(crate) protocols: Arc<[String]>,
    pub(crate) sessions: Arc<Semaphore>,
    pub(crate) next_session: Arc<AtomicU64>,
    pub(crate) window: usize,
}

/// Stream protocols of a node, for those who ask.
pub(crate) fn protocols(config: &Config) -> Arc<[String]> {
    let mut names: Vec<String> = PROTOCOLS.map(String::from).into();
    names.extend(["/ipfs/id/1.0.0".into(), "/ipfs/id/push/1.0.0".into()]);
    names.extend(["/ipfs/ping/1.0.0".into(), config.kad_protocol.clone()]);
    names.push(config.request_protocol());
    names.into()
}

impl Handle {
    /// The semaphore of sessions.
    pub(crate) fn sessions() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MAX_SESSIONS))
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, NetError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| NetError::Closed)?;
        answer.await.map_err(|_| NetError::Closed)?
    }

    /// Who this node is.
    pub fn local_peer_id(&self) -> PeerId {
        self.local
    }

    /// The stream protocols that this node speaks.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// Connected peers.
    pub fn peers(&self) -> Vec<PeerId> {
        self.state.borrow().peers.clone()
    }

    /// Addresses that are listened on, with the real ports.
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.state.borrow().listen.clone()
    }

    /// Waits until the state fulfils a condition. Cancel-safe.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn wait(&self, condition: impl FnMut(&State) -> bool) -> Result<State, NetError> {
        let mut state = self.state.clone();
        let reached = state.wait_for(condition).await;
        reached.map(|state| state.clone()).map_err(|_| NetError::Closed)
    }

    /// Announces a peer: it may connect and send requests, and it is dialled at these addresses (besides those of
    /// earlier calls) when something is asked of it. Does not connect by itself.
    ///
    /// # Errors
    /// [`NetError::Refused`] beyond [`crate::MAX_KNOWN_PEERS`]; [`NetError::Closed`].
    pub async fn add_peer(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), NetError> {
        self.ask(|reply| Command::AddPeer {
            peer,
            addresses,
            reply,
        })
        .await
    }

    /// Connects to an address; `/p2p/…` at its end is honoured. Returns who answered.
    ///
    /// # Errors
    /// [`NetError::Dial`] says what the transport said; [`NetError::Closed`].
    pub async fn connect(&self, address: Multiaddr) -> Result<PeerId, NetError> {
        self.ask(|reply| Command::Connect { address, reply }).await
    }

    /// Tells the table of providers that this node has a block. Returns when the record is at its peers, or kept here
    /// only because there are none.
    ///
    /// # Errors
    /// [`NetError::Record`]; [`NetError::Closed`].
    pub async fn provide(&self, cid: Cid) -> Result<(), NetError> {
        self.ask(|reply| Command::Provide { cid, reply }).await
    }

    /// Stops telling so. Records at peers end by themselves.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn stop_providing(&self, cid: Cid) -> Result<(), NetError> {
        let sent = self.commands.send(Command::StopProviding(cid)).await;
        sent.map_err(|_| NetError::Closed)
    }

    /// Asks the table of providers who has a block, this node left out.
    ///
    /// # Errors
    /// [`NetError::Record`] if too many such questions are under way; [`NetError::Closed`].
    pub async fn find_providers(&self, cid: Cid) -> Result<Vec<PeerId>, NetError> {
        self.ask(|reply| Command::FindProviders { cid, reply }).await
    }

    /// Asks something of a peer's application; connects to it if needed.
    ///
    /// # Errors
    /// [`NetError::Refused`] for a body beyond [`MAX_BODY`] or too many requests; [`NetError::Request`] if there is no
    /// answer in time, the peer has none to give, or cannot be reached; [`NetError::Closed`].
    pub async fn request(&self, peer: PeerId, body: Vec<u8>) -> Result<Vec<u8>, NetError> {
        if body.len() > MAX_BODY {
            let what = format!("{} bytes, at most {MAX_BODY} are allowed", body.len());
            return Err(NetError::Refused { peer, what });
        }
        self.ask(|reply| Command::Request { peer, body, reply }).await
    }

    /// Opens a session with those who may have what is wanted; without candidates, with all who are connected now.
    /// Candidates are dialled at once. Waits while [`MAX_SESSIONS`] are open. Cancel-safe.
    pub async fn session(&self, candidates: Vec<PeerId>) -> Session {
        let permit = self.sessions.clone().acquire_owned().await.ok();
        let id = self.next_session.fetch_add(1, Ordering::Relaxed);
        let candidates = candidates.into_iter().filter(|peer| *peer != self.local);
        Session::open(id, candidates.collect(), self.wants.clone(), self.window, permit)
    }

    /// Ends the network: all connections and listeners are closed when this returns. Calling it again does nothing.
    pub async fn shutdown(&self) {
        let _ = self.commands.send(Command::Shutdown).await;
        self.commands.closed().await;
    }
}
