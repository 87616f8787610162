//! Local adds that wait until enough copies are durable.

use std::collections::BTreeSet;

use super::{
    Effect, Keeper, Safety,
    view::{View, count},
};
use crate::Cid;

/// A local add that waits.
#[derive(Debug)]
pub(super) struct Add {
    until_ms: u64,
    safety: Safety,
    reason: String,
}

impl Keeper {
    /// A local add waits from now on.
    pub(super) fn wait_for_copies(&mut self, root: Cid) {
        let wanted = self.kept.get(&root).map_or(0, |kept| kept.record.scheme.shares());
        let add = Add {
            until_ms: self.now_ms + self.config.ack_timeout_ms,
            safety: Safety {
                copies: 1,
                operators: 1,
                wanted: count(wanted),
            },
            reason: String::new(),
        };
        if self.adds.len() >= self.config.max_adds && !self.adds.contains_key(&root) {
            self.give_up(root, add.safety, "too many files are being added at once".into());
        } else {
            self.adds.insert(root, add);
        }
        self.start(root, false);
        // A check that was under way learns it now.
        self.advance(root);
    }

    /// Ends the wait when there are as many copies as there can be now.
    pub(super) fn judge_add(&mut self, root: Cid, view: &View) {
        let Some(add) = self.adds.get_mut(&root) else {
            return;
        };
        add.safety = view.safety;
        if usize::from(view.safety.copies) >= view.possible && view.possible > 0 {
            let safety = view.safety;
            self.adds.remove(&root);
            self.effects.push(Effect::Acknowledge { root, safety });
            return;
        }
        if let Some(job) = self.jobs.get(&root)
            && !job.failed.is_empty()
        {
            let said = job
                .failed
                .iter()
                .take(4)
                .map(|(node, failure)| format!("{node}: {}", failure.reason));
            add.reason = said.collect::<Vec<_>>().join("; ");
        }
    }

    /// Gives up waiting where the time is over.
    pub(super) fn adds_tick(&mut self) {
        let over: BTreeSet<_> = self
            .adds
            .iter()
            .filter(|(_, add)| add.until_ms <= self.now_ms)
            .map(|(root, _)| *root)
            .collect();
        for root in over {
            if let Some(add) = self.adds.remove(&root) {
                let reason = if add.reason.is_empty() {
                    "the copies are not finished".to_owned()
                } else {
                    add.reason
                };
                self.give_up(root, add.safety, reason);
            }
        }
    }

    /// Ends the wait of an add whose object is gone.
    pub(super) fn end_add(&mut self, root: &Cid, reason: &str) {
        if let Some(add) = self.adds.remove(root) {
            self.give_up(*root, add.safety, reason.to_owned());
        }
    }

    fn give_up(&mut self, root: Cid, safety: Safety, reason: String) {
        self.effects.push(Effect::GiveUp { root, safety, reason });
    }
}
