//! Node deeds (ND): who owns them, which node works for them, what they earned and claimed.
//!
//! In [`Mode::Compat`] a claim brings signed availabilities, as the contract wants them. In [`Mode::Strict`] closed
//! epochs are credited ([`NodeDeeds::credit`]) and a claim pays what was credited.

mod claim;
mod refusal;

use r1_core::{EthAddress, NodeAddress, U256};
use serde::{Deserialize, Serialize};

pub use claim::{NdClaim, nd_credit, nd_room};
pub use refusal::DeedRefusal;

use crate::{
    LicenceRef, Links, Mode, Moment, NdParams,
    table::{Journal, Table, Var},
};

/// The address that is nobody's.
pub(crate) const NOBODY: EthAddress = EthAddress::new([0; 20]);

/// One node deed. The fields are those of the contract's `licenses`, and what strict rules need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDeed {
    /// Who owns it, links it and is paid.
    pub owner: EthAddress,
    /// The node it is linked to.
    pub node: Option<EthAddress>,
    /// The node's name, where the link told it.
    pub node_name: Option<NodeAddress>,
    /// When it was last linked, ms since 1970-01-01 UTC; 0 if never.
    pub assigned_at_ms: u64,
    /// First epoch whose availability has not been claimed yet.
    pub last_claim_epoch: u64,
    /// Strict: sum of the credits of the closed epochs since then, wei.
    #[serde(with = "r1_core::wei")]
    pub pending: U256,
    /// Minted so far, wei.
    #[serde(with = "r1_core::wei")]
    pub claimed: U256,
    /// First oracle that signed the last claim.
    pub last_claim_oracle: Option<EthAddress>,
    /// The contract's owner stopped it.
    pub banned: bool,
    /// Its owner burned it.
    pub burned: bool,
    /// How often it was linked.
    pub links: u64,
}

impl NodeDeed {
    /// A deed that was never linked.
    pub fn new(owner: EthAddress) -> Self {
        Self {
            owner,
            node: None,
            node_name: None,
            assigned_at_ms: 0,
            last_claim_epoch: 0,
            pending: U256::ZERO,
            claimed: U256::ZERO,
            last_claim_oracle: None,
            banned: false,
            burned: false,
            links: 0,
        }
    }

    /// What strict rules would pay now, wei.
    pub fn claimable(&self, nd: &NdParams) -> U256 {
        self.pending.min(nd_room(nd, self.claimed))
    }
}

/// What holds for all deeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeedStatus {
    /// Buying, linking, unlinking, claiming and transfers are stopped.
    pub paused: bool,
    /// The highest id given out.
    pub last_id: u64,
}

/// The rules and the moment in which something is asked.
#[derive(Debug, Clone, Copy)]
pub struct DeedContext<'a> {
    /// The network's constants.
    pub nd: &'a NdParams,
    /// Compat or strict.
    pub mode: Mode,
    /// When.
    pub at: Moment,
    /// Strict: the first epoch that is not closed.
    pub next_epoch: u64,
}

/// A node, by its address and, where it is known, its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId {
    /// The address.
    pub address: EthAddress,
    /// The name.
    pub name: Option<NodeAddress>,
}

/// All node deeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeDeeds {
    /// The deeds by id.
    pub deeds: Table<u64, NodeDeed>,
    /// What holds for all.
    pub status: Var<DeedStatus>,
}

impl NodeDeeds {
    /// A deed that exists.
    ///
    /// # Errors
    /// [`DeedRefusal::Unknown`].
    pub fn deed(&self, id: u64) -> Result<&NodeDeed, DeedRefusal> {
        let deed = self.deeds.get(&id).filter(|deed| !deed.burned);
        deed.ok_or(DeedRefusal::Unknown(id))
    }

    fn deed_mut(&mut self, id: u64) -> Result<&mut NodeDeed, DeedRefusal> {
        self.deeds.get_mut(&id).ok_or(DeedRefusal::Unknown(id))
    }

    fn owned(&self, sender: &EthAddress, id: u64) -> Result<&NodeDeed, DeedRefusal> {
        let deed = self.deed(id)?;
        if deed.owner != *sender {
            return Err(DeedRefusal::NotOwner {
                licence: id,
                owner: deed.owner,
                sender: *sender,
            });
        }
        Ok(deed)
    }

    /// Refuses while paused.
    ///
    /// # Errors
    /// [`DeedRefusal::Paused`].
    pub fn running(&self) -> Result<(), DeedRefusal> {
        if self.status.paused {
            Err(DeedRefusal::Paused)
        } else {
            Ok(())
        }
    }

