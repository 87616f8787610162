//! What the swarm reports.

use std::time::Instant;

use libp2p::{
    PeerId, identify,
    kad::{self, GetProvidersOk, InboundRequest, QueryResult, store::RecordStore as _},
    request_response::{self, ResponseChannel},
    swarm::SwarmEvent,
};

use super::{Record, Task};
use crate::{
    NetError, behaviour, client,
    handle::{Event, Reply, Request},
    handler::Incoming,
    server,
    swarm::NodeEvent,
};

impl Task {
    pub(super) fn swarm_event(&mut self, event: SwarmEvent<NodeEvent>) {
        match event {
            SwarmEvent::Behaviour(NodeEvent::Bitswap(event)) => self.bitswap(event),
            SwarmEvent::Behaviour(NodeEvent::Request(event)) => self.request_event(event),
            SwarmEvent::Behaviour(NodeEvent::Kad(event)) => self.record_event(event),
            SwarmEvent::Behaviour(NodeEvent::Identify(event)) => self.identified(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            } => {
                if let Some((_, reply)) = self.connects.remove(&connection_id) {
                    let _ = reply.send(Ok(peer_id));
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                if let Some((address, reply)) = self.connects.remove(&connection_id) {
                    let reason = error.to_string();
                    let _ = reply.send(Err(NetError::Dial { address, reason }));
                }
                if let Some(peer) = peer_id {
                    self.fetch(client::Input::Unreachable(peer));
                }
            }
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. } => self.tell_state(),
            _ => {}
        }
    }

    /// Tells the serving side what a connected peer may take.
    pub(super) fn agree(&mut self, peer: PeerId) {
        let known = self.swarm.behaviour().bitswap.is_known(&peer);
        let rate = if known {
            self.limits.bytes_per_second
        } else {
            self.limits.stranger_bytes_per_second
        };
        self.serve(server::Input::Connected { peer, rate, known });
    }

    fn fetch(&mut self, input: client::Input) {
        self.client.handle(Instant::now(), input);
    }

    fn tell_state(&mut self) {
        let listen = self.swarm.listeners().cloned().collect();
        let peers = self.swarm.behaviour().bitswap.connected();
        self.metrics
            .peers
            .set(i64::try_from(peers.len()).unwrap_or(i64::MAX));
        self.state.send_modify(|state| {
            state.listen = listen;
            state.peers = peers;
        });
    }

    fn bitswap(&mut self, event: behaviour::Event) {
        match event {
            behaviour::Event::Connected(peer) => {
                self.agree(peer);
                self.fetch(client::Input::Connected(peer));
                self.tell_state();
            }
            behaviour::Event::Disconnected(peer) => {
                self.serve(server::Input::Disconnected(peer));
                self.fetch(client::Input::Disconnected(peer));
                self.tell_state();
            }
            behaviour::Event::Lost(peer) => {
                // What was asked over that connection is asked again over another.
                self.fetch(client::Input::Disconnected(peer));
                self.fetch(client::Input::Connected(peer));
            }
            behaviour::Event::Received { peer, incoming } => self.received(peer, incoming),
            behaviour::Event::Malformed(peer) => {
                tracing::debug!(%peer, "not a bitswap message");
                self.metrics.malformed.inc();
            }
            behaviour::Event::Sent { peer, cost } => self.serve(server::Input::Sent { peer, cost }),
            behaviour::Event::Unsupported(peer) => {
                // It can be told nothing, so its wants are forgotten too.
                self.serve(server::Input::Disconnected(peer));
                self.fetch(client::Input::Unreachable(peer));
                self.fetch(client::Input::Disconnected(peer));
            }
            behaviour::Event::Refused(peer) => {
                tracing::debug!(%peer, "a stranger was not let in");
                self.metrics.strangers_refused.inc();
            }
        }
    }

    fn received(&mut self, peer: PeerId, incoming: Incoming) {
        let blocks = incoming.blocks.len() + incoming.wrong + incoming.ignored;
        self.metrics.received_blocks.inc_by(blocks as u64);
        self.metrics.received_bytes.inc_by(incoming.bytes as u64);
        self.metrics.unasked_blocks.inc_by(incoming.ignored as u64);
        self.metrics.wants_refused.inc_by(incoming.left_out as u64);
        if incoming.full || !incoming.entries.is_empty() {
            self.serve(server::Input::Wants {
                peer,
                full: incoming.full,
                entries: incoming.entries,
            });
        }
        if blocks > 0 || !incoming.presences.is_empty() {
            self.fetch(client::Input::Received {
                peer,
                blocks: incoming.blocks,
                presences: incoming.presences,
                wrong: incoming.wrong,
            });
        }
    }

    fn request_event(&mut self, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        use request_response::{Event, Message};
        match event {
            Event::Message {
                peer,
                message: Message::Request { request, channel, .. },
                ..
            } => self.requested(peer, request, channel),
            Event::Message {
                message: Message::Response { request_id, response },
                ..
            } => {
                if let Some((_, reply)) = self.requests.remove(&request_id) {
                    let _ = reply.send(Ok(response));
                }
            }
            Event::OutboundFailure {
                request_id, error, ..
            } => {
                self.metrics.requests_failed.inc();
                if let Some((peer, reply)) = self.requests.remove(&request_id) {
                    let reason = error.to_string();
                    let _ = reply.send(Err(NetError::Request { peer, reason }));
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    /// Hands a request to the application; dropping the channel tells the peer that there is no answer.
    fn requested(&mut self, peer: PeerId, body: Vec<u8>, channel: ResponseChannel<Vec<u8>>) {
        self.metrics.requests_in.inc();
        let known = self.swarm.behaviour().bitswap.is_known(&peer);
        let permit = self.replies.clone().try_acquire_owned();
        if let (true, Ok(permit), Some(commands)) = (known, permit, self.commands.upgrade()) {
            let reply = Reply {
                channel,
                commands,
                _permit: permit,
            };
            let request = Request { peer, body, reply };
            if self.events.try_send(Event::Request(request)).is_ok() {
                return;
            }
        }
        self.metrics.requests_refused.inc();
    }

    fn identified(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        let kad = &mut self.swarm.behaviour_mut().kad;
        let speaks = kad
            .protocol_names()
            .iter()
            .any(|name| info.protocols.contains(name));
        if speaks {
            for address in info.listen_addrs.into_iter().take(crate::MAX_ADDRESSES_PER_PEER) {
                kad.add_address(&peer_id, address);
            }
        }
    }

    fn record_event(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request: InboundRequest::AddProvider { record: Some(record) },
            } => {
                // Full: the record is not kept.
                let _ = self.swarm.behaviour_mut().kad.store_mut().add_provider(record);
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                if let (
                    QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
                    Some(Record::Find { found, .. }),
                ) = (&result, self.records.get_mut(&id))
                {
                    found.extend(providers);
                }
                if step.last {
                    self.record_done(id);
                }
            }
            _ => {}
        }
    }

    fn record_done(&mut self, id: kad::QueryId) {
        match self.records.remove(&id) {
            Some(Record::Provide { reply }) => {
                let _ = reply.send(Ok(()));
            }
            Some(Record::Find { mut found, reply }) => {
                let own = *self.swarm.local_peer_id();
                found.sort_unstable();
                found.dedup();
                found.retain(|peer| *peer != own);
                let _ = reply.send(Ok(found));
            }
            None => {}
        }
    }
}
