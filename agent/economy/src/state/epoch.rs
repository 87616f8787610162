//! The close of an epoch: what the oracles agreed on becomes credit, and jobs pay the nodes that ran them.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher},
};

use r1_core::{EthAddress, NodeAddress};
use serde::{Deserialize, Serialize};

use super::{
    Refusal, State,
    execute::{master_context, poai_context},
    jobs::Rooms,
};
use crate::{
    Mode, Moment, availability,
    merkle::Hash,
    poai::{Allocated, PoaiRefusal},
    table::Journal as _,
};

/// What stays in the state of a closed epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochSummary {
    /// Merkle root over the agreed availability, [`availability::root`].
    #[serde(with = "r1_core::hex_text")]
    pub availability_root: Hash,
    /// How many nodes it covers.
    pub nodes: u64,
    /// True if too few oracles gave a table: every linked node counted as 255.
    pub faulty: bool,
}

/// What the close of an epoch did besides the credits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpochClosed {
    /// What jobs paid and burned.
    pub allocated: Allocated,
    /// Escrows that could not be allocated, and why. They are tried again at the next close.
    pub failed: Vec<(EthAddress, PoaiRefusal)>,
}

impl State {
    /// Credits an epoch that the oracles agreed on. A node that the table does not name was absent (0). In a faulty
    /// epoch every linked node counts as present (255), as upstream rules it.
    ///
    /// In compat mode nothing is credited or allocated: licences claim what oracles signed, and anyone allocates.
    ///
    /// # Errors
    /// [`Refusal::EpochOrder`] unless it is the next epoch; [`Refusal::Overflow`].
    pub fn close_epoch(
        &mut self,
        epoch: u64,
        availability: &BTreeMap<NodeAddress, u8>,
        faulty: bool,
    ) -> Result<EpochClosed, Refusal> {
        if epoch != *self.next_epoch {
            return Err(Refusal::EpochOrder {
                got: epoch,
                expected: *self.next_epoch,
            });
        }
        self.begin();
        let closed = self.close(epoch, availability, faulty);
        if closed.is_ok() {
            self.commit();
        } else {
            self.rollback();
        }
        closed
    }

    fn close(
        &mut self,
        epoch: u64,
        values: &BTreeMap<NodeAddress, u8>,
        faulty: bool,
    ) -> Result<EpochClosed, Refusal> {
        let next_epoch = epoch.checked_add(1).ok_or(Refusal::Overflow("epoch"))?;
        let summary = EpochSummary {
            availability_root: availability::root(values),
            nodes: values.len() as u64,
            faulty,
        };
        self.epochs.insert(epoch, summary);
        self.next_epoch.set(next_epoch);
        if self.params.mode == Mode::Compat {
            return Ok(EpochClosed::default());
        }
        // Every licence looks up its node, in no order: a hash map is several times faster than an ordered one.
        let found: HashMap<&NodeAddress, u8, BuildHasherDefault<DefaultHasher>> =
            values.iter().map(|(node, value)| (node, *value)).collect();
        let value = |node: &NodeAddress| match found.get(node) {
            _ if faulty => u8::MAX,
            value => value.copied().unwrap_or(0),
        };
        self.deeds.credit(&self.params.nd, epoch, value);
        let end_ms = self
            .params
            .epoch_length_ms
            .saturating_mul(next_epoch)
            .saturating_add(self.params.epoch_start_ms);
        let at = Moment {
            timestamp_ms: end_ms,
            epoch: next_epoch,
        };
        // First the jobs: what was spent on them in this epoch is part of its adoption.
        let closed = self.allocate_escrows(at)?;
        let context = master_context(&self.params, at);
        self.masters.credit(&context, &self.adoption, epoch, |node| {
            node.name.as_ref().map_or(0, value)
        })?;
        Ok(closed)
    }

    /// Allocates every escrow on its own: one that cannot be, for want of liquidity, holds up nobody.
    fn allocate_escrows(&mut self, at: Moment) -> Result<EpochClosed, Refusal> {
        let mut closed = EpochClosed::default();
        for escrow in self.poai.active_escrows() {
            self.begin();
            match self.allocate_one(at, &escrow) {
                Ok(one) => {
                    self.commit();
                    closed.allocated = closed.allocated.plus(&one)?;
                }
                Err(refusal) => {
                    self.rollback();
                    closed.failed.push((escrow, refusal));
                }
            }
        }
        Ok(closed)
    }

    pub(super) fn allocate_one(&mut self, at: Moment, escrow: &EthAddress) -> Result<Allocated, PoaiRefusal> {
        let registry = Rooms {
            controller: &self.controller,
            deeds: &self.deeds,
            masters: &self.masters,
            links: &self.links,
        };
        let context = poai_context(&self.params, at, &registry);
        self.poai.allocate(
            &context,
            escrow,
            &mut self.bank,
            &mut self.pool,
            &mut self.adoption,
        )
    }

    /// A closed epoch.
    pub fn epoch(&self, epoch: u64) -> Option<&EpochSummary> {
        self.epochs.get(&epoch)
    }
}
