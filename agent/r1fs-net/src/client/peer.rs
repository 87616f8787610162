//! What is known of one peer, over all sessions.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::message::Digest;

/// Names of blocks that are remembered as asked for, so that one that comes late is no offence.
const MEMORY: usize = 2048;
/// How long a peer that could not be reached is not dialled again.
const HOPELESS: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) connected: bool,
    pub(super) dialling: bool,
    /// When it could not be reached.
    pub(super) failed: Option<Instant>,
    pub(super) last_block: Option<Instant>,
    /// Answers that it owes, and to how many sessions.
    asked: HashMap<Digest, usize>,
    order: VecDeque<Digest>,
    memory: HashSet<Digest>,
}

impl Peer {
    pub(super) fn hopeless(&self, now: Instant) -> bool {
        self.failed
            .is_some_and(|failed| now.saturating_duration_since(failed) < HOPELESS)
    }

    pub(super) fn owes(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn ask(&mut self, digest: Digest) {
        *self.asked.entry(digest).or_default() += 1;
        if self.memory.insert(digest) {
            self.order.push_back(digest);
        }
        if self.order.len() > MEMORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.memory.remove(&oldest);
        }
    }

    /// True if nobody waits for this block from this peer any more.
    pub(super) fn release(&mut self, digest: &Digest) -> bool {
        let Some(count) = self.asked.get_mut(digest) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.asked.remove(digest);
            return true;
        }
        false
    }

    pub(super) fn was_asked(&self, digest: &Digest) -> bool {
        self.memory.contains(digest)
    }

    /// It left: what it owed.
    pub(super) fn forget(&mut self) -> Vec<Digest> {
        self.asked.drain().map(|(digest, _)| digest).collect()
    }
}
