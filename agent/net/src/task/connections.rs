//! Connections: who is here, who belongs to the network, whom to dial.

use std::time::Instant;

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify,
    swarm::{
        ConnectionId, DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{BehaviourEvent, Peer, Resolved, Task};
use crate::{
    NetError,
    behaviour::protocol_version,
    bootstrap::Due,
    config::{IDENTIFY_PATIENCE, MAX_ADDRESSES_PER_PEER, MAX_BANS},
    gossip::GRAYLIST_BELOW,
    peer::{is_loopback, node_address, split_peer},
    resolve::{is_named, resolve},
};

/// A peer that is connected or being dialled is not dialled again.
const UNLESS_THERE: PeerCondition = PeerCondition::DisconnectedAndNotDialing;

impl Task {
    pub(super) fn on_connection(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established,
                ..
            } => {
                self.on_closed(peer_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } => {
                self.on_dial_error(connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => self.on_listen_error(&error),
            SwarmEvent::NewListenAddr { address, .. } => self.set_listen(|listen| listen.push(address)),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.set_listen(|listen| listen.retain(|known| *known != address));
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                self.set_listen(|listen| listen.retain(|known| !addresses.contains(known)));
                tracing::warn!(?addresses, ?reason, "listener closed");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener error"),
            _ => {}
        }
    }

    fn set_listen(&self, change: impl FnOnce(&mut Vec<Multiaddr>)) {
        self.state.send_modify(|state| change(&mut state.listen));
    }

    fn on_established(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        if let Some(index) = self.dials.remove(&connection) {
            self.bootstrap.established(index, id, now);
        }
        self.metrics.connections.inc();
        self.metrics.connections_opened.inc();
        let address = node_address(&id);
        let peer = self.peers.entry(id).or_insert(Peer {
            address,
            connections: 0,
            since: now,
            member: false,
            dialled: None,
            local: is_loopback(endpoint.get_remote_address()),
            listens: Vec::new(),
        });
        peer.connections += 1;
        if let ConnectedPoint::Dialer { address, .. } = endpoint {
            peer.dialled = Some(split_peer(address).0);
        }
        if address.is_none() {
            self.send_away(id, "its key is not secp256k1");
        }
    }

    fn on_closed(&mut self, id: PeerId, remaining: u32) {
        self.metrics.connections.dec();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.connections = remaining as usize;
        if peer.connections == 0 {
            let was_member = peer.member;
            self.peers.remove(&id);
            if was_member {
                self.membership_changed(id);
            }
        }
    }

    /// Disconnects a peer that is not of this network.
    fn send_away(&mut self, id: PeerId, reason: &str) {
        tracing::debug!(peer = %id, reason, "peer sent away");
        self.metrics.foreign_peers.inc();
        self.bootstrap.foreign(&id, Instant::now());
        self.swarm.behaviour_mut().kad.remove_peer(&id);
        // An error means that it has gone already.
        let _ = self.swarm.disconnect_peer_id(id);
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        if info.protocol_version != protocol_version(&self.config) {
            let said: String = info.protocol_version.chars().take(64).collect();
            self.send_away(peer_id, &format!("its network is {said:?}"));
            return;
        }
        let Some(peer) = self.peers.get_mut(&peer_id) else {
            return;
        };
        if peer.address.is_none() {
            return;
        }
        let new = !std::mem::replace(&mut peer.member, true);
        if new {
            // What it said in earlier sessions may be stale; and a table entry must not grow with each session.
            let dialled = peer.dialled.clone();
            self.swarm.behaviour_mut().kad.remove_peer(&peer_id);
            if let Some(address) = dialled {
                self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
            }
        }
        self.learn_addresses(peer_id, info.listen_addrs);
        if new {
            self.bootstrap.proved(&peer_id);
            self.membership_changed(peer_id);
        }
    }

    /// Remembers where a peer says it listens. Loopback addresses are believed only of a peer on this machine: others
    /// would make this node and its neighbours dial themselves.
    fn learn_addresses(&mut self, id: PeerId, said: Vec<Multiaddr>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        for address in said {
            let (address, named) = split_peer(&address);
            let usable = named.is_none_or(|named| named == id) && (peer.local || !is_loopback(&address));
            if usable && peer.listens.len() < MAX_ADDRESSES_PER_PEER && !peer.listens.contains(&address) {
                peer.listens.push(address.clone());
                self.swarm.behaviour_mut().kad.add_address(&id, address);
            }
        }
    }

    /// Ends the connections of peers whose gossip is dropped anyway: their messages would still cost a signature check
    /// each.
    pub(super) fn ban_the_worst(&mut self, now: Instant) {
        let gossip = &self.swarm.behaviour().gossip;
        let bottom = |id: &PeerId| gossip.peer_score(id).is_some_and(|score| score < GRAYLIST_BELOW);
        let worst: Vec<_> = self.peers.keys().filter(|id| bottom(id)).copied().collect();
        for id in worst {
            if !self.swarm.behaviour_mut().banned.block_peer(id) {
                continue;
            }
            tracing::info!(peer = %id, "peer banned for its score");
            self.metrics.bans.inc();
            self.bans.push_back((id, now + self.config.times.ban));
        }
    }

    /// Lets peers in again whose ban is over.
    pub(super) fn end_bans(&mut self, now: Instant) {
        while let Some((id, until)) = self.bans.front().copied()
            && (until <= now || self.bans.len() > MAX_BANS)
        {
            self.bans.pop_front();
            self.swarm.behaviour_mut().banned.unblock_peer(id);
        }
    }

    /// Connections that do not say who they are hold a place that a node could have.
    pub(super) fn drop_silent_peers(&mut self, now: Instant) {
        let silent: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.member && now.duration_since(peer.since) > IDENTIFY_PATIENCE)
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            self.send_away(id, "it did not say who it is");
        }
    }

    pub(super) fn dial_bootstrap(&mut self, now: Instant) {
        let members = self.members();
        let (peers, swarm) = (&self.peers, &self.swarm);
        let due = self.bootstrap.due(now, members, |id| {
            peers.contains_key(id) || swarm.is_connected(id)
        });
        for Due { index, address, peer } in due {
            if is_named(&address) {
                self.lookups.push(Box::pin(async move {
                    let addresses = resolve(&address).await;
                    Resolved {
                        index,
                        peer,
                        addresses,
                    }
                }));
            } else {
                self.dial_entry(index, dial_options(address, peer));
            }
        }
    }

    /// A bootstrap name was looked up: dial what it stands for; without a peer id one address at a time.
    pub(super) fn on_resolved(&mut self, resolved: Resolved) {
        let Resolved {
            index,
            peer,
            addresses,
        } = resolved;
        let addresses = addresses.unwrap_or_else(|error| {
            tracing::debug!(%error, "bootstrap name not resolved");
            Vec::new()
        });
        if addresses.is_empty() {
            self.metrics.dial_failures.inc();
            self.bootstrap.failed(index, Instant::now());
            return;
        }
        let options = match peer {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(UNLESS_THERE)
                .addresses(addresses)
                .build(),
            None => {
                let turn = self.bootstrap.failures(index) % addresses.len();
                dial_options(addresses[turn].clone(), None)
            }
        };
        self.dial_entry(index, options);
    }

    fn dial_entry(&mut self, index: usize, options: DialOpts) {
        let connection = options.connection_id();
        self.dials.insert(connection, index);
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_error(connection, &error);
        }
    }

    /// Dials for the application. A peer that is connected or being dialled is not dialled again.
    pub(super) fn dial(&mut self, address: Multiaddr) -> Result<(), NetError> {
        let (plain, peer) = split_peer(&address);
        match self.swarm.dial(dial_options(plain, peer)) {
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => Ok(()),
            Err(error) => Err(NetError::Dial {
                address,
                reason: error.to_string(),
            }),
        }
    }

    fn on_dial_error(&mut self, connection: ConnectionId, error: &DialError) {
        let bootstrap = self.dials.remove(&connection);
        match error {
            DialError::LocalPeerId { .. } => {
                if let Some(index) = bootstrap {
                    self.bootstrap.own(index);
                }
                return;
            }
            DialError::Denied { .. } => {
                self.metrics.connections_refused.inc();
            }
            DialError::DialPeerConditionFalse(_) => {}
            _ => {
                self.metrics.dial_failures.inc();
                tracing::debug!(%error, "dial failed");
            }
        }
        if let Some(index) = bootstrap {
            self.bootstrap.failed(index, Instant::now());
        }
    }

    fn on_listen_error(&mut self, error: &ListenError) {
        match error {
            ListenError::Denied { .. } => {
                self.metrics.connections_refused.inc();
            }
            _ => {
                self.metrics.handshake_failures.inc();
            }
        }
        tracing::debug!(%error, "incoming connection failed");
    }
}

/// How to dial an address, with the certainty of meeting a certain peer there if one is named.
fn dial_options(address: Multiaddr, peer: Option<PeerId>) -> DialOpts {
    match peer {
        Some(peer) => DialOpts::peer_id(peer)
            .condition(UNLESS_THERE)
            .addresses(vec![address])
            .build(),
        None => DialOpts::unknown_peer_id().address(address).build(),
    }
}
