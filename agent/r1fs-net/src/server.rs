//! What peers want of this node, and in which order they get it. Pure: no I/O, the clock is passed in.
//!
//! Each peer has a bounded wantlist. Peers with wants take turns (deficit round robin by bytes), so that one which asks
//! for much does not keep others waiting; per peer the bytes under way and the rate are bounded. A want is answered
//! once and then forgotten: the block, HAVE, DONT_HAVE, or, where absence was not to be told, nothing.

mod ledger;

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use libp2p::PeerId;

use crate::message::{Entry, Message, WantType};
use ledger::{Key, Ledger};

/// What a HAVE or DONT_HAVE costs in the accounts, bytes: about its size, so that lookups are not free.
pub const PRESENCE_COST: usize = 64;
/// Most wants that are looked up in one go.
pub const MAX_LOOKUPS: usize = 256;

/// Limits of serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most wants of one peer; more are dropped and counted. Default 4096.
    pub wants_per_peer: usize,
    /// Bytes of blocks that are packed into one message; the last block may exceed it. Default 1 MiB.
    pub message: usize,
    /// Bytes of one announced peer that are read and not yet written to its connection. Default 4 MiB.
    pub in_flight_per_peer: usize,
    /// The same of a stranger. With [`crate::Limits::strangers`] of them, less than `in_flight` in all, so that
    /// strangers that take nothing cannot hold up the others. Default 1 MiB.
    pub in_flight_per_stranger: usize,
    /// The same of all peers together. Default 128 MiB.
    pub in_flight: usize,
    /// Batches that are read from the store at a time. Default 4.
    pub reads: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            wants_per_peer: 4096,
            message: 1 << 20,
            in_flight_per_peer: 4 << 20,
            in_flight_per_stranger: 1 << 20,
            in_flight: 128 << 20,
            reads: 4,
        }
    }
}

/// One want on its way through the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) key: Key,
    pub(crate) entry: Entry,
}

/// What the store said.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The answer to those wants that were looked up.
    pub(crate) message: Message,
    /// Wants that did not fit any more.
    pub(crate) rest: Vec<Lookup>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A peer came, or has been announced meanwhile; `rate` is in bytes per second.
    Connected {
        peer: PeerId,
        rate: Option<u64>,
        known: bool,
    },
    /// Its last connection ended.
    Disconnected(PeerId),
    /// It wants something.
    Wants {
        peer: PeerId,
        full: bool,
        entries: Vec<Entry>,
    },
    /// The store has answered an [`Effect::Read`].
    Read { peer: PeerId, reading: Reading },
    /// So much of what was sent is on the wire, or lost with its connection.
    Sent { peer: PeerId, cost: usize },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Look wants up, in order, until `budget` bytes of blocks are read.
    Read {
        peer: PeerId,
        wants: Vec<Lookup>,
        budget: usize,
    },
    /// Write a message; its `cost` comes back as [`Input::Sent`].
    Send {
        peer: PeerId,
        message: Message,
        cost: usize,
    },
    /// So many wants were dropped because the peer has too many.
    Refused(usize),
}

/// The serving side.
pub(crate) struct Server {
    limits: ServerLimits,
    ledgers: HashMap<PeerId, Ledger>,
    /// Peers whose turn it may be.
    turns: VecDeque<PeerId>,
    reads: usize,
    in_flight: usize,
    sequence: u64,
}

/// What a message costs in the accounts, bytes.
fn cost(message: &Message) -> usize {
    message.block_bytes() + PRESENCE_COST * message.presences.len()
}

impl Server {
    pub(crate) fn new(limits: ServerLimits) -> Self {
        Self {
            limits,
            ledgers: HashMap::new(),
            turns: VecDeque::new(),
            reads: 0,
            in_flight: 0,
            sequence: 0,
        }
    }

