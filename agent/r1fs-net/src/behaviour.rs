//! Bitswap over all connections, and who may connect.
//!
//! Knows peers, their connections and addresses; decides nothing about blocks. Messages to a peer go over its oldest
//! connection. What a connection had taken and not written is reported as [`Event::Lost`] when it closes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
    },
};

use crate::{
    config::{MAX_ADDRESSES_PER_PEER, MAX_KNOWN_PEERS},
    handler::{Budget, Handler, Incoming, Outgoing, ToBehaviour},
    message::Message,
};

/// What the network task is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// The first connection to a peer.
    Connected(PeerId),
    /// The last one ended.
    Disconnected(PeerId),
    /// One of several ended, with messages that were not written.
    Lost(PeerId),
    /// A message.
    Received { peer: PeerId, incoming: Incoming },
    /// Bytes that are no message.
    Malformed(PeerId),
    /// So much is written.
    Sent { peer: PeerId, cost: usize },
    /// The peer does not speak Bitswap.
    Unsupported(PeerId),
    /// A stranger was not let in.
    Refused(PeerId),
}

/// Nobody announced this peer, and there is no room for strangers.
#[derive(Debug, thiserror::Error)]
#[error("{0} was not announced to this node")]
struct Stranger(PeerId);

/// Ended connections that may be remembered before they are swept out.
const FORGOTTEN: usize = 64;

struct Peer {
    /// The oldest first, with what it has not written yet.
    connections: Vec<(ConnectionId, usize)>,
    expecting: Arc<AtomicUsize>,
}

pub(crate) struct Behaviour {
    max_strangers: usize,
    peers: HashMap<PeerId, Peer>,
    /// Announced peers and where they are.
    known: HashMap<PeerId, Vec<Multiaddr>>,
    /// What the connections of a peer share, from before they are established.
    expecting: HashMap<PeerId, Weak<AtomicUsize>>,
    budget: Arc<Budget>,
    events: VecDeque<ToSwarm<Event, Outgoing>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(crate) fn new(max_strangers: usize) -> Self {
        Self {
            max_strangers,
            peers: HashMap::new(),
            known: HashMap::new(),
            expecting: HashMap::new(),
            budget: Arc::default(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// Remembers a peer and its addresses; false if there are too many peers.
    pub(crate) fn announce(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> bool {
        if self.known.len() >= MAX_KNOWN_PEERS && !self.known.contains_key(&peer) {
            return false;
        }
        let list = self.known.entry(peer).or_default();
        for address in addresses {
            list.retain(|old| *old != address);
            list.insert(0, address);
        }
        list.truncate(MAX_ADDRESSES_PER_PEER);
        true
    }

    pub(crate) fn is_known(&self, peer: &PeerId) -> bool {
        self.known.contains_key(peer)
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(crate) fn connected(&self) -> Vec<PeerId> {
        self.peers.keys().copied().collect()
    }

    /// How many answers a peer owes.
    pub(crate) fn expect(&mut self, peer: &PeerId, count: usize) {
        if let Some(peer) = self.peers.get(peer) {
            peer.expecting.store(count, Ordering::Relaxed);
        }
    }

    /// Sends a message to a connected peer; what it costs is reported when it is written.
    pub(crate) fn send(&mut self, peer: PeerId, message: &Message, cost: usize) {
        let Some((connection, waiting)) = self
            .peers
            .get_mut(&peer)
            .and_then(|peer| peer.connections.first_mut())
        else {
            return;
        };
        *waiting += cost;
        let event = Outgoing {
            pieces: message.encode(),
            cost,
            again: false,
        };
        let handler = NotifyHandler::One(*connection);
        self.push(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler,
            event,
        });
    }

    fn push(&mut self, event: ToSwarm<Event, Outgoing>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn tell(&mut self, event: Event) {
        self.push(ToSwarm::GenerateEvent(event));
    }

    fn strangers(&self) -> usize {
        self.peers.keys().filter(|peer| !self.is_known(peer)).count()
    }

    fn expecting(&mut self, peer: PeerId) -> Arc<AtomicUsize> {
        if let Some(shared) = self.expecting.get(&peer).and_then(Weak::upgrade) {
            return shared;
        }
        if self.expecting.len() > 2 * self.peers.len() + FORGOTTEN {
            self.expecting.retain(|_, shared| shared.strong_count() > 0);
        }
        let shared = Arc::default();
        self.expecting.insert(peer, Arc::downgrade(&shared));
        shared
    }

    fn established(&mut self, event: ConnectionEstablished<'_>) {
        let expecting = self.expecting(event.peer_id);
        let peer = self.peers.entry(event.peer_id).or_insert(Peer {
            connections: Vec::new(),
            expecting,
        });
        peer.connections.push((event.connection_id, 0));
        if peer.connections.len() == 1 {
            self.tell(Event::Connected(event.peer_id));
        }
    }

    fn closed(&mut self, event: ConnectionClosed<'_>) {
        let id = event.peer_id;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let at = peer
            .connections
            .iter()
            .position(|(connection, _)| *connection == event.connection_id);
        let lost = at.map_or(0, |at| peer.connections.remove(at).1);
        if peer.connections.is_empty() {
            self.peers.remove(&id);
            self.tell(Event::Disconnected(id));
        } else if at == Some(0) {
            self.tell(Event::Sent { peer: id, cost: lost });
            self.tell(Event::Lost(id));
        }
    }

    fn sent(&mut self, id: PeerId, connection: ConnectionId, cost: usize) {
        if let Some(peer) = self.peers.get_mut(&id) {
            for (_, waiting) in peer
                .connections
                .iter_mut()
                .filter(|(other, _)| *other == connection)
            {
                *waiting = waiting.saturating_sub(cost);
            }
        }
        if cost > 0 {
            self.tell(Event::Sent { peer: id, cost });
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        let stranger = !self.is_known(&peer) && !self.is_connected(&peer);
        if stranger && self.strangers() >= self.max_strangers {
            self.tell(Event::Refused(peer));
            return Err(ConnectionDenied::new(Stranger(peer)));
        }
        Ok(Handler::new(self.expecting(peer), self.budget.clone()))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let known = peer.and_then(|peer| self.known.get(&peer));
        Ok(known.cloned().unwrap_or_default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new(self.expecting(peer), self.budget.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.established(event),
            FromSwarm::ConnectionClosed(event) => self.closed(event),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: ToBehaviour) {
        match event {
            ToBehaviour::Received(incoming) => self.tell(Event::Received { peer, incoming }),
            ToBehaviour::Malformed => self.tell(Event::Malformed(peer)),
            ToBehaviour::Sent(cost) => self.sent(peer, connection, cost),
            ToBehaviour::Unsupported => self.tell(Event::Unsupported(peer)),
            ToBehaviour::Broken => self.push(ToSwarm::CloseConnection {
                peer_id: peer,
                connection: CloseConnection::One(connection),
            }),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, Outgoing>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
