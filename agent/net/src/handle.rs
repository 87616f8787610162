//! What the application holds: a handle to ask with, events to read, and tokens to answer with.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};
use r1_core::NodeAddress;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{NetError, Refusal, config::Config, peer::peer_id, request::Response};

/// The application's verdict on a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Sound: pass it on.
    Accept,
    /// No honest peer passes this on: drop it and lower the score of those who delivered it.
    Reject,
    /// Drop it without blame (late, not for us, no time).
    Ignore,
}

/// Must be used to judge a gossip message; dropping it means [`Acceptance::Ignore`].
#[derive(Debug)]
#[must_use = "a message that is not judged is not passed on"]
pub struct Verdict {
    sender: oneshot::Sender<Acceptance>,
}

impl Verdict {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Acceptance>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender }, receiver)
    }

    /// Judges the message. Too late (see [`crate::Times::validation`]) is the same as not at all.
    pub fn report(self, acceptance: Acceptance) {
        let _ = self.sender.send(acceptance);
    }
}

/// Must be used to answer a request; dropping it tells the peer [`Refusal::Application`].
#[derive(Debug)]
#[must_use = "a request that is not answered is refused"]
pub struct Reply {
    sender: oneshot::Sender<Response>,
    protocol: String,
    limit: usize,
}

impl Reply {
    pub(crate) fn new(protocol: String, limit: usize) -> (Self, oneshot::Receiver<Response>) {
        let (sender, receiver) = oneshot::channel();
        (
            Self {
                sender,
                protocol,
                limit,
            },
            receiver,
        )
    }

    /// Sends the answer. Too late (see [`crate::Times::request`]) is the same as not at all.
    ///
    /// # Errors
    /// [`NetError::BodyTooLarge`] if the protocol does not allow so long an answer; the peer is told so.
    pub fn send(self, body: Vec<u8>) -> Result<(), NetError> {
        let size = body.len();
        if size > self.limit {
            let _ = self.sender.send(Err(Refusal::ResponseTooLarge));
            let (protocol, limit) = (self.protocol, self.limit);
            return Err(NetError::BodyTooLarge {
                what: "response",
                protocol,
                size,
                limit,
            });
        }
        let _ = self.sender.send(Ok(body));
        Ok(())
    }

    /// Tells the peer that the application refuses.
    pub fn refuse(self) {
        let _ = self.sender.send(Err(Refusal::Application));
    }
}

/// A gossip message of a peer.
#[derive(Debug)]
pub struct GossipMessage {
    /// The topic's short name.
    pub topic: String,
    /// Who signed it, not who delivered it.
    pub source: NodeAddress,
    /// The message, at most the topic's limit.
    pub data: Vec<u8>,
    /// To judge it with.
    pub verdict: Verdict,
}

/// A request of a peer.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub peer: NodeAddress,
    /// The protocol's short name.
    pub protocol: String,
    /// The request, at most the protocol's limit.
    pub data: Vec<u8>,
    /// To answer with.
    pub reply: Reply,
}

/// What happens on the network.
#[derive(Debug)]
pub enum Event {
    /// A message arrived on a topic and waits for its verdict.
    Gossip(GossipMessage),
    /// A peer asks something.
    Request(Request),
    /// A peer of this network is connected; once per peer, however many connections it has.
    PeerConnected(NodeAddress),
    /// The last connection with a peer is gone. If it comes back at once, neither event may be seen.
    PeerDisconnected(NodeAddress),
}

/// What the network looks like from here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Connected peers of this network, sorted.
    pub peers: Vec<NodeAddress>,
    /// Addresses this node listens on now.
    pub listen: Vec<Multiaddr>,
}

/// What a handle asks of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Publish {
        topic: String,
        data: Vec<u8>,
        done: oneshot::Sender<Result<(), NetError>>,
    },
    Request {
        peer: NodeAddress,
        protocol: String,
        body: Vec<u8>,
        done: oneshot::Sender<Result<Vec<u8>, NetError>>,
    },
    Dial {
        address: Multiaddr,
        done: oneshot::Sender<Result<(), NetError>>,
    },
    Score {
        peer: PeerId,
        done: oneshot::Sender<Option<f64>>,
    },
    Shutdown,
}