    /// Wants of all peers that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.ledgers.values().map(Ledger::waiting).sum()
    }

    /// One thing that happened, and what follows from it.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Connected { peer, rate, known } => {
                let limit = if known {
                    self.limits.in_flight_per_peer
                } else {
                    self.limits.in_flight_per_stranger
                };
                let ledger = self.ledgers.entry(peer).or_insert_with(Ledger::new);
                ledger.agree(rate, limit, now);
            }
            Input::Disconnected(peer) => self.disconnected(peer),
            Input::Wants { peer, full, entries } => self.wants(peer, full, entries, &mut effects),
            Input::Read { peer, reading } => self.read(peer, reading, &mut effects),
            Input::Sent { peer, cost } => self.sent(peer, cost),
            Input::Tick => self.wake_all(now),
        }
        self.pump(now, &mut effects);
        effects
    }

    fn disconnected(&mut self, peer: PeerId) {
        if let Some(ledger) = self.ledgers.remove(&peer) {
            self.in_flight = self.in_flight.saturating_sub(ledger.in_flight);
        }
        self.turns.retain(|turn| *turn != peer);
    }

    fn wants(&mut self, peer: PeerId, full: bool, entries: Vec<Entry>, effects: &mut Vec<Effect>) {
        let Some(ledger) = self.ledgers.get_mut(&peer) else {
            return;
        };
        if full {
            ledger.clear();
        }
        let mut refused = 0;
        for entry in entries {
            self.sequence += 1;
            let fits = entry.cancel || ledger.want(entry, self.sequence, self.limits.wants_per_peer);
            if entry.cancel {
                ledger.cancel(&entry.cid);
            }
            refused += usize::from(!fits);
        }
        if refused > 0 {
            effects.push(Effect::Refused(refused));
        }
        self.wake(peer);
    }

    fn read(&mut self, peer: PeerId, reading: Reading, effects: &mut Vec<Effect>) {
        self.reads = self.reads.saturating_sub(1);
        let Some(ledger) = self.ledgers.get_mut(&peer) else {
            return;
        };
        let cost = cost(&reading.message);
        ledger.finish_read(reading.rest, cost);
        self.in_flight += cost;
        if !reading.message.is_empty() {
            effects.push(Effect::Send {
                peer,
                message: reading.message,
                cost,
            });
        }
        self.wake(peer);
    }

    fn sent(&mut self, peer: PeerId, cost: usize) {
        if let Some(ledger) = self.ledgers.get_mut(&peer) {
            let cost = cost.min(ledger.in_flight);
            ledger.in_flight -= cost;
            self.in_flight = self.in_flight.saturating_sub(cost);
        }
        self.wake(peer);
    }

    fn wake_all(&mut self, now: Instant) {
        let peers: Vec<_> = self.ledgers.keys().copied().collect();
        for peer in peers {
            if let Some(ledger) = self.ledgers.get_mut(&peer) {
                ledger.fill(now);
            }
            self.wake(peer);
        }
    }

    /// Gives a peer a turn if it has something to wait for.
    fn wake(&mut self, peer: PeerId) {
        if let Some(ledger) = self.ledgers.get_mut(&peer)
            && !ledger.queued
            && ledger.ready()
        {
            ledger.queued = true;
            self.turns.push_back(peer);
        }
    }

    /// Starts reads, turn by turn, while there is room for more.
    fn pump(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while self.reads < self.limits.reads && self.in_flight < self.limits.in_flight {
            let Some(peer) = self.turns.pop_front() else {
                return;
            };
            let Some(ledger) = self.ledgers.get_mut(&peer) else {
                continue;
            };
            ledger.queued = false;
            ledger.fill(now);
            if !ledger.ready() {
                continue;
            }
            match ledger.turn(self.limits.message) {
                Some((wants, budget)) => {
                    self.reads += 1;
                    effects.push(Effect::Read { peer, wants, budget });
                }
                // In debt: others first.
                None => {
                    ledger.queued = true;
                    self.turns.push_back(peer);
                }
            }
        }
    }
}

/// Looks wants up, in order, until the budget is used. Blocking.
pub(crate) fn read(blocks: &dyn crate::Blocks, wants: Vec<Lookup>, budget: usize) -> Reading {
    let mut reading = Reading::default();
    let (mut bytes, mut wants) = (0, wants.into_iter());
    for lookup in wants.by_ref() {
        let Entry {
            cid,
            want,
            send_dont_have,
            ..
        } = lookup.entry;
        let there = match want {
            WantType::Have => blocks.size(&cid).is_some(),
            WantType::Block => match blocks.get(&cid) {
                Some(data) => {
                    bytes += data.len();
                    let block = crate::message::Payload::new(&cid, data);
                    reading.message.blocks.push(block);
                    true
                }
                None => false,
            },
        };
        if (there && want == WantType::Have) || (!there && send_dont_have) {
            reading.message.presences.push((cid, there));
        }
        if bytes >= budget {
            break;
        }
    }
    reading.rest = wants.collect();
    reading
}

#[cfg(test)]
mod tests;
