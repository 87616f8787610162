//! The account of one peer.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

use r1_r1fs::{Cid, MAX_BLOCK};

use super::{Lookup, MAX_LOOKUPS};
use crate::message::Entry;

/// Place in a wantlist: priority, then arrival.
pub(crate) type Key = (Reverse<i32>, u64);

/// Bytes per second, as a bucket of one second that holds at least a block.
struct Bucket {
    rate: u64,
    tokens: f64,
    filled: Instant,
}

pub(super) struct Ledger {
    wants: BTreeMap<Key, Entry>,
    places: HashMap<Cid, Key>,
    /// Cancelled while the store was asked.
    cancelled: HashSet<Cid>,
    reading: bool,
    /// What the peer may still take before others get their turn; negative after a block that was larger.
    deficit: i64,
    bucket: Option<Bucket>,
    pub(super) in_flight: usize,
    in_flight_limit: usize,
    pub(super) queued: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            wants: BTreeMap::new(),
            places: HashMap::new(),
            cancelled: HashSet::new(),
            reading: false,
            deficit: 0,
            bucket: None,
            in_flight: 0,
            in_flight_limit: 0,
            queued: false,
        }
    }

    /// What the peer may take from now on.
    pub(super) fn agree(&mut self, rate: Option<u64>, in_flight: usize, now: Instant) {
        self.in_flight_limit = in_flight;
        if self.bucket.as_ref().map(|bucket| bucket.rate) != rate {
            self.bucket = rate.map(|rate| Bucket {
                rate,
                tokens: burst(rate),
                filled: now,
            });
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.wants.len()
    }

    /// Takes a want in, or replaces it; false if there are too many.
    pub(super) fn want(&mut self, entry: Entry, sequence: u64, limit: usize) -> bool {
        if let Some(place) = self.places.get(&entry.cid) {
            if let Some(old) = self.wants.get_mut(place) {
                *old = entry;
            }
            return true;
        }
        if self.wants.len() >= limit {
            return false;
        }
        self.cancelled.remove(&entry.cid);
        self.insert((Reverse(entry.priority), sequence), entry);
        true
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        self.places.insert(entry.cid, key);
        self.wants.insert(key, entry);
    }

    pub(super) fn cancel(&mut self, cid: &Cid) {
        match self.places.remove(cid) {
            Some(place) => {
                self.wants.remove(&place);
            }
            None if self.reading && self.cancelled.len() < MAX_LOOKUPS => {
                self.cancelled.insert(*cid);
            }
            None => {}
        }
    }

    pub(super) fn clear(&mut self) {
        self.wants.clear();
        self.places.clear();
    }

    /// Adds what the time since the last call is worth.
    pub(super) fn fill(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
            bucket.tokens = (bucket.tokens + passed * bucket.rate as f64).min(burst(bucket.rate));
            bucket.filled = bucket.filled.max(now);
        }
    }

    pub(super) fn ready(&self) -> bool {
        !self.wants.is_empty()
            && !self.reading
            && self.in_flight < self.in_flight_limit
            && self.bucket.as_ref().is_none_or(|bucket| bucket.tokens > 0.0)
    }

    /// One turn: what to look up and for how many bytes; `None` while the peer is in debt.
    pub(super) fn turn(&mut self, message: usize) -> Option<(Vec<Lookup>, usize)> {
        let quantum = i64::try_from(message).unwrap_or(i64::MAX);
        self.deficit = self.deficit.saturating_add(quantum).min(quantum);
        if self.deficit <= 0 {
            return None;
        }
        let room = self.in_flight_limit.saturating_sub(self.in_flight);
        let budget = usize::try_from(self.deficit).unwrap_or(0).min(room).max(1);
        let mut wants = Vec::new();
        while wants.len() < MAX_LOOKUPS
            && let Some((key, entry)) = self.wants.pop_first()
        {
            self.places.remove(&entry.cid);
            wants.push(Lookup { key, entry });
        }
        self.reading = true;
        Some((wants, budget))
    }

    /// Books what was read and puts the rest back, but what was cancelled or wanted anew meanwhile.
    pub(super) fn finish_read(&mut self, rest: Vec<Lookup>, cost: usize) {
        self.reading = false;
        let cancelled = std::mem::take(&mut self.cancelled);
        for Lookup { key, entry } in rest {
            if !cancelled.contains(&entry.cid) && !self.places.contains_key(&entry.cid) {
                self.insert(key, entry);
            }
        }
        self.in_flight += cost;
        self.deficit = self
            .deficit
            .saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
        if self.wants.is_empty() {
            self.deficit = self.deficit.min(0);
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.tokens -= cost as f64;
        }
    }
}

fn burst(rate: u64) -> f64 {
    rate.max(MAX_BLOCK as u64) as f64
}