    /// A new deed with the next id.
    ///
    /// # Errors
    /// [`DeedRefusal::MaxSupply`].
    pub fn mint(&mut self, nd: &NdParams, owner: &EthAddress) -> Result<u64, DeedRefusal> {
        let id = self.status.last_id.saturating_add(1);
        if id > nd.max_supply {
            return Err(DeedRefusal::MaxSupply(nd.max_supply));
        }
        self.status.change().last_id = id;
        self.deeds.insert(id, NodeDeed::new(*owner));
        Ok(id)
    }

    /// A deed that the genesis gives away under its own id.
    pub fn grant(&mut self, id: u64, owner: &EthAddress) {
        let last_id = self.status.last_id.max(id);
        self.status.change().last_id = last_id;
        self.deeds.insert(id, NodeDeed::new(*owner));
    }

    /// Links a deed to a node. `agreed` checks the signature: an oracle's over the wallet and the node (compat), or the
    /// node's own consent (strict).
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn link(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        sender: &EthAddress,
        (id, node): (u64, NodeId),
        agreed: &mut dyn FnMut() -> Result<EthAddress, DeedRefusal>,
    ) -> Result<(), DeedRefusal> {
        self.running()?;
        // The contract looks at the signature first; a strict ledger last, because it costs most.
        if context.mode == Mode::Compat {
            agreed()?;
        }
        self.may_link(context, links, sender, id, &node)?;
        if context.mode == Mode::Strict {
            agreed()?;
        }
        self.put_node(context, links, id, node)
    }

