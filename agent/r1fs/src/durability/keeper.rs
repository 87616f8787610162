//! The sans-I/O core of one node's durability: what it asks of others, what it answers, what it lets go.
//!
//! Nobody keeps a list of who has what. A holder learns it by asking the members that rank first for an object, and
//! whoever of the holders ranks first makes what is missing. So restarts and partitions heal by themselves.
//!
//! A surplus copy is dropped only when every member that should hold a share has just promised to keep it: for
//! [`Config::promise_ms`] it drops nothing of that object. So two holders that see different members never drop
//! because of each other.

mod add;
mod config;
mod end;
mod job;
mod link;
mod plan;
mod serve;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use r1_core::NodeAddress;

pub use self::config::{Config, Figures};
use self::{add::Add, end::Tombstones, job::Job, link::Links, serve::Fetching};
use super::{
    message::{Answer, Holding, Request},
    placement::{Member, score},
    record::{Record, Tombstone},
};
use crate::Cid;

/// A share of an object on a node: a piece, or a whole copy for `None`.
pub(crate) type Share = (NodeAddress, Option<u8>);

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A member announced itself.
    MemberSeen(Member),
    /// A member is gone for certain; one that is merely silent is found by [`Input::Tick`].
    MemberLost(NodeAddress),
    /// Bytes that this node still takes.
    Room(u64),
    /// Time passed. Wanted about once a second.
    Tick,
    /// The local store holds a share durably: said for all at start, after a fetch, and again when `pinned` changes.
    Held {
        /// The object.
        record: Record,
        /// Which piece; `None` for a whole copy.
        piece: Option<u8>,
        /// This node pins it for itself and will not let go of it.
        pinned: bool,
    },
    /// A local add is durable here (whole) and waits for [`Effect::Acknowledge`] or [`Effect::GiveUp`].
    Added {
        /// The object.
        record: Record,
        /// This node pins it for itself.
        pinned: bool,
    },
    /// The local store let go of an object, all shares of it.
    Dropped(Cid),
    /// This node deletes an object everywhere.
    Deleted(Tombstone),
    /// A tombstone from the local store, at start. It was verified before it was stored.
    Remembered(Tombstone),
    /// A share of [`Effect::Fetch`] could not be had.
    FetchFailed {
        /// The object.
        root: Cid,
        /// The share.
        piece: Option<u8>,
        /// Why.
        reason: String,
        /// Because there is no room.
        full: bool,
    },
    /// How far a fetch is.
    FetchProgress {
        /// The object.
        root: Cid,
        /// The share.
        piece: Option<u8>,
        /// Bytes that are here.
        bytes_here: u64,
    },
    /// An answer to [`Effect::Ask`].
    Answer {
        /// The question.
        id: u64,
        /// What was said.
        answer: Answer,
    },
    /// [`Effect::Ask`] found no answer.
    Failed {
        /// The question.
        id: u64,
        /// Why.
        reason: String,
    },
    /// A peer asks.
    Asked {
        /// Names the question in [`Effect::Reply`].
        token: u64,
        /// Who asks.
        from: NodeAddress,
        /// What.
        request: Request,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a request.
    Ask {
        /// Names the question in [`Input::Answer`] and [`Input::Failed`].
        id: u64,
        /// To whom.
        node: NodeAddress,
        /// What. A store request comes without blocks.
        request: Request,
        /// The blocks of this object, or of this piece, are small enough to go along: put them in.
        inline: bool,
    },
    /// Answer a peer.
    Reply {
        /// The question.
        token: u64,
        /// The answer.
        answer: Answer,
    },
    /// Bring a share here, make it durable, then say [`Input::Held`] or [`Input::FetchFailed`].
    Fetch {
        /// The object.
        record: Record,
        /// The share. A piece whose blocks nobody has is rebuilt of others.
        piece: Option<u8>,
        /// Who has something of it; this node itself if it has.
        from: Vec<NodeAddress>,
        /// Its blocks, if they came along. They are hostile until checked.
        car: Option<Bytes>,
    },
    /// A local add is safe.
    Acknowledge {
        /// The object.
        root: Cid,
        /// How safe.
        safety: Safety,
    },
    /// A local add is not as safe as wanted, and its time is over. Work on it goes on.
    GiveUp {
        /// The object.
        root: Cid,
        /// How safe it is so far.
        safety: Safety,
        /// What the members that did not take it said.
        reason: String,
    },
    /// Let go of shares.
    Drop {
        /// The object.
        root: Cid,
        /// The shares.
        shares: Holding,
        /// Why.
        cause: Cause,
    },
    /// Write a record over the one of the same object.
    PersistRecord(Record),
    /// Remember a tombstone.
    PersistTombstone(Tombstone),
    /// Forget a tombstone: its time is over.
    ForgetTombstone(Tombstone),
}

