//! Master node deeds (MND) and the genesis node deed (GND, number 1): bound to their owners, released along a curve and
//! gated by adoption.

mod claim;
mod refusal;

use r1_core::{EthAddress, NodeAddress, U256};
use serde::{Deserialize, Serialize};

pub use refusal::MndRefusal;

use crate::{
    AdoptionParams, LicenceRef, Links, MndParams, Mode, Moment,
    deeds::{NOBODY, NodeId},
    release::Progress,
    table::{Journal, Table, Var},
};

/// Number of the genesis node deed.
pub const GND: u64 = 1;

/// One master node deed. The fields are those of the contract's `licenses`, and what strict rules need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterDeed {
    /// Who owns it, links it and is paid.
    pub owner: EthAddress,
    /// The node it is linked to.
    pub node: Option<EthAddress>,
    /// The node's name, where the link told it.
    pub node_name: Option<NodeAddress>,
    /// What is assigned, claimed and withheld, wei.
    pub progress: Progress,
    /// First epoch that mines.
    pub first_mining_epoch: u64,
    /// First epoch whose availability has not been claimed yet, if it mines.
    pub last_claim_epoch: u64,
    /// When it was last linked, ms since 1970-01-01 UTC; 0 if never.
    pub assigned_at_ms: u64,
    /// First oracle that signed the last claim.
    pub last_claim_oracle: Option<EthAddress>,
    /// Strict: credited by closed epochs and not minted yet, wei.
    #[serde(with = "r1_core::wei")]
    pub pending: U256,
    /// To whom the contract's owner allows a transfer; the zero address allows to burn.
    pub receiver: Option<EthAddress>,
    /// It was burned.
    pub burned: bool,
    /// How often it was linked.
    pub links: u64,
}

/// What holds for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterStatus {
    /// Linking, unlinking and claiming are stopped.
    pub paused: bool,
    /// The highest number given out.
    pub last_id: u64,
    /// Licences that exist.
    pub supply: u64,
    /// R1 assigned to all but the GND, wei; a burned licence gives back what it had not claimed.
    #[serde(with = "r1_core::wei")]
    pub assigned: U256,
}

/// The rules and the moment in which something is asked.
#[derive(Debug, Clone, Copy)]
pub struct MasterContext<'a> {
    /// The network's constants.
    pub mnd: &'a MndParams,
    /// When adoption is complete.
    pub adoption: &'a AdoptionParams,
    /// Time after a link before the next, ms.
    pub link_cooldown_ms: u64,
    /// Compat or strict.
    pub mode: Mode,
    /// When.
    pub at: Moment,
}

/// A claim with signed availabilities, as the contract wants it.
#[derive(Debug, Clone, Copy)]
pub struct MasterClaim<'a> {
    /// The licence.
    pub id: u64,
    /// Its node.
    pub node: EthAddress,
    /// The epochs.
    pub epochs: &'a [u64],
    /// The availability in each.
    pub availabilities: &'a [u8],
}

/// All master node deeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MasterDeeds {
    /// The licences by number.
    pub deeds: Table<u64, MasterDeed>,
    /// What holds for all.
    pub status: Var<MasterStatus>,
}

impl MasterDeeds {
    /// A licence that exists.
    ///
    /// # Errors
    /// [`MndRefusal::Unknown`].
    pub fn deed(&self, id: u64) -> Result<&MasterDeed, MndRefusal> {
        let deed = self.deeds.get(&id).filter(|deed| !deed.burned);
        deed.ok_or(MndRefusal::Unknown(LicenceRef::Mnd(id)))
    }

    fn deed_mut(&mut self, id: u64) -> Result<&mut MasterDeed, MndRefusal> {
        self.deeds
            .get_mut(&id)
            .ok_or(MndRefusal::Unknown(LicenceRef::Mnd(id)))
    }

    fn owned(&self, sender: &EthAddress, id: u64) -> Result<&MasterDeed, MndRefusal> {
        let deed = self.deed(id)?;
        if deed.owner != *sender {
            return Err(MndRefusal::NotOwner {
                licence: LicenceRef::Mnd(id),
                owner: deed.owner,
                sender: *sender,
            });
        }
        Ok(deed)
    }

