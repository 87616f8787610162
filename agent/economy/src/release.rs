//! How master node deeds (MND) and the genesis node deed (GND) release R1: the logistic curve, the gate of adoption, and
//! the balance that is withheld and carried over.

use r1_core::{EthAddress, U256};
use serde::{Deserialize, Serialize};

use crate::{
    MndParams,
    fixed::{Fixed, FixedError},
};

/// Availability of a node that was there for the whole epoch.
const FULL_AVAILABILITY: u64 = 255;
/// Adoption when everything is released.
pub const FULL_ADOPTION: u16 = u16::MAX;

fn fixed(raw: U256) -> Result<Fixed, FixedError> {
    Fixed::from_raw(raw).ok_or(FixedError::AddOverflow(Fixed::ZERO, Fixed::ZERO))
}

/// The part of the plateau that is released `x` epochs after mining began: the curve, which after its last epoch stays as
/// it is.
///
/// # Errors
/// [`FixedError`] for parameters out of range.
pub fn fraction(params: &MndParams, x: u64) -> Result<Fixed, FixedError> {
    curve(params, x.min(params.mining_epochs))
}

/// The logistic curve: `1 / (1 + exp(-((x - mid) / L * k)))`.
///
/// # Errors
/// [`FixedError`] for parameters out of range.
pub fn curve(params: &MndParams, x: u64) -> Result<Fixed, FixedError> {
    let length = Fixed::from_integer(params.mining_epochs);
    let x = Fixed::from_integer(x);
    let middle = length.checked_mul(fixed(params.middle)?)?;
    let exponent = x
        .checked_sub(middle)?
        .checked_div(length)?
        .checked_mul(fixed(params.steepness)?)?;
    let power = Fixed::ZERO.checked_sub(exponent)?.exp()?;
    Fixed::ONE.checked_div(Fixed::ONE.checked_add(power)?)
}

/// What a licence would release per epoch at the top of the curve: `assigned / sum of the curve`.
///
/// # Errors
/// [`FixedError`] for parameters out of range.
pub fn plateau(params: &MndParams, assigned: U256) -> Result<Fixed, FixedError> {
    fixed(assigned)?.checked_div(fixed(params.plateau)?)
}

/// What an MND releases in one epoch at full availability and adoption, wei, given the epoch's [`fraction`].
///
/// # Errors
/// [`FixedError`] for parameters out of range.
pub fn mnd_release(params: &MndParams, assigned: U256, fraction: Fixed) -> Result<U256, FixedError> {
    Ok(plateau(params, assigned)?.checked_mul(fraction)?.magnitude())
}

/// What the GND releases in one epoch at full availability and adoption, wei.
pub fn gnd_release(params: &MndParams) -> U256 {
    params
        .gnd_assigned
        .checked_div(U256::from(params.gnd_epochs))
        .unwrap_or_default()
}

/// `floor(amount * part / whole)`; amounts here are below the cap of R1 (2^88) and parts below 2^16.
fn part(amount: U256, part: u64, whole: u64) -> U256 {
    amount.saturating_mul(U256::from(part)) / U256::from(whole)
}

/// Splits an epoch's release into what is paid and what is withheld, wei.
pub fn split(claimed: U256, assigned: U256, release: U256, availability: u8, adoption: u16) -> (U256, U256) {
    let room = assigned.saturating_sub(claimed);
    if room.is_zero() {
        return (U256::ZERO, U256::ZERO);
    }
    let available = part(release, availability.into(), FULL_AVAILABILITY);
    let released = part(available, adoption.into(), FULL_ADOPTION.into());
    if released > room {
        return (room, U256::ZERO);
    }
    let withheld = available
        .saturating_sub(released)
        .min(room.saturating_sub(released));
    (released, withheld)
}

/// How far a licence has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// R1 assigned to it, wei.
    #[serde(with = "r1_core::wei")]
    pub assigned: U256,
    /// Released and withheld so far, wei; at most what is assigned.
    #[serde(with = "r1_core::wei")]
    pub claimed: U256,
    /// Withheld and not carried over yet, wei.
    #[serde(with = "r1_core::wei")]
    pub withheld: U256,
}

/// What one epoch gave, wei.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EpochPay {
    /// Released by this epoch; is minted.
    pub released: U256,
    /// Carried over from what was withheld before; is minted.
    pub carried: U256,
    /// Withheld in this epoch.
    pub withheld: U256,
}

impl Progress {
    /// Credits one epoch: the split, the carry-over out of what was withheld, and then what is withheld now.
    pub fn credit(&mut self, release: U256, availability: u8, adoption: u16, factor: u8) -> EpochPay {
        let (released, withheld) = split(self.claimed, self.assigned, release, availability, adoption);
        let target = part(
            self.claimed,
            u64::from(FULL_ADOPTION - adoption),
            FULL_ADOPTION.into(),
        );
        let carried =
            self.withheld
                .saturating_sub(target)
                .min(part(release, factor.into(), FULL_AVAILABILITY));
        // No sum exceeds what is assigned.
        self.withheld = self.withheld.saturating_sub(carried).saturating_add(withheld);
        self.claimed = self.claimed.saturating_add(released).saturating_add(withheld);
        EpochPay {
            released,
            carried,
            withheld,
        }
    }
}

/// How a claim of the GND goes to its wallets, each share floored; the rest is never minted.
pub fn gnd_split(params: &MndParams, amount: U256) -> Vec<(EthAddress, U256)> {
    let share = |(wallet, share): &(EthAddress, u64)| (*wallet, part(amount, *share, 10_000));
    params.gnd_split.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::NetworkParams;

    fn params() -> MndParams {
        NetworkParams::preset("mainnet").unwrap().mnd
    }

    #[test]
    fn the_curve_starts_and_ends_where_the_contracts_does() {
        let at = |x| fraction(&params(), x).unwrap().magnitude().to_string();
        assert_eq!(at(0), "29312230751356318");
        assert_eq!(at(630), "500000000000000000");
        assert_eq!(
            (at(900), at(2000)),
            ("817574476193643659".into(), "817574476193643659".into())
        );
    }

    proptest! {
        #[test]
        fn what_is_minted_and_withheld_is_what_is_claimed_and_never_more_than_assigned(
            assigned in 0u128..4_000_000_000_000_000_000_000_000,
            epochs in prop::collection::vec((any::<u8>(), any::<u16>()), 0..60),
            factor: u8,
        ) {
            let params = params();
            let mut progress = Progress { assigned: U256::from(assigned), ..Progress::default() };
            let mut minted = U256::ZERO;
            for (x, (availability, adoption)) in epochs.into_iter().enumerate() {
                let release = mnd_release(&params, progress.assigned, fraction(&params, 15 * x as u64).unwrap()).unwrap();
                let pay = progress.credit(release * U256::from(15), availability, adoption, factor);
                minted += pay.released + pay.carried;
                prop_assert_eq!(minted + progress.withheld, progress.claimed);
                prop_assert!(progress.claimed <= progress.assigned);
            }
        }
    }
}
