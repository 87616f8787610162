//! What the application asks for.

use std::time::Instant;

use libp2p::{
    Multiaddr, PeerId,
    kad::RecordKey,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use r1_r1fs::Cid;

use super::{Record, Task, Waiters};
use crate::{
    NetError,
    client::Input,
    config::{MAX_KNOWN_PEERS, MAX_PENDING_REQUESTS},
    handle::{Answer, Command},
    message::digest,
    session::{SessionCommand, Waiter},
};

/// Questions to the table of providers that are under way at a time.
const MAX_RECORD_QUERIES: usize = 256;

/// What a block is called in the table of providers: its multihash, as in Kubo.
fn key(cid: &Cid) -> RecordKey {
    RecordKey::new(&cid.hash().to_bytes())
}

impl Task {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::AddPeer {
                peer,
                addresses,
                reply,
            } => {
                let _ = reply.send(self.add_peer(peer, addresses));
            }
            Command::Connect { address, reply } => self.connect(address, reply),
            Command::Provide { cid, reply } => self.provide(cid, reply),
            Command::StopProviding(cid) => self.swarm.behaviour_mut().kad.stop_providing(&key(&cid)),
            Command::FindProviders { cid, reply } => self.find_providers(cid, reply),
            Command::Request { peer, body, reply } => self.request(peer, body, reply),
            Command::Reply { channel, body } => {
                // Fails if the peer is gone, which is its loss.
                let _ = self.swarm.behaviour_mut().request.send_response(channel, body);
            }
            Command::Shutdown => {}
        }
    }

    fn add_peer(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), NetError> {
        let node = self.swarm.behaviour_mut();
        if !node.bitswap.announce(peer, addresses.clone()) {
            let what = format!("{MAX_KNOWN_PEERS} peers are known already");
            return Err(NetError::Refused { peer, what });
        }
        for address in addresses {
            node.kad.add_address(&peer, address);
        }
        if node.bitswap.is_connected(&peer) {
            self.agree(peer);
        }
        Ok(())
    }

    fn connect(&mut self, address: Multiaddr, reply: Answer<PeerId>) {
        let peer = address.iter().last().and_then(|last| match last {
            libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        let options = match peer {
            Some(peer) => DialOpts::peer_id(peer)
                .addresses(vec![address.clone()])
                .condition(PeerCondition::Always)
                .build(),
            None => DialOpts::unknown_peer_id().address(address.clone()).build(),
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.connects.insert(id, (address, reply));
            }
            Err(error) => {
                let reason = error.to_string();
                let _ = reply.send(Err(NetError::Dial { address, reason }));
            }
        }
    }

    fn provide(&mut self, cid: Cid, reply: Answer<()>) {
        let fault = |reason: String| Err(NetError::Record { cid, reason });
        if self.records.len() >= MAX_RECORD_QUERIES {
            let _ = reply.send(fault("too many questions are under way".into()));
            return;
        }
        match self.swarm.behaviour_mut().kad.start_providing(key(&cid)) {
            Ok(query) => {
                self.records.insert(query, Record::Provide { reply });
            }
            Err(error) => {
                let _ = reply.send(fault(error.to_string()));
            }
        }
    }

    fn find_providers(&mut self, cid: Cid, reply: Answer<Vec<PeerId>>) {
        if self.records.len() >= MAX_RECORD_QUERIES {
            let reason = "too many questions are under way".into();
            let _ = reply.send(Err(NetError::Record { cid, reason }));
            return;
        }
        let query = self.swarm.behaviour_mut().kad.get_providers(key(&cid));
        let found = Vec::new();
        self.records.insert(query, Record::Find { found, reply });
    }

    fn request(&mut self, peer: PeerId, body: Vec<u8>, reply: Answer<Vec<u8>>) {
        // Those whose asker has gone away do not count.
        self.requests.retain(|_, (_, reply)| !reply.is_closed());
        if self.requests.len() >= MAX_PENDING_REQUESTS {
            let what = format!("{MAX_PENDING_REQUESTS} requests are under way already");
            let _ = reply.send(Err(NetError::Refused { peer, what }));
            return;
        }
        let id = self.swarm.behaviour_mut().request.send_request(&peer, body);
        self.requests.insert(id, (peer, reply));
    }

    pub(super) fn session_command(&mut self, command: SessionCommand) {
        let now = Instant::now();
        match command {
            SessionCommand::Open { id, candidates } => {
                let session = id;
                self.client.handle(now, Input::Open { session, candidates });
            }
            SessionCommand::Close(id) => {
                self.waiters.retain(|(session, _), _| *session != id);
                self.client.handle(now, Input::Close(id));
            }
            SessionCommand::Want {
                id,
                cid,
                waiter,
                reply,
            } => self.want(id, cid, waiter, reply),
            SessionCommand::Cancel { id, digest, waiter } => {
                let Some(waiters) = self.waiters.get_mut(&(id, digest)) else {
                    return;
                };
                waiters.list.retain(|(other, _)| *other != waiter);
                if waiters.list.is_empty() {
                    self.waiters.remove(&(id, digest));
                    self.client.handle(now, Input::Cancel { session: id, digest });
                }
            }
        }
    }

    fn want(&mut self, session: u64, cid: Cid, waiter: u64, reply: Waiter) {
        let Some(digest) = digest(&cid) else { return };
        let list = Vec::new();
        let waiters = self
            .waiters
            .entry((session, digest))
            .or_insert(Waiters { cid, list });
        waiters.list.push((waiter, reply));
        if waiters.list.len() == 1 {
            self.client.handle(Instant::now(), Input::Want { session, cid });
        }
    }
}
