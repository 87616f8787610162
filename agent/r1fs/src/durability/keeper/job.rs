//! One object being checked, repaired or added: first it is heard who has what, then what is missing is placed.

use std::collections::{BTreeMap, BTreeSet};

use r1_core::NodeAddress;

use super::{Cause, Effect, Keeper, Share, view::View};
use crate::{
    Cid,
    durability::{
        message::{Answer, Holding, MAX_INLINE_OBJECT, MAX_REASON},
        placement::rank,
    },
};

/// How often a question is asked before a member counts as not answering.
const TRIES: u8 = 2;

#[derive(Debug, Default)]
struct Placing {
    tries: u8,
    /// It said that it is fetching.
    fetching: bool,
    bytes_here: u64,
    moved_ms: u64,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) full: bool,
}

/// A check under way.
#[derive(Debug)]
pub(super) struct Job {
    /// The members at the start in their order for this object, this node included.
    pub(super) ranked: Vec<NodeAddress>,
    asking: BTreeMap<NodeAddress, u8>,
    pub(super) held: BTreeMap<NodeAddress, Holding>,
    pub(super) failed: BTreeMap<NodeAddress, Failure>,
    stores: BTreeMap<Share, Placing>,
    /// When promises were asked for, to drop a surplus share; anything placed since ends that.
    promises_ms: Option<u64>,
    /// Members that announce themselves and did not answer.
    silent: BTreeSet<NodeAddress>,
}

impl Job {
    /// Whether a share is being placed.
    pub(super) fn stores(&self, share: &Share) -> bool {
        self.stores.contains_key(share)
    }

    fn touches(&self, node: &NodeAddress) -> bool {
        self.asking.contains_key(node)
            || self.held.contains_key(node)
            || self.stores.keys().any(|(holder, _)| holder == node)
    }

    fn fail(&mut self, node: NodeAddress, reason: &str, full: bool) {
        let mut reason = reason.to_owned();
        if reason.len() > MAX_REASON {
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
        }
        self.stores.retain(|(holder, _), _| *holder != node);
        self.failed.insert(node, Failure { reason, full });
    }
}

impl Keeper {
    /// Begins to check objects whose time has come.
    pub(super) fn start_due(&mut self) {
        for _ in 0..self.config.checks_per_tick {
            let Some(&(due_ms, root)) = self.due.first() else {
                break;
            };
            if due_ms > self.now_ms || self.jobs.len() >= self.config.max_checks {
                break;
            }
            self.due.pop_first();
            self.start(root, true);
        }
    }

    /// Begins to check an object; one that was just added is placed without asking who has it.
    pub(super) fn start(&mut self, root: Cid, ask: bool) {
        let Some(kept) = self.kept.get(&root) else { return };
        if self.jobs.contains_key(&root) {
            return;
        }
        let members = self.links.members().chain([&self.own]);
        let ranked: Vec<_> = rank(&root, members)
            .into_iter()
            .map(|member| member.node)
            .collect();
        let mut asking = BTreeMap::new();
        if ask {
            let width = kept.record.scheme.shares() + self.config.ask_width;
            let known = kept.holders.iter().chain([&kept.record.owner]);
            for node in ranked.iter().take(width).chain(known) {
                if self.links.member(node).is_some() {
                    asking.insert(*node, 0);
                }
            }
        }
        for node in asking.keys() {
            self.links.question(node, root, false);
        }
        let job = Job {
            ranked,
            asking,
            held: BTreeMap::new(),
            failed: BTreeMap::new(),
            stores: BTreeMap::new(),
            promises_ms: None,
            silent: BTreeSet::new(),
        };
        self.jobs.insert(root, job);
        self.advance(root);
    }

    /// Objects whose check has to do with a member.
    pub(super) fn jobs_with(&self, node: &NodeAddress) -> Vec<Cid> {
        let touched = self.jobs.iter().filter(|(_, job)| job.touches(node));
        touched.map(|(root, _)| *root).collect()
    }

    pub(super) fn job_lost(&mut self, root: Cid, node: &NodeAddress) {
        if let Some(job) = self.jobs.get_mut(&root) {
            job.asking.remove(node);
            job.held.remove(node);
            job.fail(*node, "lost", false);
            self.advance(root);
        }
    }

    pub(super) fn job_heard(&mut self, root: Cid, node: NodeAddress, holding: Holding) {
        if let Some(job) = self.jobs.get_mut(&root)
            && job.asking.remove(&node).is_some()
        {
            job.held.insert(node, holding);
            self.advance(root);
        }
    }