/// How many durable shares of an object there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safety {
    /// Copies, or distinct pieces, this node's included.
    pub copies: u16,
    /// Distinct operators that hold them.
    pub operators: u16,
    /// Shares that the record wants.
    pub wanted: u16,
}

/// Why a share is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Others hold all that is wanted.
    Surplus,
    /// Its owner deleted it.
    Deleted,
    /// Its time is over.
    Expired,
}

/// An object of which this node holds something.
#[derive(Debug)]
struct Kept {
    record: Record,
    holding: Holding,
    pinned: bool,
    due_ms: u64,
    /// Until then nothing of it is dropped: another counts on it.
    promised_ms: u64,
    /// Who else had something of it at the last check.
    holders: Vec<NodeAddress>,
    /// Checks in a row that found something missing and left it to another.
    left: u8,
    /// A holder did not answer at the last check.
    doubted: bool,
}

/// The core of one node. See [`Keeper::handle`].
#[derive(Debug)]
pub struct Keeper {
    config: Config,
    own: Member,
    now_ms: u64,
    effects: Vec<Effect>,
    links: Links,
    kept: BTreeMap<Cid, Kept>,
    due: BTreeSet<(u64, Cid)>,
    expiries: BTreeSet<(u64, Cid)>,
    jobs: BTreeMap<Cid, Job>,
    polls: BTreeSet<(u64, Cid, Share)>,
    adds: BTreeMap<Cid, Add>,
    fetches: BTreeMap<(Cid, Option<u8>), Fetching>,
    tombstones: Tombstones,
    figures: Figures,
    draws: u64,
}

impl Keeper {
    /// A node that holds nothing and knows nobody. `own.free` is renewed by [`Input::Room`].
    pub fn new(config: Config, own: Member) -> Self {
        Self {
            config,
            own,
            now_ms: 0,
            effects: Vec::new(),
            links: Links::default(),
            kept: BTreeMap::new(),
            due: BTreeSet::new(),
            expiries: BTreeSet::new(),
            jobs: BTreeMap::new(),
            polls: BTreeSet::new(),
            adds: BTreeMap::new(),
            fetches: BTreeMap::new(),
            tombstones: Tombstones::default(),
            figures: Figures::default(),
            draws: 0,
        }
    }

    /// Takes what happened at a time (Unix milliseconds; a clock that goes back is held) and says what is to be done,
    /// in this order.
    pub fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Effect> {
        self.now_ms = self.now_ms.max(now_ms);
        match input {
            Input::MemberSeen(member) => self.member_seen(member),
            Input::MemberLost(node) => self.member_lost(node),
            Input::Room(free) => self.own.free = free,
            Input::Tick => self.tick(),
            Input::Held {
                record,
                piece,
                pinned,
            } => self.held(record, piece, pinned),
            Input::Added { record, pinned } => self.added(record, pinned),
            Input::Dropped(root) => {
                self.forget(&root);
                self.end_add(&root, "the local store let go of it");
            }
            Input::Deleted(tombstone) => self.deleted(tombstone),
            Input::Remembered(tombstone) => self.remember(tombstone),
            Input::FetchFailed {
                root,
                piece,
                reason,
                full,
            } => self.fetch_failed(root, piece, reason, full),
            Input::FetchProgress {
                root,
                piece,
                bytes_here,
            } => self.fetch_progress(root, piece, bytes_here),
            Input::Answer { id, answer } => self.answered(id, answer),
            Input::Failed { id, reason } => self.unanswered(id, &reason),
            Input::Asked { token, from, request } => self.asked(token, from, request),
        }
        self.send_waiting();
        std::mem::take(&mut self.effects)
    }

