//! What other members ask of this node, and the shares that come here.

use bytes::Bytes;
use r1_core::NodeAddress;

use super::{Cause, Effect, Keeper, Kept};
use crate::{
    Cid,
    durability::{
        message::{Answer, Holding, Request},
        record::Record,
    },
};

/// Questions that may wait for the same share; what comes on top is told how far it is.
const MAX_WAITING: usize = 8;

/// A share that is on its way here.
#[derive(Debug)]
pub(super) struct Fetching {
    bytes: u64,
    bytes_here: u64,
    /// Questions that wait, and until when.
    waiting: Vec<(u64, u64)>,
}

impl Keeper {
    pub(super) fn asked(&mut self, token: u64, from: NodeAddress, request: Request) {
        match request {
            Request::Store { record, piece, car } => self.asked_to_store(token, from, record, piece, car),
            Request::Have { roots, promise } => {
                let held = roots.iter().map(|root| self.confirm(root, promise)).collect();
                let tombstones = roots
                    .iter()
                    .filter_map(|root| self.tombstones.newest(root))
                    .cloned()
                    .collect();
                self.reply(token, Answer::Holdings { held, tombstones });
            }
            Request::Release { tombstone } => {
                let answer = if self.honour(tombstone) {
                    Answer::Done
                } else {
                    Answer::refused("the tombstone is not valid", false)
                };
                self.reply(token, answer);
            }
        }
    }

    fn reply(&mut self, token: u64, answer: Answer) {
        if matches!(answer, Answer::Refused { .. }) {
            self.figures.refused += 1;
        }
        self.effects.push(Effect::Reply { token, answer });
    }

    /// What is here of an object, and the promise to keep it for a while if one is wanted.
    fn confirm(&mut self, root: &Cid, promise: bool) -> Holding {
        let Some(kept) = self.kept.get_mut(root) else {
            return Holding::NONE;
        };
        if promise {
            kept.promised_ms = self.now_ms + self.config.promise_ms;
        }
        kept.holding.pinned(kept.pinned)
    }

    fn asked_to_store(
        &mut self,
        token: u64,
        from: NodeAddress,
        record: Record,
        piece: Option<u8>,
        car: Option<Bytes>,
    ) {
        if let Err(error) = record.check_share(piece) {
            return self.reply(token, Answer::refused(error.to_string(), false));
        }
        if let Some(tombstone) = self.tombstones.ending(&record) {
            let answer = Answer::Deleted(tombstone.clone());
            return self.reply(token, answer);
        }
        if record.expired(self.now_ms) {
            return self.reply(token, Answer::refused("its time is over", false));
        }
        self.renew(&record);
        if self.confirm(&record.root, true).has(piece) {
            return self.reply(token, Answer::Stored);
        }
        let share = (record.root, piece);
        if !self.fetches.contains_key(&share)
            && let Err((reason, full)) = self.fetch(record, piece, vec![from], car)
        {
            return self.reply(token, Answer::refused(reason, full));
        }
        let until_ms = self.now_ms + self.config.reply_wait_ms;
        let Some(fetching) = self.fetches.get_mut(&share) else {
            return;
        };
        if fetching.waiting.len() < MAX_WAITING {
            fetching.waiting.push((until_ms, token));
        } else {
            let bytes_here = fetching.bytes_here;
            self.reply(token, Answer::Fetching { bytes_here });
        }
    }

    /// Takes a share that this node itself should hold.
    pub(super) fn fetch_own(
        &mut self,
        root: &Cid,
        piece: Option<u8>,
        from: &[NodeAddress],
    ) -> Result<(), (&'static str, bool)> {
        let Some(kept) = self.kept.get(root) else {
            return Err(("gone", false));
        };
        if self.fetches.contains_key(&(*root, piece)) {
            return Ok(());
        }
        self.fetch(kept.record.clone(), piece, from.to_vec(), None)
    }

    fn fetch(
        &mut self,
        record: Record,
        piece: Option<u8>,
        from: Vec<NodeAddress>,
        car: Option<Bytes>,
    ) -> Result<(), (&'static str, bool)> {
        let bytes = record.share_bytes();
        let reserved: u64 = self.fetches.values().map(|fetching| fetching.bytes).sum();
        if self.own.free.saturating_sub(reserved) < bytes {
            return Err(("no room", true));
        }
        if self.fetches.len() >= self.config.max_fetches {
            return Err(("too many objects are being fetched", false));
        }
        let fetching = Fetching {
            bytes,
            bytes_here: 0,
            waiting: Vec::new(),
        };
        self.fetches.insert((record.root, piece), fetching);
        self.effects.push(Effect::Fetch {
            record,
            piece,
            from,
            car,
        });
        Ok(())
    }