    fn running(&self) -> Result<(), MndRefusal> {
        if self.status.paused {
            Err(MndRefusal::Paused)
        } else {
            Ok(())
        }
    }

    fn put(&mut self, id: u64, owner: &EthAddress, assigned: U256, first_mining_epoch: u64) {
        let deed = MasterDeed {
            owner: *owner,
            node: None,
            node_name: None,
            progress: Progress {
                assigned,
                ..Progress::default()
            },
            first_mining_epoch,
            last_claim_epoch: 0,
            assigned_at_ms: 0,
            last_claim_oracle: None,
            pending: U256::ZERO,
            receiver: None,
            burned: false,
            links: 0,
        };
        self.deeds.insert(id, deed);
        let status = self.status.change();
        status.last_id = status.last_id.max(id);
        status.supply = status.supply.saturating_add(1);
    }

    /// The genesis node deed, at genesis.
    pub fn found(&mut self, mnd: &MndParams, owner: &EthAddress) {
        self.put(GND, owner, mnd.gnd_assigned, 1);
    }

    /// What all licences of a wallet are assigned, wei.
    fn assigned_to(&self, wallet: &EthAddress) -> U256 {
        // There are at most some hundreds.
        let held = self
            .deeds
            .iter()
            .filter(|(_, deed)| !deed.burned && deed.owner == *wallet);
        held.fold(U256::ZERO, |sum, (_, deed)| {
            sum.saturating_add(deed.progress.assigned)
        })
    }

    fn fits_wallet(&self, mnd: &MndParams, wallet: &EthAddress, more: U256) -> Result<(), MndRefusal> {
        let assigned = self.assigned_to(wallet).saturating_add(more);
        if assigned > mnd.max_per_licence {
            return Err(MndRefusal::WalletCap {
                wallet: *wallet,
                assigned,
            });
        }
        Ok(())
    }

    /// A new licence for a wallet. Who may ask is the caller's to check. Returns its number.
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn add(
        &mut self,
        context: &MasterContext,
        owner: &EthAddress,
        assigned: U256,
    ) -> Result<u64, MndRefusal> {
        let mnd = context.mnd;
        if self.status.supply >= mnd.max_supply {
            return Err(MndRefusal::MaxSupply(mnd.max_supply));
        }
        if assigned.is_zero() || assigned > mnd.max_per_licence {
            return Err(MndRefusal::Power(assigned));
        }
        let total = self.status.assigned.saturating_add(assigned);
        if total > mnd.max_assigned {
            return Err(MndRefusal::Budget(total));
        }
        self.fits_wallet(mnd, owner, assigned)?;
        let id = self.status.last_id.max(GND).saturating_add(1);
        self.put(id, owner, assigned, context.at.epoch.max(mnd.no_mining_epochs));
        self.status.change().assigned = total;
        Ok(id)
    }

    /// Links a licence to a node; `agreed` was checked by the caller (an oracle's signature, or the node's consent).
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn link(
        &mut self,
        context: &MasterContext,
        links: &mut Links,
        sender: &EthAddress,
        id: u64,
        node: NodeId,
    ) -> Result<(), MndRefusal> {
        let licence = LicenceRef::Mnd(id);
        self.running()?;
        let deed = self.owned(sender, id)?;
        if node.address == NOBODY {
            return Err(MndRefusal::NoNode(licence));
        }
        if let Some(other) = links.get(&node.address) {
            return Err(MndRefusal::NodeLinked {
                node: node.address,
                licence: *other,
            });
        }
        let at_ms = deed.assigned_at_ms.saturating_add(context.link_cooldown_ms);
        if deed.assigned_at_ms != 0 && context.at.timestamp_ms <= at_ms {
            return Err(MndRefusal::Cooldown { licence, at_ms });
        }
        self.take_node(context, links, id)?;
        let deed = self.deed_mut(id)?;
        deed.node = Some(node.address);
        deed.node_name = node.name;
        deed.assigned_at_ms = context.at.timestamp_ms;
        deed.last_claim_epoch = context.at.epoch;
        deed.links = deed.links.saturating_add(1);
        links.insert(node.address, licence);
        Ok(())
    }

