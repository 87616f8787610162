//! How objects end: deleted by their owner, or their time is over.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cause, Effect, Keeper};
use crate::{
    Cid,
    durability::record::{Record, Tombstone},
};

/// How far a tombstone's clock may be ahead, milliseconds.
const MAX_AHEAD_MS: u64 = 3_600_000;
/// Most tombstones of one object, each of another owner.
const MAX_OWNERS: usize = 8;

/// Tombstones that were verified.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_root: BTreeMap<Cid, Vec<Tombstone>>,
    by_age: BTreeSet<(u64, Cid)>,
}

impl Tombstones {
    pub(super) fn len(&self) -> usize {
        self.by_root.values().map(Vec::len).sum()
    }

    /// The one that ends a record.
    pub(super) fn ending(&self, record: &Record) -> Option<&Tombstone> {
        self.by_root
            .get(&record.root)?
            .iter()
            .find(|tombstone| tombstone.ends(record))
    }

    pub(super) fn newest(&self, root: &Cid) -> Option<&Tombstone> {
        self.by_root
            .get(root)?
            .iter()
            .max_by_key(|tombstone| tombstone.at_ms)
    }

    pub(super) fn newest_ms(&self, root: &Cid) -> Option<u64> {
        self.newest(root).map(|tombstone| tombstone.at_ms)
    }

    /// Whether the same or a later one of its owner is known.
    fn knows(&self, new: &Tombstone) -> bool {
        let known = self.by_root.get(&new.root).into_iter().flatten();
        known
            .into_iter()
            .any(|old| old.owner == new.owner && old.at_ms >= new.at_ms)
    }

    fn insert(&mut self, new: Tombstone) {
        self.by_age.insert((new.at_ms, new.root));
        let list = self.by_root.entry(new.root).or_default();
        list.retain(|old| old.owner != new.owner);
        if list.len() >= MAX_OWNERS {
            list.remove(0);
        }
        list.push(new);
    }

    /// Takes out those made before a time, and the oldest beyond a number.
    fn take_old(&mut self, before_ms: u64, most: usize) -> Vec<Tombstone> {
        let mut old = Vec::new();
        while let Some(&(at_ms, root)) = self.by_age.first()
            && (at_ms < before_ms || self.by_age.len() > most)
        {
            self.by_age.pop_first();
            if let Some(list) = self.by_root.get_mut(&root) {
                old.extend(list.iter().filter(|tombstone| tombstone.at_ms <= at_ms).cloned());
                list.retain(|tombstone| tombstone.at_ms > at_ms);
                if list.is_empty() {
                    self.by_root.remove(&root);
                }
            }
        }
        old
    }
}

impl Keeper {
    /// Verifies a tombstone, remembers it and lets go of what it ends. Whether it is valid.
    pub(super) fn honour(&mut self, tombstone: Tombstone) -> bool {
        if self.tombstones.knows(&tombstone) {
            return true;
        }
        let ahead = tombstone.at_ms > self.now_ms + MAX_AHEAD_MS;
        let old = tombstone.at_ms + self.config.tombstone_ms < self.now_ms;
        if ahead || old || tombstone.verify().is_err() {
            return false;
        }
        self.tombstones.insert(tombstone.clone());
        self.effects.push(Effect::PersistTombstone(tombstone.clone()));
        self.apply(&tombstone);
        true
    }

    fn apply(&mut self, tombstone: &Tombstone) {
        let root = tombstone.root;
        let Some(kept) = self
            .kept
            .get_mut(&root)
            .filter(|kept| tombstone.ends(&kept.record))
        else {
            return;
        };
        if kept.pinned && tombstone.owner != self.own.node {
            // This node wants it all the same: from now on it is this node's.
            kept.record.owner = self.own.node;
            kept.record.created_ms = tombstone.at_ms + 1;
            let record = kept.record.clone();
            self.effects.push(Effect::PersistRecord(record));
            return;
        }
        self.drop_all(&root, Cause::Deleted);
        self.end_add(&root, "it was deleted");
    }

    fn drop_all(&mut self, root: &Cid, cause: Cause) {
        if let Some(kept) = self.kept.get(root) {
            self.effects.push(Effect::Drop {
                root: *root,
                shares: kept.holding,
                cause,
            });
        }
        self.forget(root);
    }

    /// This node's own word; told to all members that may hold something.
    pub(super) fn deleted(&mut self, tombstone: Tombstone) {
        let root = tombstone.root;
        if !self.honour(tombstone.clone()) {
            return;
        }
        if let Some(kept) = self.kept.get_mut(&root) {
            kept.pinned = false;
        }
        let nodes: Vec<_> = self.links.members().map(|member| member.node).collect();
        for node in nodes {
            self.links
                .release(&node, tombstone.clone(), self.config.max_waiting());
        }
    }

    /// One from the store, at start.
    pub(super) fn remember(&mut self, tombstone: Tombstone) {
        if !self.tombstones.knows(&tombstone) {
            self.tombstones.insert(tombstone.clone());
            self.apply(&tombstone);
        }
    }

    /// Drops what has expired, and forgets old tombstones.
    pub(super) fn end_expired(&mut self) {
        while let Some(&(expires_ms, root)) = self.expiries.first()
            && expires_ms <= self.now_ms
        {
            self.expiries.pop_first();
            self.drop_all(&root, Cause::Expired);
            self.end_add(&root, "its time is over");
        }
        let before_ms = self.now_ms.saturating_sub(self.config.tombstone_ms);
        for old in self.tombstones.take_old(before_ms, self.config.max_tombstones) {
            self.effects.push(Effect::ForgetTombstone(old));
        }
    }

    /// Nothing of an object is here any more.
    pub(super) fn forget(&mut self, root: &Cid) {
        self.jobs.remove(root);
        if let Some(kept) = self.kept.remove(root) {
            self.due.remove(&(kept.due_ms, *root));
            if let Some(expires_ms) = kept.record.expires_ms {
                self.expiries.remove(&(expires_ms, *root));
            }
        }
    }
}
