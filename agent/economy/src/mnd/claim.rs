//! Claims of master node deeds, and the credit of closed epochs.

use r1_core::{EthAddress, U256};

use super::{GND, MasterClaim, MasterContext, MasterDeed, MasterDeeds, MndRefusal};
use crate::{
    LicenceRef, MndParams, Mode,
    adoption::Adoption,
    bank::{Bank, Mint},
    deeds::NodeId,
    release::{EpochPay, fraction, gnd_release, gnd_split, mnd_release},
};

impl MasterDeeds {
    /// Pays a claim with signed availabilities (compat); the caller has checked the signatures. Returns the sum of the
    /// epochs.
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn claim(
        &mut self,
        context: &MasterContext,
        sender: &EthAddress,
        claim: &MasterClaim,
        (bank, adoption): (&mut Bank, &Adoption),
        oracle: EthAddress,
    ) -> Result<EpochPay, MndRefusal> {
        self.running()?;
        let (id, licence) = (claim.id, LicenceRef::Mnd(claim.id));
        let deed = self.owned(sender, id)?;
        if deed.node != Some(claim.node) {
            let node = claim.node;
            return Err(MndRefusal::WrongNode { licence, node });
        }
        let first = deed.last_claim_epoch.max(deed.first_mining_epoch);
        check_shape(context, claim, first)?;
        let mut sum = EpochPay::default();
        let mut deed = deed.clone();
        for (epoch, availability) in (first..context.at.epoch).zip(claim.availabilities) {
            let pay = credit(context, id, &mut deed, adoption, (epoch, *availability))?;
            sum.released = sum.released.saturating_add(pay.released);
            sum.carried = sum.carried.saturating_add(pay.carried);
            sum.withheld = sum.withheld.saturating_add(pay.withheld);
        }
        deed.last_claim_epoch = context.at.epoch;
        deed.last_claim_oracle = Some(oracle);
        let owner = deed.owner;
        *self.deed_mut(id)? = deed;
        pay_out(
            context.mnd,
            bank,
            id,
            &owner,
            sum.released.saturating_add(sum.carried),
        )?;
        Ok(sum)
    }

    /// Credits a closed epoch to all linked licences (strict).
    ///
    /// # Errors
    /// A [`MndRefusal`] for parameters out of range.
    pub fn credit(
        &mut self,
        context: &MasterContext,
        adoption: &Adoption,
        epoch: u64,
        availability: impl Fn(&NodeId) -> u8,
    ) -> Result<(), MndRefusal> {
        let ids: Vec<u64> = self.deeds.iter().map(|(id, _)| *id).collect();
        for id in ids {
            let Ok(deed) = self.deed(id) else { continue };
            let Some(address) = deed.node.filter(|_| epoch >= deed.last_claim_epoch) else {
                continue;
            };
            let name = deed.node_name;
            let value = availability(&NodeId { address, name });
            let deed = self.deed_mut(id)?;
            deed.last_claim_epoch = epoch.saturating_add(1);
            if epoch >= deed.first_mining_epoch {
                let pay = credit(context, id, deed, adoption, (epoch, value))?;
                let earned = pay.released.saturating_add(pay.carried);
                deed.pending = deed.pending.saturating_add(earned);
            }
        }
        Ok(())
    }

    /// Pays what closed epochs credited (strict). Returns what was minted, wei.
    ///
    /// # Errors
    /// A [`MndRefusal`].
    pub fn claim_credited(
        &mut self,
        context: &MasterContext,
        sender: &EthAddress,
        id: u64,
        bank: &mut Bank,
    ) -> Result<U256, MndRefusal> {
        self.running()?;
        let amount = self.owned(sender, id)?.pending;
        if amount.is_zero() {
            return Err(MndRefusal::NothingToClaim(LicenceRef::Mnd(id)));
        }
        self.deed_mut(id)?.pending = U256::ZERO;
        pay_out(context.mnd, bank, id, sender, amount)
    }
}

/// The contract looks at the number of epochs and of availabilities together, so that one of them may be wrong; strict
/// rules look at each.
fn check_shape(context: &MasterContext, claim: &MasterClaim, first: u64) -> Result<(), MndRefusal> {
    let licence = LicenceRef::Mnd(claim.id);
    let needed = context.at.epoch.saturating_sub(first);
    let (epochs, availabilities) = (claim.epochs.len(), claim.availabilities.len());
    let fits = |count: usize| count as u64 == needed;
    let wrong = match context.mode {
        Mode::Compat => (!fits(epochs) && !fits(availabilities)) || (availabilities as u64) < needed,
        Mode::Strict => !fits(epochs) || !fits(availabilities),
    };
    if wrong {
        return Err(MndRefusal::WrongCount {
            licence,
            epochs,
            availabilities,
            needed,
        });
    }
    match (needed.checked_sub(1), claim.epochs.last()) {
        (Some(_), last) if last.copied() != context.at.epoch.checked_sub(1) => Err(MndRefusal::WrongEpochs {
            licence,
            last: context.at.epoch.saturating_sub(1),
        }),
        _ => Ok(()),
    }
}

fn credit(
    context: &MasterContext,
    id: u64,
    deed: &mut MasterDeed,
    adoption: &Adoption,
    (epoch, availability): (u64, u8),
) -> Result<EpochPay, MndRefusal> {
    let release = if id == GND {
        gnd_release(context.mnd)
    } else {
        let fraction = fraction(context.mnd, epoch.saturating_sub(deed.first_mining_epoch))?;
        mnd_release(context.mnd, deed.progress.assigned, fraction)?
    };
    let adopted = adoption.at(context.adoption, epoch);
    let factor = context.mnd.carry_over_factor;
    Ok(deed.progress.credit(release, availability, adopted, factor))
}

/// Mints to the owner, or for the GND to its wallets. Returns what was minted, wei.
fn pay_out(
    mnd: &MndParams,
    bank: &mut Bank,
    id: u64,
    owner: &EthAddress,
    amount: U256,
) -> Result<U256, MndRefusal> {
    if id != GND {
        bank.mint(owner, amount, Mint::Mnd)?;
        return Ok(amount);
    }
    let mut minted = U256::ZERO;
    for (wallet, share) in gnd_split(mnd, amount) {
        bank.mint(&wallet, share, Mint::Gnd)?;
        minted = minted.saturating_add(share);
    }
    Ok(minted)
}