    fn take_node(&mut self, context: &MasterContext, links: &mut Links, id: u64) -> Result<(), MndRefusal> {
        let deed = self.deed(id)?;
        let Some(node) = deed.node else { return Ok(()) };
        let epoch = context.at.epoch;
        let mines = epoch >= deed.first_mining_epoch;
        if mines && (deed.last_claim_epoch != epoch || !deed.pending.is_zero()) {
            return Err(MndRefusal::Unclaimed {
                licence: LicenceRef::Mnd(id),
                from: deed.last_claim_epoch,
                epoch,
            });
        }
        let deed = self.deed_mut(id)?;
        deed.node = None;
        deed.node_name = None;
        links.remove(&node);
        Ok(())
    }

    /// Unlinks a licence. Before it mines nothing needs to be claimed first.
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn unlink(
        &mut self,
        context: &MasterContext,
        links: &mut Links,
        sender: &EthAddress,
        id: u64,
    ) -> Result<(), MndRefusal> {
        self.running()?;
        self.owned(sender, id)?;
        self.take_node(context, links, id)
    }

    /// Stops linking, unlinking and claiming, or starts them again. Who may ask is the caller's to check.
    ///
    /// # Errors
    /// [`MndRefusal::Paused`], [`MndRefusal::NotPaused`] if it is so already.
    pub fn pause(&mut self, paused: bool) -> Result<(), MndRefusal> {
        if self.status.paused == paused {
            return Err(if paused {
                MndRefusal::Paused
            } else {
                MndRefusal::NotPaused
            });
        }
        self.status.change().paused = paused;
        Ok(())
    }

    /// Allows a transfer to somebody, or with the zero address a burn. Who may ask is the caller's to check.
    ///
    /// # Errors
    /// [`MndRefusal::Unknown`].
    pub fn initiate(&mut self, id: u64, receiver: EthAddress) -> Result<(), MndRefusal> {
        self.deed(id)?;
        self.deed_mut(id)?.receiver = Some(receiver);
        Ok(())
    }

    /// Gives a licence to whom it was initiated for; its node stays linked.
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn transfer(
        &mut self,
        context: &MasterContext,
        sender: &EthAddress,
        id: u64,
        to: &EthAddress,
    ) -> Result<(), MndRefusal> {
        let deed = self.owned(sender, id)?;
        if *to == NOBODY || deed.receiver != Some(*to) {
            return Err(MndRefusal::Soulbound(LicenceRef::Mnd(id)));
        }
        if to != sender {
            self.fits_wallet(context.mnd, to, deed.progress.assigned)?;
        }
        let deed = self.deed_mut(id)?;
        deed.owner = *to;
        deed.receiver = None;
        Ok(())
    }

    /// Destroys a licence whose burn was initiated; what it had not claimed is free again.
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn burn(
        &mut self,
        context: &MasterContext,
        links: &mut Links,
        sender: &EthAddress,
        id: u64,
    ) -> Result<(), MndRefusal> {
        let deed = self.owned(sender, id)?;
        if deed.receiver != Some(NOBODY) {
            return Err(MndRefusal::Soulbound(LicenceRef::Mnd(id)));
        }
        let free = deed.progress.assigned.saturating_sub(deed.progress.claimed);
        self.take_node(context, links, id)?;
        let deed = self.deed_mut(id)?;
        deed.burned = true;
        deed.receiver = None;
        let status = self.status.change();
        status.supply = status.supply.saturating_sub(1);
        if id != GND {
            status.assigned = status.assigned.saturating_sub(free);
        }
        Ok(())
    }
}

impl Journal for MasterDeeds {
    fn is_open(&self) -> bool {
        self.status.is_open()
    }

    fn begin(&mut self) {
        self.deeds.begin();
        self.status.begin();
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