    /// A time for a new record of an object: now, or later than a tombstone that would end it.
    pub fn creation_ms(&self, root: &Cid, now_ms: u64) -> u64 {
        now_ms.max(self.tombstones.newest_ms(root).map_or(0, |at_ms| at_ms + 1))
    }

    /// What this node holds of an object, and its record.
    pub fn holding(&self, root: &Cid) -> Option<(&Record, Holding)> {
        let kept = self.kept.get(root)?;
        Some((&kept.record, kept.holding.pinned(kept.pinned)))
    }

    /// How safe an object is, as far as its last check found it; `None` if nothing of it is held here.
    pub fn safety(&self, root: &Cid) -> Option<Safety> {
        let kept = self.kept.get(root)?;
        let known: BTreeMap<NodeAddress, [u8; 20]> = self
            .links
            .members()
            .map(|member| (member.node, member.operator))
            .collect();
        let others = kept.holders.iter().filter(|node| **node != self.own.node);
        let live: Vec<[u8; 20]> = others.filter_map(|node| known.get(node).copied()).collect();
        let operators: BTreeSet<[u8; 20]> = live.iter().copied().chain([self.own.operator]).collect();
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Some(Safety {
            copies: count(live.len() + 1),
            operators: count(operators.len()),
            wanted: count(kept.record.scheme.shares()),
        })
    }

    /// Members that this node knows, itself not included.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.links.members()
    }

    /// Figures for people and metrics.
    pub fn figures(&self) -> Figures {
        Figures {
            members: self.links.members().count(),
            roots: self.kept.len(),
            checks: self.jobs.len(),
            adds: self.adds.len(),
            fetches: self.fetches.len(),
            tombstones: self.tombstones.len(),
            left: self.kept.values().filter(|kept| kept.left > 0).count(),
            short: self
                .kept
                .values()
                .filter(|kept| kept.holders.len() + 1 < kept.record.scheme.shares())
                .count(),
            ..self.figures
        }
    }

    fn tick(&mut self) {
        self.links_tick();
        self.end_expired();
        self.adds_tick();
        self.fetches_tick();
        self.polls_tick();
        self.start_due();
        self.send_questions();
    }

    /// Asks again after about `after_ms`. The check of an object moves by up to a quarter, so that nodes do not all
    /// check at once.
    fn schedule(&mut self, root: Cid, after_ms: u64) {
        let jitter = after_ms / 4;
        let draw = self.draw(&root);
        let due_ms = self.now_ms + after_ms - jitter / 2 + if jitter == 0 { 0 } else { draw % jitter };
        self.schedule_at(root, due_ms);
    }

    fn schedule_at(&mut self, root: Cid, due_ms: u64) {
        if let Some(kept) = self.kept.get_mut(&root) {
            self.due.remove(&(kept.due_ms, root));
            kept.due_ms = due_ms;
            self.due.insert((due_ms, root));
        }
    }

    /// Evenly spread numbers that differ by node, object and call.
    fn draw(&mut self, root: &Cid) -> u64 {
        self.draws += 1;
        let mut first = [0; 8];
        first.copy_from_slice(&score(root, &self.own.node)[..8]);
        (u64::from_be_bytes(first) ^ self.draws).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16
    }
}

#[cfg(test)]
mod tests;
