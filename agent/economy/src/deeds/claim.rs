//! Claims of node deeds, and the credit of closed epochs.

use r1_core::{EthAddress, NodeAddress, U256};

use super::{DeedContext, DeedRefusal, NOBODY, NodeDeed, NodeDeeds};
use crate::{
    NdParams,
    bank::{Bank, Mint},
};

/// Availability of a node that was there for the whole epoch.
const FULL: u64 = 255;

/// Reward of one epoch, wei: `floor(reward_per_epoch * availability / 255)`.
pub fn nd_credit(nd: &NdParams, availability: u8) -> U256 {
    let (full, value) = (U256::from(FULL), U256::from(availability));
    // Divided first, so that no product exceeds the whole reward, whatever the genesis sets.
    let (parts, rest) = nd.reward_per_epoch.div_rem(full);
    parts * value + rest * value / full
}

/// What a licence may still mint, wei.
pub fn nd_room(nd: &NdParams, claimed: U256) -> U256 {
    nd.cap.saturating_sub(claimed)
}

/// A claim as the contract takes it: what the oracles say about one deed's node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NdClaim {
    /// The deed.
    pub licence: u64,
    /// Its node.
    pub node: EthAddress,
    /// The epochs, oldest first.
    pub epochs: Vec<u64>,
    /// The node's availability in each of them.
    pub availabilities: Vec<u8>,
}

/// The rewards of some epochs, wei, before the cap: every epoch is floored on its own.
fn sum_of_credits(nd: &NdParams, availabilities: &[u8]) -> Result<U256, DeedRefusal> {
    availabilities.iter().try_fold(U256::ZERO, |sum, value| {
        sum.checked_add(nd_credit(nd, *value))
            .ok_or(DeedRefusal::Overflow("reward"))
    })
}

impl NodeDeeds {
    /// What a claim would pay now, wei; 0 where the deed is exhausted or was claimed in this epoch already.
    ///
    /// # Errors
    /// A [`DeedRefusal`] if the claim does not fit the deed.
    pub fn calculate(&self, context: &DeedContext, claim: &NdClaim) -> Result<U256, DeedRefusal> {
        let (licence, nd, epoch) = (claim.licence, context.nd, context.at.epoch);
        let deed = self.deed(licence)?;
        if deed.node.unwrap_or(NOBODY) != claim.node {
            return Err(DeedRefusal::WrongNode {
                licence,
                node: claim.node,
            });
        }
        let expected = epoch
            .checked_sub(deed.last_claim_epoch)
            .ok_or(DeedRefusal::Overflow("epochs"))?;
        if deed.claimed == nd.cap || expected == 0 {
            return Ok(U256::ZERO);
        }
        let (epochs, availabilities) = (claim.epochs.len(), claim.availabilities.len());
        if [epochs, availabilities].map(u64::try_from) != [Ok(expected); 2] {
            return Err(DeedRefusal::WrongCount {
                licence,
                expected,
                epochs,
                availabilities,
            });
        }
        // At least one epoch is over, so there is a last one.
        let (last, expected) = (claim.epochs.last().copied().unwrap_or_default(), epoch - 1);
        if last != expected {
            return Err(DeedRefusal::WrongEpochs {
                licence,
                last,
                expected,
            });
        }
        Ok(sum_of_credits(nd, &claim.availabilities)?.min(nd_room(nd, deed.claimed)))
    }

    /// Claims by signed availabilities; `verify` checks the signatures of one of them and names the first signer.
    /// Returns what each claim paid, wei.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn claim_signed(
        &mut self,
        context: &DeedContext,
        bank: &mut Bank,
        sender: &EthAddress,
        claims: &[NdClaim],
        verify: &mut dyn FnMut(usize, &NdClaim) -> Result<EthAddress, DeedRefusal>,
    ) -> Result<Vec<U256>, DeedRefusal> {
        self.running()?;
        let mut paid = Vec::new();
        let mut total = U256::ZERO;
        for (index, claim) in claims.iter().enumerate() {
            self.owned(sender, claim.licence)?;
            let signer = verify(index, claim)?;
            if self.deed(claim.licence)?.banned {
                return Err(DeedRefusal::Banned(claim.licence));
            }
            let amount = self.calculate(context, claim)?;
            let deed = self.deed_mut(claim.licence)?;
            deed.last_claim_epoch = context.at.epoch;
            deed.last_claim_oracle = Some(signer);
            deed.pending = U256::ZERO;
            add_claimed(deed, amount)?;
            total = total.checked_add(amount).ok_or(DeedRefusal::Overflow("reward"))?;
            paid.push(amount);
        }
        if !total.is_zero() {
            bank.mint(sender, total, Mint::Nd)?;
        }
        Ok(paid)
    }

    /// Strict: pays what was credited to a deed of the sender, wei.
    ///
    /// # Errors
    /// A [`DeedRefusal`].
    pub fn claim_credited(
        &mut self,
        context: &DeedContext,
        bank: &mut Bank,
        sender: &EthAddress,
        id: u64,
    ) -> Result<U256, DeedRefusal> {
        self.running()?;
        let deed = self.owned(sender, id)?;
        if deed.node.is_none() {
            return Err(DeedRefusal::NotLinked(id));
        }
        if deed.banned {
            return Err(DeedRefusal::Banned(id));
        }
        let amount = deed.claimable(context.nd);
        if amount.is_zero() {
            return Err(DeedRefusal::NothingToClaim(id));
        }
        let deed = self.deed_mut(id)?;
        deed.pending = U256::ZERO;
        deed.last_claim_epoch = deed.last_claim_epoch.max(context.next_epoch);
        add_claimed(deed, amount)?;
        bank.mint(sender, amount, Mint::Nd)?;
        Ok(amount)
    }

    /// Strict: credits a closed epoch to every linked deed. A node without availability was absent (0).
    pub fn credit(&mut self, nd: &NdParams, epoch: u64, availability: impl Fn(&NodeAddress) -> u8) {
        let credits: Vec<U256> = (0..=u8::MAX).map(|value| nd_credit(nd, value)).collect();
        // Looked up before anything is changed: lookups that nothing is written between overlap in the processor.
        let due = |deed: &NodeDeed| {
            let node = deed.node_name.as_ref()?;
            (deed.last_claim_epoch <= epoch).then(|| availability(node))
        };
        let values: Vec<Option<u8>> = self.deeds.by_position().map(|(_, deed)| due(deed)).collect();
        let mut values = values.into_iter();
        self.deeds.for_each_mut(|_, deed| {
            let value = values.next()??;
            // Pending beyond the cap can never be paid, so it need not be kept: no overflow is possible.
            let pending = deed
                .pending
                .saturating_add(credits[usize::from(value)])
                .min(nd_room(nd, deed.claimed));
            (pending != deed.pending).then(|| NodeDeed {
                pending,
                ..deed.clone()
            })
        });
    }
}

fn add_claimed(deed: &mut NodeDeed, amount: U256) -> Result<(), DeedRefusal> {
    deed.claimed = deed
        .claimed
        .checked_add(amount)
        .ok_or(DeedRefusal::Overflow("claimed"))?;
    Ok(())
}