    /// Links several deeds, with one signature over all nodes.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn link_multi(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        sender: &EthAddress,
        (ids, nodes): (&[u64], &[NodeId]),
        agreed: &mut dyn FnMut() -> Result<EthAddress, DeedRefusal>,
    ) -> Result<(), DeedRefusal> {
        self.running()?;
        if ids.len() != nodes.len() {
            return Err(DeedRefusal::Mismatch {
                left: ids.len(),
                right: nodes.len(),
            });
        }
        agreed()?;
        for (id, node) in ids.iter().zip(nodes) {
            self.may_link(context, links, sender, *id, node)?;
            self.put_node(context, links, *id, *node)?;
        }
        Ok(())
    }

    fn may_link(
        &self,
        context: &DeedContext,
        links: &Links,
        sender: &EthAddress,
        id: u64,
        node: &NodeId,
    ) -> Result<(), DeedRefusal> {
        let deed = self.owned(sender, id)?;
        if let (Mode::Strict, Some(node)) = (context.mode, deed.node) {
            return Err(DeedRefusal::Linked { licence: id, node });
        }
        if node.address == NOBODY {
            return Err(DeedRefusal::NoNode(id));
        }
        if let Some(licence) = links.get(&node.address) {
            return Err(DeedRefusal::NodeLinked {
                node: node.address,
                licence: *licence,
            });
        }
        if deed.banned {
            return Err(DeedRefusal::Banned(id));
        }
        let at_ms = deed.assigned_at_ms.saturating_add(context.nd.link_cooldown_ms);
        if deed.assigned_at_ms != 0 && context.at.timestamp_ms <= at_ms {
            return Err(DeedRefusal::Cooldown { licence: id, at_ms });
        }
        Ok(())
    }

    fn put_node(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        id: u64,
        node: NodeId,
    ) -> Result<(), DeedRefusal> {
        self.take_node(context, links, id)?;
        let deed = self.deed_mut(id)?;
        deed.node = Some(node.address);
        deed.node_name = node.name;
        deed.assigned_at_ms = context.at.timestamp_ms;
        deed.last_claim_epoch = match context.mode {
            Mode::Compat => context.at.epoch,
            Mode::Strict => context.at.epoch.max(context.next_epoch),
        };
        deed.links = deed.links.saturating_add(1);
        links.insert(node.address, LicenceRef::Nd(id));
        Ok(())
    }

    /// Takes the node away from a deed if it has one; its rewards must have been claimed.
    fn take_node(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        id: u64,
    ) -> Result<Option<EthAddress>, DeedRefusal> {
        let deed = self.deed(id)?;
        let Some(node) = deed.node else {
            return Ok(None);
        };
        if deed.banned {
            return Err(DeedRefusal::Banned(id));
        }
        let last = deed.last_claim_epoch;
        match context.mode {
            Mode::Compat if last != context.at.epoch => {
                return Err(DeedRefusal::Unclaimed {
                    licence: id,
                    from: last,
                    epoch: context.at.epoch,
                });
            }
            Mode::Compat => {}
            Mode::Strict => {
                let epoch = context.next_epoch.max(last);
                if epoch < context.at.epoch {
                    return Err(DeedRefusal::EpochOpen { licence: id, epoch });
                }
                let pending = deed.claimable(context.nd);
                if !pending.is_zero() {
                    return Err(DeedRefusal::ClaimFirst { licence: id, pending });
                }
            }
        }
        let deed = self.deed_mut(id)?;
        deed.node = None;
        deed.node_name = None;
        links.remove(&node);
        Ok(Some(node))
    }

    /// Unlinks a deed from its node and returns the node. Without a node the contract says yes, strict rules no.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn unlink(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        sender: &EthAddress,
        id: u64,
    ) -> Result<Option<EthAddress>, DeedRefusal> {
        self.running()?;
        self.owned(sender, id)?;
        let node = self.take_node(context, links, id)?;
        if context.mode == Mode::Strict && node.is_none() {
            return Err(DeedRefusal::NotLinked(id));
        }
        Ok(node)
    }

    /// Gives a deed to somebody else; its node is unlinked.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn transfer(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        sender: &EthAddress,
        id: u64,
        to: &EthAddress,
    ) -> Result<(), DeedRefusal> {
        if *to == NOBODY {
            return Err(DeedRefusal::NoReceiver(id));
        }
        self.running()?;
        if self.deed(id)?.banned {
            return Err(DeedRefusal::Banned(id));
        }
        // The contract looks at who asks last; refusing first would only word another error.
        self.take_node(context, links, id)?;
        let deed = self.deed_mut(id)?;
        if deed.owner != *sender {
            return Err(DeedRefusal::NotApproved {
                licence: id,
                owner: deed.owner,
                sender: *sender,
            });
        }
        deed.owner = *to;
        Ok(())
    }

    /// Destroys a deed of the sender.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn burn(
        &mut self,
        context: &DeedContext,
        links: &mut Links,
        sender: &EthAddress,
        id: u64,
    ) -> Result<(), DeedRefusal> {
        self.running()?;
        if self.owned(sender, id)?.banned {
            return Err(DeedRefusal::Banned(id));
        }
        self.take_node(context, links, id)?;
        self.deed_mut(id)?.burned = true;
        Ok(())
    }

    /// Bans a deed: it cannot be linked, unlinked, transferred or claimed, and its node is inactive. `owner` is the
    /// contract's.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn ban(&mut self, owner: &EthAddress, sender: &EthAddress, id: u64) -> Result<(), DeedRefusal> {
        authorised(owner, sender)?;
        if self.deed(id)?.banned {
            return Err(DeedRefusal::AlreadyBanned(id));
        }
        self.deed_mut(id)?.banned = true;
        Ok(())
    }

    /// Takes a ban back. What the deed's node earned meanwhile can be claimed.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn unban(&mut self, owner: &EthAddress, sender: &EthAddress, id: u64) -> Result<(), DeedRefusal> {
        authorised(owner, sender)?;
        if !self.deed(id)?.banned {
            return Err(DeedRefusal::NotBanned(id));
        }
        self.deed_mut(id)?.banned = false;
        Ok(())
    }

    /// Stops everything, or starts it again.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn pause(
        &mut self,
        owner: &EthAddress,
        sender: &EthAddress,
        paused: bool,
    ) -> Result<(), DeedRefusal> {
        authorised(owner, sender)?;
        if self.status.paused == paused {
            return Err(if paused {
                DeedRefusal::Paused
            } else {
                DeedRefusal::NotPaused
            });
        }
        self.status.change().paused = paused;
        Ok(())
    }

    /// True if the node is linked to a deed that is not banned.
    pub fn is_node_active(&self, links: &Links, node: &EthAddress) -> bool {
        self.deed_of(links, node).is_some_and(|(_, deed)| !deed.banned)
    }

    /// The deed a node works for.
    pub fn deed_of(&self, links: &Links, node: &EthAddress) -> Option<(u64, &NodeDeed)> {
        match links.get(node)? {
            LicenceRef::Nd(id) => Some((*id, self.deeds.get(id)?)),
            LicenceRef::Mnd(_) => None,
        }
    }
}

fn authorised(owner: &EthAddress, sender: &EthAddress) -> Result<(), DeedRefusal> {
    if owner == sender && *owner != NOBODY {
        Ok(())
    } else {
        Err(DeedRefusal::NotContractOwner(*sender))
    }
}

impl Journal for NodeDeeds {
    fn begin(&mut self) {
        self.deeds.begin();
        self.status.begin();
    }

    fn is_open(&self) -> bool {
        self.status.is_open()
    }

    fn commit(&mut self) {
        self.deeds.commit();
        self.status.commit();
    }

    fn rollback(&mut self) {
        self.deeds.rollback();
        self.status.rollback();
    }
}

#[cfg(test)]
mod tests;
