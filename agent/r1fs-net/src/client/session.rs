//! What one session wants, and who is asked next.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use r1_r1fs::Cid;

use super::{Client, Effect, HARD_TIMEOUTS, MAX_DIALS, MAX_STRIKES, SessionId};
use crate::{
    error::{Answer, Asked},
    message::{Digest, Entry, WantType},
};

/// How far a peer is with a want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Asked whether it has it.
    HaveAsked(Instant),
    /// Says it has it.
    Has,
    /// Asked to send it.
    BlockAsked(Instant),
    /// Will not be asked again.
    Not(Answer),
}

impl Progress {
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Self::HaveAsked(_) | Self::BlockAsked(_))
    }

    /// Blocks that come from the peer meanwhile are progress, up to a point.
    pub(super) fn is_late(self, now: Instant, last_block: Option<Instant>, timeout: Duration) -> bool {
        let passed = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        match self {
            Self::HaveAsked(since) => passed(since, timeout),
            Self::BlockAsked(since) => {
                let seen = last_block.map_or(since, |last| last.max(since));
                passed(seen, timeout) || passed(since, timeout.saturating_mul(HARD_TIMEOUTS))
            }
            Self::Has | Self::Not(_) => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Want {
    pub(super) cid: Cid,
    pub(super) progress: HashMap<PeerId, Progress>,
    dials: HashMap<PeerId, u8>,
}

impl Want {
    pub(super) fn new(cid: Cid) -> Self {
        Self {
            cid,
            progress: HashMap::new(),
            dials: HashMap::new(),
        }
    }

    fn being_sent(&self) -> bool {
        self.progress
            .values()
            .any(|progress| matches!(progress, Progress::BlockAsked(_)))
    }

    fn refused(&self) -> bool {
        self.progress
            .values()
            .any(|progress| matches!(progress, Progress::Not(_)))
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) candidates: Vec<PeerId>,
    pub(super) wants: HashMap<Digest, Want>,
    /// Peers that had something.
    pub(super) good: HashSet<PeerId>,
    strikes: HashMap<PeerId, u32>,
}

impl Session {
    pub(super) fn new(candidates: Vec<PeerId>) -> Self {
        Self {
            candidates,
            wants: HashMap::new(),
            good: HashSet::new(),
            strikes: HashMap::new(),
        }
    }

    fn banned(&self, peer: &PeerId) -> bool {
        self.strikes
            .get(peer)
            .is_some_and(|strikes| *strikes >= MAX_STRIKES)
    }

    /// True if the peer is banned by this.
    pub(super) fn strike(&mut self, peer: PeerId, strikes: u32) -> bool {
        let before = self.banned(&peer);
        let count = self.strikes.entry(peer).or_default();
        *count = count.saturating_add(strikes);
        !before && self.banned(&peer)
    }
}

/// What can be done next for a want.
#[derive(Default)]
struct Choice {
    /// Says it has it.
    has: Vec<PeerId>,
    /// Connected, not asked yet.
    fresh: Vec<PeerId>,
    /// Not connected.
    away: Vec<PeerId>,
    /// Asked whether it has it.
    waiting: bool,
}

impl Client {
    /// Takes the next step for a want, if there is one to take.
    pub(super) fn advance(&mut self, now: Instant, id: SessionId, digest: Digest) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let Some(want) = session.wants.get(&digest) else {
            return;
        };
        if want.being_sent() {
            return;
        }
        let choice = self.choice(session, want);
        let nobody_good = !choice.fresh.iter().any(|peer| session.good.contains(peer));
        let broadcast = nobody_good || want.refused();
        let next = self
            .best(session, &choice.has)
            .or_else(|| self.best(session, &choice.fresh));
        if let Some(peer) = next {
            self.ask(now, id, digest, peer, WantType::Block);
        }
        if broadcast && choice.has.is_empty() {
            let others = choice.fresh.iter().filter(|peer| Some(**peer) != next);
            for peer in others {
                self.ask(now, id, digest, *peer, WantType::Have);
            }
        }
        if next.is_none() && !choice.waiting {
            self.seek(now, id, digest, choice.away);
        }
    }

    fn choice(&self, session: &Session, want: &Want) -> Choice {
        let mut choice = Choice::default();
        for id in &session.candidates {
            let connected = self.peers.get(id).is_some_and(|peer| peer.connected);
            match want.progress.get(id) {
                _ if session.banned(id) => {}
                Some(Progress::Has) if connected => choice.has.push(*id),
                Some(Progress::HaveAsked(_)) => choice.waiting = true,
                Some(Progress::BlockAsked(_) | Progress::Not(_)) => {}
                None if connected => choice.fresh.push(*id),
                Some(Progress::Has) | None => choice.away.push(*id),
            }
        }
        choice
    }

    /// A peer that gave something before, and among those the one that owes least.
    fn best(&self, session: &Session, peers: &[PeerId]) -> Option<PeerId> {
        let rank = |id: &&PeerId| {
            let owes = self.peers.get(id).map_or(0, super::Peer::owes);
            (!session.good.contains(id), owes)
        };
        peers.iter().min_by_key(rank).copied()
    }

    fn ask(&mut self, now: Instant, id: SessionId, digest: Digest, peer: PeerId, kind: WantType) {
        let Some(want) = self.find(id, &digest) else {
            return;
        };
        let cid = want.cid;
        let progress = match kind {
            WantType::Block => Progress::BlockAsked(now),
            WantType::Have => Progress::HaveAsked(now),
        };
        want.progress.insert(peer, progress);
        self.changed.insert(peer);
        let state = self.peers.entry(peer).or_default();
        state.ask(digest);
        let entry = Entry {
            cid,
            priority: 1,
            cancel: false,
            want: kind,
            send_dont_have: true,
        };
        self.outbox.entry(peer).or_default().push(entry);
    }

    /// Nobody who is here can help: waits for those who may come, or ends.
    fn seek(&mut self, now: Instant, id: SessionId, digest: Digest, away: Vec<PeerId>) {
        let mut hope = false;
        for peer in away {
            let state = self.peers.entry(peer).or_default();
            if state.dialling {
                hope = true;
                continue;
            }
            let hopeless = state.hopeless(now);
            let Some(want) = self.find(id, &digest) else {
                return;
            };
            let dials = want.dials.entry(peer).or_default();
            if hopeless || *dials >= MAX_DIALS {
                want.progress.insert(peer, Progress::Not(Answer::Unreachable));
                continue;
            }
            *dials += 1;
            hope = true;
            self.dial(now, peer);
        }
        if !hope {
            self.miss(id, digest);
        }
    }

    fn miss(&mut self, session: SessionId, digest: Digest) {
        let Some(group) = self.sessions.get(&session) else {
            return;
        };
        let Some(want) = group.wants.get(&digest) else {
            return;
        };
        let asked = group.candidates.iter().filter_map(|peer| {
            let answer = match want.progress.get(peer) {
                _ if group.banned(peer) => Answer::Banned,
                Some(Progress::Not(answer)) => *answer,
                _ => return None,
            };
            Some(Asked { peer: *peer, answer })
        });
        let asked = asked.collect();
        self.drop_want(session, &digest);
        self.effects.push(Effect::Missing {
            session,
            digest,
            asked,
        });
    }
}
