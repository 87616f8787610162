//! Fetching blocks from peers. Pure: no I/O, the clock is passed in.
//!
//! A session groups what belongs together. A block is asked of one peer at a time (want-block): one that said it has
//! it, else one that gave this session something before, else any; among equals the one that owes the fewest blocks.
//! While nobody is known to be good, or after somebody said no, the others are asked whether they have it (want-have).
//! Who says no, is silent for too long, leaves, or gave three blocks that nobody asked for is passed over, and the next
//! one is asked; when nobody is left, the answer is [`Effect::Missing`] with what each one did.

mod peer;
mod session;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use libp2p::PeerId;
use r1_r1fs::Cid;

use crate::{
    error::{Answer, Asked},
    message::{Digest, Entry, WantType, digest},
};
use peer::Peer;
use session::{Progress, Session, Want};

/// Unwanted blocks after which a peer is passed over for the rest of a session.
pub const MAX_STRIKES: u32 = 3;
/// Most peers of one session; more are left out.
pub const MAX_CANDIDATES: usize = 64;
/// How often one block makes a lost or unreachable peer be dialled.
const MAX_DIALS: u8 = 2;
/// A silent want ends after so many timeouts even if its peer sends other blocks.
const HARD_TIMEOUTS: u32 = 6;
/// Between two looks at the clock of all wants.
const SCAN: Duration = Duration::from_millis(200);

/// Names a session.
pub(crate) type SessionId = u64;

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A session begins; without candidates it asks who is connected.
    Open {
        session: SessionId,
        candidates: Vec<PeerId>,
    },
    /// A session ends, and all its wants.
    Close(SessionId),
    /// A session wants a block.
    Want { session: SessionId, cid: Cid },
    /// It does not any more.
    Cancel { session: SessionId, digest: Digest },
    /// A peer came.
    Connected(PeerId),
    /// Its last connection ended.
    Disconnected(PeerId),
    /// It could not be dialled, or does not speak Bitswap.
    Unreachable(PeerId),
    /// It sent something. The names were computed from the bytes; `wrong` blocks had none.
    Received {
        peer: PeerId,
        blocks: Vec<(Cid, Bytes)>,
        presences: Vec<(Cid, bool)>,
        wrong: usize,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Tell a peer what is wanted.
    Ask { peer: PeerId, entries: Vec<Entry> },
    /// Connect to a peer.
    Dial(PeerId),
    /// A block is here.
    Got {
        session: SessionId,
        digest: Digest,
        data: Bytes,
    },
    /// A block is nowhere.
    Missing {
        session: SessionId,
        digest: Digest,
        asked: Vec<Asked>,
    },
    /// How many answers a peer owes: with none, its blocks need not be looked at.
    Expecting { peer: PeerId, count: usize },
    /// Blocks that nobody asked for, and blocks without a name.
    Unwanted { unasked: usize, wrong: usize },
}

/// The asking side.
pub(crate) struct Client {
    timeout: Duration,
    sessions: HashMap<SessionId, Session>,
    peers: HashMap<PeerId, Peer>,
    /// Which sessions want a block.
    wanted: HashMap<Digest, BTreeSet<SessionId>>,
    outbox: HashMap<PeerId, Vec<Entry>>,
    effects: Vec<Effect>,
    /// Peers whose debt changed.
    changed: HashSet<PeerId>,
    scanned: Option<Instant>,
}

