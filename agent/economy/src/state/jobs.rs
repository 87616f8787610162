//! What the other rooms tell the one of jobs.

use r1_core::EthAddress;

use crate::{LicenceRef, Links, controller::Controller, deeds::NodeDeeds, mnd::MasterDeeds, poai::Registry};

/// The rooms that know oracles and owners.
pub(super) struct Rooms<'a> {
    pub(super) controller: &'a Controller,
    pub(super) deeds: &'a NodeDeeds,
    pub(super) masters: &'a MasterDeeds,
    pub(super) links: &'a Links,
}

impl Rooms<'_> {
    /// The owner of the licence that a node is linked to, of either kind.
    fn owner_of_node(&self, node: &EthAddress) -> Option<EthAddress> {
        match self.links.get(node)? {
            LicenceRef::Nd(id) => self.deeds.deed(*id).ok().map(|deed| deed.owner),
            LicenceRef::Mnd(id) => self.masters.deed(*id).ok().map(|deed| deed.owner),
        }
    }
}

impl Registry for Rooms<'_> {
    fn is_oracle(&self, account: &EthAddress) -> bool {
        self.controller.oracles.contains(account)
    }

    fn oracles(&self) -> usize {
        self.controller.oracles.len()
    }

    fn owns_oracle_node(&self, wallet: &EthAddress) -> bool {
        self.controller
            .oracles
            .iter()
            .any(|(oracle, _)| self.owner_of_node(oracle).as_ref() == Some(wallet))
    }

    fn deed_owner(&self, node: &EthAddress) -> Option<EthAddress> {
        self.deeds.deed_of(self.links, node).map(|(_, deed)| deed.owner)
    }
}