    pub(super) fn job_unheard(&mut self, root: Cid, node: NodeAddress, reason: &str) {
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        let Some(tries) = job.asking.get_mut(&node) else {
            return;
        };
        *tries += 1;
        if *tries < TRIES {
            self.links.question(&node, root, job.promises_ms.is_some());
            return;
        }
        job.asking.remove(&node);
        job.silent.insert(node);
        job.fail(node, reason, false);
        self.advance(root);
    }

    pub(super) fn job_stored(&mut self, root: Cid, share: Share, answer: Answer) {
        match answer {
            Answer::Stored => {
                let Some(job) = self.jobs.get_mut(&root) else {
                    return;
                };
                if job.stores.remove(&share).is_none() {
                    return;
                }
                let held = job.held.entry(share.0).or_default();
                *held = held.with(Holding::share(share.1));
                self.figures.placed += 1;
                self.advance(root);
            }
            Answer::Fetching { bytes_here } => self.job_fetching(root, share, bytes_here),
            Answer::Refused { reason, full } => self.job_refused(root, share.0, &reason, full),
            Answer::Deleted(tombstone) if tombstone.root == root => {
                self.honour(tombstone);
                self.job_refused(root, share.0, "says that it is deleted", false);
            }
            _ => self.job_unstored(root, share, "answered something else"),
        }
    }

    fn job_fetching(&mut self, root: Cid, share: Share, bytes_here: u64) {
        let (now_ms, stall_ms, poll_ms) = (self.now_ms, self.config.stall_ms, self.config.poll_ms);
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        let Some(placing) = job.stores.get_mut(&share) else {
            return;
        };
        if bytes_here > placing.bytes_here || !placing.fetching {
            placing.bytes_here = bytes_here;
            placing.moved_ms = now_ms;
        }
        placing.fetching = true;
        if placing.moved_ms + stall_ms < now_ms {
            job.fail(share.0, "does not get on with fetching", false);
            self.advance(root);
        } else {
            self.polls.insert((now_ms + poll_ms, root, share));
        }
    }

    /// A member, or this node itself, does not take a share.
    pub(super) fn job_refused(&mut self, root: Cid, node: NodeAddress, reason: &str, full: bool) {
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        job.fail(node, reason, full);
        if full && let Some(kept) = self.kept.get(&root) {
            self.links.full(&node, kept.record.share_bytes());
        }
        self.advance(root);
    }

    pub(super) fn job_unstored(&mut self, root: Cid, share: Share, reason: &str) {
        let again_ms = self.now_ms + self.config.poll_ms;
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        let Some(placing) = job.stores.get_mut(&share) else {
            return;
        };
        placing.tries += 1;
        if placing.tries < TRIES {
            self.polls.insert((again_ms, root, share));
            return;
        }
        job.fail(share.0, reason, false);
        self.advance(root);
    }

    /// A share came here by this node's own wish.
    pub(super) fn job_own(&mut self, root: Cid, piece: Option<u8>) {
        let own = self.own.node;
        if let Some(job) = self.jobs.get_mut(&root)
            && job.stores.remove(&(own, piece)).is_some()
        {
            self.advance(root);
        }
    }

    /// Asks those that are fetching how far they are, and those that did not answer once more.
    pub(super) fn polls_tick(&mut self) {
        while let Some(&(at_ms, root, share)) = self.polls.first()
            && at_ms <= self.now_ms
        {
            self.polls.pop_first();
            let placing = self.jobs.get(&root).and_then(|job| job.stores.get(&share));
            if let Some(placing) = placing {
                let inline = !placing.fetching;
                self.queue_store(root, share, inline);
            }
        }
    }

    fn queue_store(&mut self, root: Cid, share: Share, inline: bool) {
        let Some(kept) = self.kept.get(&root) else { return };
        let inline = inline && kept.record.share_bytes() <= MAX_INLINE_OBJECT;
        self.links.store(share, root, inline, self.config.max_waiting());
    }

    fn place(&mut self, root: Cid, share: Share, holders: &[NodeAddress]) {
        let now_ms = self.now_ms;
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        job.promises_ms = None;
        let placing = Placing {
            moved_ms: now_ms,
            ..Placing::default()
        };
        job.stores.insert(share, placing);
        if share.0 != self.own.node {
            self.queue_store(root, share, true);
        } else if let Err((reason, full)) = self.fetch_own(&root, share.1, holders)
            && let Some(job) = self.jobs.get_mut(&root)
        {
            job.fail(share.0, reason, full);
        }
    }

