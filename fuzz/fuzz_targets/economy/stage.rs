//! A ledger on which steps are played, and what is looked at after each.

use std::collections::BTreeMap;

use r1_core::EthAddress;
use r1_economy::{
    Action, BlockContext, Signature, SignedTransaction, State, Transaction, table::Journal as _,
};

use crate::{
    act::{self, Hand},
    invariants::{self, Figures},
    script::{Kind, Step},
    tally,
    world::{CHAIN, EPOCH_MS, World, moment},
};

/// Steps that become one block, or are taken back.
struct Open {
    trial: bool,
    root: [u8; 32],
    ms: u64,
}

pub struct Stage {
    world: &'static World,
    state: State,
    /// Time since the beginning, ms.
    ms: u64,
    open: Option<Open>,
    checked: bool,
    /// The records as a disk has them.
    stored: BTreeMap<(&'static str, Vec<u8>), Vec<u8>>,
}

impl Stage {
    /// The beginning; `checked` looks at everything after every step.
    pub fn new(world: &'static World, fresh: bool, checked: bool) -> Self {
        let (state, ms) = if fresh {
            (&world.state, 0)
        } else {
            (&world.settled.0, world.settled.1)
        };
        Self {
            world,
            state: state.clone(),
            ms,
            open: None,
            checked,
            stored: BTreeMap::new(),
        }
    }

    pub fn root(&mut self) -> [u8; 32] {
        self.state.root()
    }

    /// True while steps are run that will be taken back.
    pub fn is_trial(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.trial)
    }

    fn now(&self) -> BlockContext {
        moment(self.ms)
    }

    /// Begins a block, or steps that will be taken back.
    pub fn open(&mut self, trial: bool) {
        let (root, ms) = (self.state.root(), self.ms);
        self.open = Some(Open { trial, root, ms });
        self.state.begin();
    }

    /// Ends it, if one is open.
    pub fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.trial {
            self.state.rollback();
            self.ms = open.ms;
            assert_eq!(self.state.root(), open.root, "a rollback gives another root");
        } else {
            // A block is on disk before it is committed.
            self.store();
            let root = self.state.root();
            self.state.commit();
            assert_eq!(self.state.root(), root, "a commit gives another root");
        }
    }

    fn store(&mut self) {
        for (table, key, slot) in self.state.changes() {
            match slot {
                Some(slot) => self.stored.insert((table, key), slot),
                None => self.stored.remove(&(table, key)),
            };
        }
        self.state.mark_stored();
    }

    /// Stores the state, reads it again and goes on with what was read. Not within a block.
    pub fn restart(&mut self) {
        if self.open.is_some() {
            return;
        }
        self.store();
        let mut again = State::empty(&self.world.genesis).expect("the genesis is sound");
        for ((table, key), slot) in &self.stored {
            let restored = again.restore(table, key, slot);
            restored.expect("what is stored is restored");
        }
        assert_eq!(
            again.root(),
            self.state.root(),
            "what was stored has another root"
        );
        assert!(again == self.state, "what was stored is another state");
        self.state = again;
    }

    /// The end: what is stored is the state, and its records can be proved.
    pub fn restored(&mut self) {
        self.restart();
        let root = self.state.root();
        let last = self.stored.keys().map(|(table, key)| (*table, key));
        for (table, key) in last.step_by(7) {
            let proof = self.state.prove(table, key).expect("a record is proved");
            assert_eq!(
                proof.state_root(),
                Some(root),
                "a proof in {table} leads elsewhere"
            );
        }
    }

    /// Plays a step.
    pub fn play(&mut self, step: &Step) {
        match step.kind {
            Kind::Wait => self.wait(step),
            Kind::Close => self.close_one(step),
            _ => {
                let hand = Hand {
                    world: self.world,
                    state: &self.state,
                    now: self.now(),
                    step,
                };
                if let Some((sender, action)) = act::action(&hand) {
                    self.send(sender, action);
                }
            }
        }
    }

    /// Mostly less than four epochs; mostly those that are over are closed.
    fn wait(&mut self, step: &Step) {
        let epochs = if step.a < 248 {
            u64::from(step.a % 4)
        } else {
            u64::from(step.a % 4) * 8
        };
        self.ms += epochs * EPOCH_MS + u64::from(step.b) * 300;
        if step.slip >= 192 {
            return;
        }
        for epoch in self.state.next_epoch()..self.now().epoch {
            self.close_epoch(epoch, step);
        }
    }

    fn close_one(&mut self, step: &Step) {
        let next = self.state.next_epoch();
        if let Some(fault) = step.fault() {
            let wrong = next.wrapping_add(u64::from(fault)).wrapping_sub(4);
            if wrong != next {
                let root = self.state.root();
                let table = self.world.availability(step.c, step.who);
                let refused = self.state.close_epoch(wrong, &table, false).is_err();
                assert!(refused, "epoch {wrong} was closed instead of {next}");
                assert_eq!(self.state.root(), root, "a refused epoch changed something");
            }
        } else if next < self.now().epoch {
            self.close_epoch(next, step);
        }
    }

    /// The next epoch can always be closed.
    fn close_epoch(&mut self, epoch: u64, step: &Step) {
        let table = self.world.availability(step.c, step.who);
        // Every availability another one, now and then.
        let faulty = step.b >= 240;
        let before = self.figures(None);
        let closed = self.state.close_epoch(epoch, &table, faulty);
        let closed = closed.unwrap_or_else(|refusal| panic!("epoch {epoch} cannot be closed: {refusal}"));
        tally::other(self.state.params().mode, "epoch");
        if let Some(before) = before {
            invariants::epoch(&before, &self.state, &closed);
            invariants::check(&before, &self.state);
        }
    }

    fn figures(&self, sender: Option<&EthAddress>) -> Option<Figures> {
        self.checked.then(|| Figures::of(&self.state, sender))
    }

    fn send(&mut self, sender: EthAddress, action: Action) {
        let nonce = self.state.nonce(&sender);
        let transaction = travelled(Transaction {
            chain_id: CHAIN,
            nonce,
            action,
        });
        let Some(before) = self.figures(Some(&sender)) else {
            // What came of it is in the root.
            let _ = self.state.apply_as(self.now(), sender, &transaction);
            return;
        };
        let root = self.state.root();
        let outcome = self.state.apply_as(self.now(), sender, &transaction);
        let action = &transaction.action;
        tally::action(self.state.params().mode, action, &outcome);
        match outcome {
            Ok(receipt) => {
                assert_eq!(self.state.nonce(&sender), nonce + 1, "{action:?}: the nonce");
                invariants::receipt(&before, &self.state, action, &receipt);
            }
            Err(refusal) => {
                assert_eq!(
                    self.state.root(),
                    root,
                    "refused, yet something changed: {action:?}: {refusal}"
                );
            }
        }
        invariants::check(&before, &self.state);
    }
}

/// The transaction after a journey, if it is not too long for one.
fn travelled(transaction: Transaction) -> Transaction {
    let sent = SignedTransaction {
        transaction,
        signature: Signature([0; 65]),
    };
    if let Ok(come) = SignedTransaction::decode(&sent.encode()) {
        assert_eq!(come, sent, "a journey changed the transaction");
    }
    sent.transaction
}