    pub(super) fn fetch_failed(&mut self, root: Cid, piece: Option<u8>, reason: String, full: bool) {
        let Some(fetching) = self.fetches.remove(&(root, piece)) else {
            return;
        };
        for (_, token) in fetching.waiting {
            self.reply(token, Answer::refused(reason.clone(), full));
        }
        if self
            .jobs
            .get(&root)
            .is_some_and(|job| job.stores(&(self.own.node, piece)))
        {
            self.job_refused(root, self.own.node, &reason, full);
        }
    }

    pub(super) fn fetch_progress(&mut self, root: Cid, piece: Option<u8>, bytes_here: u64) {
        if let Some(fetching) = self.fetches.get_mut(&(root, piece)) {
            fetching.bytes_here = bytes_here;
        }
    }

    /// Tells those that have waited long enough how far their share is.
    pub(super) fn fetches_tick(&mut self) {
        let now_ms = self.now_ms;
        let mut replies = Vec::new();
        for fetching in self.fetches.values_mut() {
            let bytes_here = fetching.bytes_here;
            fetching.waiting.retain(|(until_ms, token)| {
                if *until_ms <= now_ms {
                    replies.push((*token, bytes_here));
                }
                *until_ms > now_ms
            });
        }
        for (token, bytes_here) in replies {
            self.reply(token, Answer::Fetching { bytes_here });
        }
    }

    pub(super) fn held(&mut self, record: Record, piece: Option<u8>, pinned: bool) {
        let (root, fetched) = (record.root, self.fetches.remove(&(record.root, piece)));
        let asked_for = fetched.is_some();
        if let Some(tombstone) = self.tombstones.ending(&record).cloned() {
            self.effects.push(Effect::Drop {
                root,
                shares: Holding::share(piece),
                cause: Cause::Deleted,
            });
            for (_, token) in fetched.into_iter().flat_map(|fetching| fetching.waiting) {
                self.reply(token, Answer::Deleted(tombstone.clone()));
            }
            return;
        }
        self.keep(record, piece, pinned, asked_for);
        for (_, token) in fetched.into_iter().flat_map(|fetching| fetching.waiting) {
            self.reply(token, Answer::Stored);
        }
        self.job_own(root, piece);
    }

    pub(super) fn added(&mut self, record: Record, pinned: bool) {
        let root = record.root;
        self.held(record, None, pinned);
        if self.kept.contains_key(&root) {
            self.wait_for_copies(root);
        }
    }

    /// Notes a share; the first check of what was held before is spread over the interval, so that a start asks
    /// evenly.
    fn keep(&mut self, record: Record, piece: Option<u8>, pinned: bool, asked_for: bool) {
        let (root, share) = (record.root, Holding::share(piece));
        // A node that starts anew does not know what it promised.
        let promised_ms = self.now_ms + self.config.promise_ms;
        if self.kept.contains_key(&root) {
            self.renew(&record);
        }
        if let Some(kept) = self.kept.get_mut(&root) {
            kept.holding = kept.holding.with(share);
            kept.pinned = if asked_for { kept.pinned } else { pinned };
            kept.promised_ms = promised_ms;
            return;
        }
        if let Some(expires_ms) = record.expires_ms {
            self.expiries.insert((expires_ms, root));
        }
        let kept = Kept {
            record,
            holding: share,
            pinned,
            due_ms: 0,
            promised_ms,
            holders: Vec::new(),
            left: 0,
            doubted: false,
        };
        self.kept.insert(root, kept);
        if asked_for {
            self.schedule(root, self.config.check_interval_ms);
        } else {
            let spread = self.draw(&root) % self.config.check_interval_ms.max(1);
            self.schedule_at(root, self.now_ms + spread);
        }
    }

    /// Takes a later record of an object that is here.
    fn renew(&mut self, record: &Record) {
        let Some(kept) = self.kept.get_mut(&record.root) else {
            return;
        };
        if !record.replaces(&kept.record) {
            return;
        }
        if let Some(expires_ms) = kept.record.expires_ms {
            self.expiries.remove(&(expires_ms, record.root));
        }
        if let Some(expires_ms) = record.expires_ms {
            self.expiries.insert((expires_ms, record.root));
        }
        kept.record = record.clone();
        self.effects.push(Effect::PersistRecord(record.clone()));
    }
}