impl Client {
    /// `timeout`: how long a peer may be silent before somebody else is asked.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            sessions: HashMap::new(),
            peers: HashMap::new(),
            wanted: HashMap::new(),
            outbox: HashMap::new(),
            effects: Vec::new(),
            changed: HashSet::new(),
            scanned: None,
        }
    }

    /// Blocks that are wanted.
    pub(crate) fn waiting(&self) -> usize {
        self.wanted.len()
    }

    /// One thing that happened. What follows is collected until [`Client::flush`], so that wants travel together.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Open { session, candidates } => self.open(now, session, candidates),
            Input::Close(session) => self.close(session),
            Input::Want { session, cid } => self.want(now, session, cid),
            Input::Cancel { session, digest } => self.drop_want(session, &digest),
            Input::Connected(peer) => self.connected(now, peer),
            Input::Disconnected(peer) => self.disconnected(now, peer),
            Input::Unreachable(peer) => self.unreachable(now, peer),
            Input::Received {
                peer,
                blocks,
                presences,
                wrong,
            } => self.received(now, peer, blocks, presences, wrong),
            Input::Tick => self.tick(now),
        }
    }

    /// What is to be done since the last call.
    pub(crate) fn flush(&mut self) -> Vec<Effect> {
        for peer in self.changed.drain() {
            let count = self.peers.get(&peer).map_or(0, Peer::owes);
            self.effects.push(Effect::Expecting { peer, count });
        }
        let mut effects = std::mem::take(&mut self.effects);
        for (peer, entries) in self.outbox.drain() {
            effects.push(Effect::Ask { peer, entries });
        }
        effects
    }

    fn open(&mut self, now: Instant, id: SessionId, mut candidates: Vec<PeerId>) {
        if candidates.is_empty() {
            let connected = self.peers.iter().filter(|(_, peer)| peer.connected);
            candidates = connected.map(|(id, _)| *id).collect();
        }
        let mut seen = HashSet::new();
        candidates.retain(|peer| seen.insert(*peer));
        candidates.truncate(MAX_CANDIDATES);
        for peer in &candidates {
            self.dial(now, *peer);
        }
        self.sessions.insert(id, Session::new(candidates));
    }

    fn close(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let wants: Vec<_> = session.wants.keys().copied().collect();
        for digest in wants {
            self.drop_want(id, &digest);
        }
        self.sessions.remove(&id);
        let sessions = &self.sessions;
        self.peers.retain(|id, peer| {
            peer.connected || sessions.values().any(|session| session.candidates.contains(id))
        });
    }

    fn dial(&mut self, now: Instant, id: PeerId) {
        let peer = self.peers.entry(id).or_default();
        if !peer.connected && !peer.dialling && !peer.hopeless(now) {
            peer.dialling = true;
            self.effects.push(Effect::Dial(id));
        }
    }

    fn want(&mut self, now: Instant, id: SessionId, cid: Cid) {
        let (Some(digest), Some(session)) = (digest(&cid), self.sessions.get_mut(&id)) else {
            return;
        };
        session.wants.entry(digest).or_insert_with(|| Want::new(cid));
        self.wanted.entry(digest).or_default().insert(id);
        self.advance(now, id, digest);
    }

    /// Ends a want: whoever was asked is told.
    fn drop_want(&mut self, id: SessionId, digest: &Digest) {
        let Some(want) = self
            .sessions
            .get_mut(&id)
            .and_then(|session| session.wants.remove(digest))
        else {
            return;
        };
        if let Some(sessions) = self.wanted.get_mut(digest) {
            sessions.remove(&id);
            if sessions.is_empty() {
                self.wanted.remove(digest);
            }
        }
        for (peer, progress) in &want.progress {
            if progress.is_asked() {
                // The one who gave it too: some peers (js-libp2p's) send a block again only after that.
                self.release(*peer, want.cid, digest, true);
            }
        }
    }

    /// One want less at a peer; it is told if that was the last one for this block.
    fn release(&mut self, id: PeerId, cid: Cid, digest: &Digest, tell: bool) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        self.changed.insert(id);
        if peer.release(digest) && tell && peer.connected {
            let entry = Entry {
                cid,
                priority: 0,
                cancel: true,
                want: WantType::Block,
                send_dont_have: false,
            };
            self.outbox.entry(id).or_default().push(entry);
        }
    }

    fn connected(&mut self, now: Instant, id: PeerId) {
        let peer = self.peers.entry(id).or_default();
        peer.connected = true;
        peer.dialling = false;
        peer.failed = None;
        self.advance_all(now, id);
    }

    fn disconnected(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.connected = false;
        let owed = peer.forget();
        self.changed.insert(id);
        self.outbox.remove(&id);
        for digest in owed {
            for session in self.sessions_of(&digest) {
                if let Some(want) = self.find(session, &digest) {
                    want.progress.remove(&id);
                    self.advance(now, session, digest);
                }
            }
        }
        if !self
            .sessions
            .values()
            .any(|session| session.candidates.contains(&id))
        {
            self.peers.remove(&id);
        }
    }

    fn unreachable(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.dialling = false;
            peer.failed = Some(now);
            self.advance_all(now, id);
        }
    }

    fn sessions_of(&self, digest: &Digest) -> Vec<SessionId> {
        self.wanted
            .get(digest)
            .map_or_else(Vec::new, |sessions| sessions.iter().copied().collect())
    }

    fn find(&mut self, session: SessionId, digest: &Digest) -> Option<&mut Want> {
        self.sessions.get_mut(&session)?.wants.get_mut(digest)
    }

    /// Looks at all wants of those sessions that a peer belongs to.
    fn advance_all(&mut self, now: Instant, peer: PeerId) {
        let sessions = self
            .sessions
            .iter()
            .filter(|(_, session)| session.candidates.contains(&peer));
        let wants: Vec<(SessionId, Digest)> = sessions
            .flat_map(|(id, session)| session.wants.keys().map(|digest| (*id, *digest)))
            .collect();
        for (session, digest) in wants {
            self.advance(now, session, digest);
        }
    }

    fn received(
        &mut self,
        now: Instant,
        id: PeerId,
        blocks: Vec<(Cid, Bytes)>,
        presences: Vec<(Cid, bool)>,
        wrong: usize,
    ) {
        let mut unasked = 0;
        let mut strikes = u32::try_from(wrong).unwrap_or(u32::MAX);
        for (cid, data) in blocks {
            let Some(digest) = digest(&cid) else { continue };
            if self.block(now, id, digest, &data) {
                continue;
            }
            unasked += 1;
            let late = self.peers.get(&id).is_some_and(|peer| peer.was_asked(&digest));
            strikes = strikes.saturating_add(u32::from(!late));
        }
        for (cid, have) in presences {
            if let Some(digest) = digest(&cid) {
                self.presence(now, id, digest, have);
            }
        }
        if unasked + wrong > 0 {
            self.effects.push(Effect::Unwanted { unasked, wrong });
        }
        if strikes > 0 {
            self.strike(now, id, strikes);
        }
    }

    /// A block came; true if it was wanted.
    fn block(&mut self, now: Instant, id: PeerId, digest: Digest, data: &Bytes) -> bool {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.last_block = Some(now);
        }
        let sessions = self.sessions_of(&digest);
        for session in &sessions {
            if let Some(group) = self.sessions.get_mut(session) {
                group.good.insert(id);
            }
            self.drop_want(*session, &digest);
            self.effects.push(Effect::Got {
                session: *session,
                digest,
                data: data.clone(),
            });
        }
        !sessions.is_empty()
    }

    fn presence(&mut self, now: Instant, id: PeerId, digest: Digest, have: bool) {
        for session in self.sessions_of(&digest) {
            let Some(want) = self.find(session, &digest) else {
                continue;
            };
            let cid = want.cid;
            match (want.progress.get(&id), have) {
                (Some(Progress::HaveAsked(_)), true) => {
                    want.progress.insert(id, Progress::Has);
                    if let Some(group) = self.sessions.get_mut(&session) {
                        group.good.insert(id);
                    }
                    self.release(id, cid, &digest, false);
                }
                (Some(progress), false) if progress.is_asked() => {
                    want.progress.insert(id, Progress::Not(Answer::DontHave));
                    self.release(id, cid, &digest, false);
                }
                _ => continue,
            }
            self.advance(now, session, digest);
        }
    }

    /// Counts blocks that nobody asked for; too many, and the peer is passed over in its sessions.
    fn strike(&mut self, now: Instant, id: PeerId, strikes: u32) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            let Some(group) = self.sessions.get_mut(&session) else {
                continue;
            };
            if !group.candidates.contains(&id) || !group.strike(id, strikes) {
                continue;
            }
            let wants: Vec<_> = group.wants.keys().copied().collect();
            for digest in wants {
                self.give_up(session, &digest, id, Answer::Banned);
                self.advance(now, session, digest);
            }
        }
    }

    /// A peer will not be waited for any more.
    fn give_up(&mut self, session: SessionId, digest: &Digest, peer: PeerId, why: Answer) {
        let Some(want) = self.find(session, digest) else {
            return;
        };
        let cid = want.cid;
        let old = want.progress.insert(peer, Progress::Not(why));
        if old.is_some_and(|old| old.is_asked()) {
            self.release(peer, cid, digest, true);
        }
    }

    fn tick(&mut self, now: Instant) {
        let due = self
            .scanned
            .is_none_or(|last| now.saturating_duration_since(last) >= SCAN.min(self.timeout / 4));
        if !due {
            return;
        }
        self.scanned = Some(now);
        for (session, digest, peer) in self.late(now) {
            self.give_up(session, &digest, peer, Answer::Silent);
            self.advance(now, session, digest);
        }
    }

    /// Who has been asked for a block and is silent for too long.
    fn late(&self, now: Instant) -> Vec<(SessionId, Digest, PeerId)> {
        let mut late = Vec::new();
        for (id, session) in &self.sessions {
            for (digest, want) in &session.wants {
                for (peer, progress) in &want.progress {
                    let last = self.peers.get(peer).and_then(|peer| peer.last_block);
                    if progress.is_late(now, last, self.timeout) {
                        late.push((*id, *digest, *peer));
                    }
                }
            }
        }
        late
    }
}

#[cfg(test)]
mod tests;