/// Asks the network for something. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    config: Arc<Config>,
}

impl Handle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        state: watch::Receiver<State>,
        config: Arc<Config>,
    ) -> Self {
        Self {
            commands,
            state,
            config,
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, NetError> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(command(done))
            .await
            .map_err(|_| NetError::Closed)?;
        answer.await.map_err(|_| NetError::Closed)
    }

    /// Publishes a message on a topic (short name). Success means that at least one peer will be sent it.
    ///
    /// # Errors
    /// [`NetError::MessageTooLarge`], [`NetError::UnknownTopic`], [`NetError::NoPeers`], [`NetError::Duplicate`],
    /// [`NetError::Congested`], [`NetError::Closed`]. In each case nothing was sent.
    pub async fn publish(&self, topic: &str, data: Vec<u8>) -> Result<(), NetError> {
        self.ask(|done| Command::Publish {
            topic: topic.into(),
            data,
            done,
        })
        .await?
    }

    /// Asks a peer and waits for its answer, at most [`crate::Times::request`]. A peer that is not connected is
    /// dialled if an address of it is known.
    ///
    /// # Errors
    /// [`NetError::UnknownProtocol`], [`NetError::BodyTooLarge`], [`NetError::TooManyRequests`] before anything is sent;
    /// [`NetError::Unreachable`], [`NetError::Refused`], [`NetError::Timeout`], [`NetError::Closed`] after.
    pub async fn request(
        &self,
        peer: NodeAddress,
        protocol: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, NetError> {
        let limits = self
            .config
            .protocols
            .iter()
            .find(|limits| limits.name == protocol);
        let limits = limits.ok_or_else(|| NetError::UnknownProtocol {
            protocol: protocol.into(),
        })?;
        if body.len() > limits.max_request {
            let (size, limit) = (body.len(), limits.max_request);
            return Err(NetError::BodyTooLarge {
                what: "request",
                protocol: protocol.into(),
                size,
                limit,
            });
        }
        let answer = self.ask(|done| Command::Request {
            peer,
            protocol: protocol.into(),
            body,
            done,
        });
        match tokio::time::timeout(self.config.times.request, answer).await {
            Ok(answer) => answer?,
            Err(_) => Err(NetError::Timeout {
                peer,
                protocol: protocol.into(),
            }),
        }
    }

    /// Dials an address. Success means that the dial has begun; [`Event::PeerConnected`] tells of its outcome.
    ///
    /// # Errors
    /// [`NetError::Dial`] if the address is not one this node can dial, [`NetError::Closed`].
    pub async fn dial(&self, address: Multiaddr) -> Result<(), NetError> {
        self.ask(|done| Command::Dial { address, done }).await?
    }

    /// The gossip score of a peer; below zero it has misbehaved. `None` for a peer that is not known.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn score(&self, peer: &NodeAddress) -> Result<Option<f64>, NetError> {
        self.ask(|done| Command::Score {
            peer: peer_id(peer),
            done,
        })
        .await
    }

    /// Connected peers of this network, sorted.
    pub fn peers(&self) -> Vec<NodeAddress> {
        self.state.borrow().peers.clone()
    }

    /// The addresses this node listens on now, with the ports that the system chose.
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.state.borrow().listen.clone()
    }

    /// Waits until the state fulfils a condition.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn wait(&self, condition: impl FnMut(&State) -> bool) -> Result<State, NetError> {
        let mut state = self.state.clone();
        let reached = state.wait_for(condition).await;
        reached.map(|state| state.clone()).map_err(|_| NetError::Closed)
    }

    /// Ends the network: all connections and listeners are closed when this returns. Calling it again does nothing.
    pub async fn shutdown(&self) {
        let _ = self.commands.send(Command::Shutdown).await;
        self.commands.closed().await;
    }
}