    /// Does what is next for an object.
    pub(super) fn advance(&mut self, root: Cid) {
        loop {
            let Some(job) = self.jobs.get(&root) else { return };
            let Some(kept) = self.kept.get(&root) else {
                self.jobs.remove(&root);
                return;
            };
            if !job.asking.is_empty() {
                return;
            }
            let view = self.view(kept.record.root, job);
            let fresh: Vec<_> = view
                .missing
                .iter()
                .filter(|share| !job.stores(share))
                .copied()
                .collect();
            let waits = !job.stores.is_empty();
            self.judge_add(root, &view);
            let short = usize::from(view.safety.copies) < view.possible;
            if view.missing.is_empty() && !short {
                return self.settle(root, view);
            }
            if self.doubts(root) {
                return;
            }
            if !view.responsible || (fresh.is_empty() && !waits) {
                return self.leave(root, view);
            }
            if fresh.is_empty() {
                return;
            }
            let mut holders = view.holders;
            if !self.kept.get(&root).is_none_or(|kept| kept.holding.is_empty()) {
                holders.insert(0, self.own.node);
            }
            for share in fresh {
                self.place(root, share, &holders);
            }
            // What could not even be begun is planned anew.
            let failed = self
                .jobs
                .get(&root)
                .is_some_and(|job| job.failed.contains_key(&self.own.node));
            if !failed {
                return;
            }
        }
    }

    /// All that should be is there. Surplus shares go once all others have promised to keep theirs, unless this node
    /// has promised the same.
    fn settle(&mut self, root: Cid, view: View) {
        let now_ms = self.now_ms;
        let Some(kept) = self.kept.get_mut(&root) else {
            return;
        };
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        let is_surplus = !view.surplus.is_empty() && !view.assigned.is_empty();
        let promised = kept.promised_ms > now_ms;
        if is_surplus && !promised && job.promises_ms.is_none() {
            job.promises_ms = Some(now_ms);
            return self.ask_for_promises(root, &view.assigned);
        }
        let in_time = job
            .promises_ms
            .is_some_and(|asked_ms| now_ms < asked_ms + self.config.promise_ms);
        self.jobs.remove(&root);
        kept.holders = view.holders;
        kept.left = 0;
        kept.doubted = false;
        if is_surplus && in_time && !promised {
            return self.drop_surplus(root, view.surplus);
        }
        let after_ms = if is_surplus {
            // Two that wait for each other do not try again at the same time.
            self.config.promise_ms + self.draw(&root) % (4 * self.config.promise_ms).max(1)
        } else {
            self.config.check_interval_ms
        };
        self.schedule(root, after_ms);
    }

    fn ask_for_promises(&mut self, root: Cid, assigned: &[Share]) {
        let own = self.own.node;
        let Some(job) = self.jobs.get_mut(&root) else {
            return;
        };
        for (node, _) in assigned.iter().filter(|(node, _)| *node != own) {
            job.held.remove(node);
            job.asking.insert(*node, 0);
            self.links.question(node, root, true);
        }
        if job.asking.is_empty() {
            self.advance(root);
        }
    }

    fn drop_surplus(&mut self, root: Cid, surplus: Holding) {
        let Some(kept) = self.kept.get_mut(&root) else {
            return;
        };
        kept.holding = kept.holding.without(surplus);
        let gone = kept.holding.is_empty();
        self.figures.dropped += 1;
        self.effects.push(Effect::Drop {
            root,
            shares: surplus,
            cause: Cause::Surplus,
        });
        if gone {
            self.forget(&root);
        } else {
            self.schedule(root, self.config.check_interval_ms);
        }
    }

    /// A holder that is there and did not answer is asked once more a little later before its share is made anew.
    fn doubts(&mut self, root: Cid) -> bool {
        let Some(job) = self.jobs.get(&root) else {
            return false;
        };
        let Some(kept) = self.kept.get_mut(&root) else {
            return false;
        };
        let holder_is_silent = kept.holders.iter().any(|node| job.silent.contains(node));
        let begun = !job.stores.is_empty() || self.adds.contains_key(&root);
        if begun || kept.doubted || !holder_is_silent {
            return false;
        }
        kept.doubted = true;
        self.jobs.remove(&root);
        self.schedule(root, self.config.recheck_ms);
        true
    }

    /// Something is missing and this node can do nothing more about it now.
    fn leave(&mut self, root: Cid, view: View) {
        self.jobs.remove(&root);
        let Some(kept) = self.kept.get_mut(&root) else {
            return;
        };
        kept.holders = view.holders;
        kept.left = kept.left.saturating_add(1);
        let after_ms = if self.adds.contains_key(&root) {
            self.config.recheck_ms / 4
        } else if view.responsible {
            self.config.check_interval_ms
        } else {
            self.config.recheck_ms
        };
        self.schedule(root, after_ms);
    }
}
