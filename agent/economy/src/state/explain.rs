//! How the reward of one epoch comes about, line by line.

use r1_core::{EthAddress, U256, format_r1, wei};
use serde::Serialize;

use super::State;
use crate::{
    LicenceRef, Mode,
    deeds::{NodeDeed, nd_credit, nd_room},
    mnd::{GND, MasterDeed},
    release::{fraction, gnd_release, mnd_release, split},
};

/// The reward of a licence for one closed epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewardExplanation {
    /// The licence's handle, such as `nd-7`.
    pub licence: String,
    /// Its owner, who is paid.
    pub owner: EthAddress,
    /// The epoch.
    pub epoch: u64,
    /// The availability of its node in it.
    pub availability: u8,
    /// What the epoch earned, wei, without what master node deeds carry over.
    #[serde(with = "wei")]
    pub earned: U256,
    /// The sum, line by line.
    pub text: Vec<String>,
}

impl State {
    /// Explains what a licence earned in a closed epoch, given its node's availability in it; `None` if there is no such
    /// licence. The licence is taken as it is now: what it had claimed before that epoch is not kept.
    pub fn explain_reward(
        &self,
        licence: LicenceRef,
        epoch: u64,
        availability: u8,
    ) -> Option<RewardExplanation> {
        let mut text = Vec::new();
        let (owner, earned) = match licence {
            LicenceRef::Nd(id) => {
                let deed = self.deeds.deed(id).ok()?;
                (
                    deed.owner,
                    self.explain_deed(deed, epoch, availability, &mut text),
                )
            }
            LicenceRef::Mnd(id) => {
                let deed = self.masters.deed(id).ok()?;
                let earned = self.explain_master((id, deed), epoch, availability, &mut text);
                (deed.owner, earned)
            }
        };
        Some(RewardExplanation {
            licence: licence.handle(),
            owner,
            epoch,
            availability,
            earned,
            text,
        })
    }

    /// A line and `true` if the licence was linked only after the epoch.
    fn linked_later(&self, assigned_at_ms: u64, epoch: u64, text: &mut Vec<String>) -> bool {
        let params = &self.params;
        let end_ms = params
            .epoch_length_ms
            .saturating_mul(epoch.saturating_add(1))
            .saturating_add(params.epoch_start_ms);
        let later = assigned_at_ms >= end_ms || assigned_at_ms == 0;
        if later {
            text.push(format!(
                "the licence's present link is younger than epoch {epoch}: what it earned before under another link is not \
                 known here"
            ));
        }
        later
    }

    fn explain_deed(&self, deed: &NodeDeed, epoch: u64, availability: u8, text: &mut Vec<String>) -> U256 {
        if self.linked_later(deed.assigned_at_ms, epoch, text) {
            return U256::ZERO;
        }
        let nd = &self.params.nd;
        let earned = nd_credit(nd, availability);
        text.push(format!(
            "a whole epoch pays {} R1; {availability} of 255 of it, rounded down to the wei: {} R1",
            format_r1(nd.reward_per_epoch),
            format_r1(earned)
        ));
        let room = nd_room(nd, deed.claimed);
        text.push(format!(
            "the licence has claimed {} of at most {} R1; {} R1 are left",
            format_r1(deed.claimed),
            format_r1(nd.cap),
            format_r1(room)
        ));
        if self.params.mode == Mode::Compat {
            text.push("compat: it is paid when a claim with the oracles' signatures is sent".to_owned());
        } else if epoch < deed.last_claim_epoch {
            text.push(format!(
                "epoch {epoch} is paid: the last claim went up to epoch {}",
                deed.last_claim_epoch - 1
            ));
        } else {
            text.push(format!(
                "it is part of the {} R1 that a claim pays now (epochs {} to {})",
                format_r1(deed.pending.min(room)),
                deed.last_claim_epoch,
                self.next_epoch().saturating_sub(1)
            ));
        }
        earned
    }

    fn explain_master(
        &self,
        (id, deed): (u64, &MasterDeed),
        epoch: u64,
        availability: u8,
        text: &mut Vec<String>,
    ) -> U256 {
        if self.linked_later(deed.assigned_at_ms, epoch, text) {
            return U256::ZERO;
        }
        if epoch < deed.first_mining_epoch {
            text.push(format!(
                "the licence mines from epoch {} on",
                deed.first_mining_epoch
            ));
            return U256::ZERO;
        }
        let release = self.explain_release(id, deed, epoch, text);
        let adopted = self.adoption.at(&self.params.adoption, epoch);
        text.push(format!(
            "adoption was {adopted} of 65535: {} licences sold, {} micro-USDC spent on jobs by then",
            self.adoption.sold_at(epoch),
            self.adoption.volume_at(epoch)
        ));
        let assigned = deed.progress.assigned;
        let (released, withheld) = split(U256::ZERO, assigned, release, availability, adopted);
        text.push(format!(
            "{availability} of 255 of the release, and of that {adopted} of 65535: {} R1 paid, {} R1 withheld until \
             adoption grows",
            format_r1(released),
            format_r1(withheld)
        ));
        text.push(format!(
            "by now {} of {} R1 are claimed, of which {} R1 are withheld; a claim pays {} R1, with what was carried over",
            format_r1(deed.progress.claimed),
            format_r1(assigned),
            format_r1(deed.progress.withheld),
            format_r1(deed.pending)
        ));
        released
    }

    /// What the epoch releases at full availability and adoption, wei.
    fn explain_release(&self, id: u64, deed: &MasterDeed, epoch: u64, text: &mut Vec<String>) -> U256 {
        let mnd = &self.params.mnd;
        if id == GND {
            let release = gnd_release(mnd);
            text.push(format!("every epoch releases {} R1", format_r1(release)));
            return release;
        }
        let x = epoch - deed.first_mining_epoch;
        let part = fraction(mnd, x);
        // The parameters were tried when the genesis was read.
        let release = part
            .and_then(|part| mnd_release(mnd, deed.progress.assigned, part))
            .unwrap_or_default();
        let part = part.map_or(U256::ZERO, |part| part.magnitude());
        text.push(format!(
            "epoch {x} of its mining: the curve stands at {} of 1, which releases {} of {} R1",
            format_r1(part),
            format_r1(release),
            format_r1(deed.progress.assigned)
        ));
        release
    }
}
