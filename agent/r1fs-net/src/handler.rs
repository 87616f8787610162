//! Bitswap on one connection.
//!
//! Messages go out one after the other on one stream, which is closed when nothing was said for [`IDLE_STREAM`] (Helia
//! cuts streams that are silent for 5 s) and opened again when needed. Messages come in on any of [`MAX_INBOUND`]
//! streams. Blocks are named (hashed) on the blocking pool, a message at a time, in order; while [`MAX_NAMING`] messages
//! are under way nothing more is read, so that the sender is slowed down by its window.

mod name;
mod reader;
mod upgrade;
mod writer;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt as _;
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
    handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};

pub(crate) use name::Incoming;
use name::Naming;
pub(crate) use reader::Budget;
use reader::{Event as ReadEvent, Readers};
use upgrade::{Inbound, Outbound};
use writer::{State, Writer};

/// Streams of one connection on which messages may come; further ones are refused. Kubo opens one for each message.
pub const MAX_INBOUND: usize = 32;
/// Streams of one connection on which a message may be half read: what bounds a connection's memory, at
/// [`crate::message::MAX_MESSAGE`] each.
pub const MAX_PARTIAL: usize = 8;
/// Memory of half read messages of peers that owe nothing, over all connections, bytes; beyond it their streams are
/// closed.
pub const MAX_UNASKED_BYTES: usize = 128 << 20;
/// Messages of one connection whose blocks are being named at a time.
pub const MAX_NAMING: usize = 4;
/// After how long without a message the outbound stream is closed.
pub const IDLE_STREAM: Duration = Duration::from_secs(3);
/// How long a peer may take nothing of a message; then its connection is closed.
pub const STALLED: Duration = Duration::from_secs(30);

/// A message to write.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// Its encoding.
    pub(crate) pieces: Vec<Bytes>,
    /// What comes back in [`ToBehaviour::Sent`].
    pub(crate) cost: usize,
    /// It failed once already.
    pub(crate) again: bool,
}

/// What a connection reports.
#[derive(Debug)]
pub(crate) enum ToBehaviour {
    /// A message.
    Received(Incoming),
    /// Bytes that are no message; their stream was closed.
    Malformed,
    /// A message of this cost is written.
    Sent(usize),
    /// The peer does not speak Bitswap.
    Unsupported,
    /// Messages cannot be written; the connection is of no use.
    Broken,
}

pub(crate) struct Handler {
    /// Answers that the peer owes this node, over all connections.
    expecting: Arc<AtomicUsize>,
    readers: Readers,
    naming: VecDeque<Naming>,
    writer: Writer,
    events: VecDeque<ToBehaviour>,
}

type ToSwarm = ConnectionHandlerEvent<Outbound, (), ToBehaviour>;

impl Handler {
    pub(crate) fn new(expecting: Arc<AtomicUsize>, budget: Arc<Budget>) -> Self {
        Self {
            expecting,
            readers: Readers::new(budget),
            naming: VecDeque::new(),
            writer: Writer::default(),
            events: VecDeque::new(),
        }
    }

    /// Reports the message that has been named first, if it has.
    fn named(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(first) = self.naming.front_mut() else {
            return false;
        };
        let Poll::Ready(named) = first.poll_unpin(cx) else {
            return false;
        };
        self.naming.pop_front();
        self.events.push_back(match named {
            Some(incoming) => ToBehaviour::Received(incoming),
            None => ToBehaviour::Malformed,
        });
        true
    }

    /// Whether the peer owes this node an answer.
    fn asked(&self) -> bool {
        self.expecting.load(Ordering::Relaxed) > 0
    }

    /// Reads a message, if there is room for one.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.naming.len() >= MAX_NAMING {
            return false;
        }
        match self.readers.poll(cx, self.asked()) {
            Some(ReadEvent::Message(wire)) => self.naming.push_back(name::start(wire, &self.expecting)),
            Some(ReadEvent::Malformed) => self.events.push_back(ToBehaviour::Malformed),
            None => return false,
        }
        true
    }

    /// Writes; true if something is to be reported.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        match self.writer.poll(cx) {
            State::Sent(cost) => self.events.push_back(ToBehaviour::Sent(cost)),
            State::Broken => self.events.push_back(ToBehaviour::Broken),
            State::Again => {}
            State::Waiting => return false,
        }
        true
    }

    fn not_opened(&mut self, error: DialUpgradeError<(), Outbound>) {
        self.writer.not_opened();
        self.events.push_back(match error.error {
            StreamUpgradeError::NegotiationFailed => ToBehaviour::Unsupported,
            StreamUpgradeError::Apply(never) => match never {},
            StreamUpgradeError::Timeout | StreamUpgradeError::Io(_) => ToBehaviour::Broken,
        });
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Outgoing;
    type ToBehaviour = ToBehaviour;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound> {
        SubstreamProtocol::new(Inbound, ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.naming.is_empty() || self.writer.is_busy() || self.readers.partial() > 0 || self.asked()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
            }
            if self.writer.wants_stream() {
                let protocol = SubstreamProtocol::new(Outbound, ());
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
            }
            if !(self.named(cx) || self.write(cx) || self.read(cx)) {
                return Poll::Pending;
            }
        }
    }

    fn on_behaviour_event(&mut self, outgoing: Outgoing) {
        self.writer.push(outgoing);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Inbound, Outbound>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.readers.add(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.writer.opened(protocol);
            }
            ConnectionEvent::DialUpgradeError(error) => self.not_opened(error),
            _ => {}
        }
    }
}
