//! Proof-of-Availability rewards of ND licences.

use r1_core::U256;

use crate::Params;

/// Availability of a node that was there for the whole epoch.
const FULL: u64 = 255;

/// Credit of one epoch: `floor(nd_reward_per_epoch * availability / 255)`, wei.
pub fn nd_epoch_credit(params: &Params, availability: u8) -> U256 {
    // At most 2^61 * 2^8: far below 2^256.
    params.nd_reward_per_epoch * U256::from(availability) / U256::from(FULL)
}

/// What a claim pays: `min(pending, cap - claimed)`, wei; `pending` is the sum of the epochs' credits.
pub fn nd_claimable(params: &Params, pending: U256, claimed: U256) -> U256 {
    pending.min(params.nd_cap.saturating_sub(claimed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params {
            chain_id: 1,
            nd_reward_per_epoch: U256::from(1_458_508_188_386_985_115_u64),
            nd_cap: U256::from(1_575_188_843_457_943_925_233_u128),
            link_cooldown_ms: 1,
        }
    }

    #[test]
    fn an_epoch_pays_by_availability_rounded_down() {
        assert_eq!(nd_epoch_credit(&params(), 0), U256::ZERO);
        assert_eq!(nd_epoch_credit(&params(), 255), params().nd_reward_per_epoch);
        // 1458508188386985115 / 255 = 5719639954458765.15...
        assert_eq!(
            nd_epoch_credit(&params(), 1),
            U256::from(5_719_639_954_458_765_u64)
        );
    }

    #[test]
    fn the_cap_ends_the_licence_after_1080_epochs_and_1033_wei() {
        let all = nd_epoch_credit(&params(), 255) * U256::from(1080);
        assert_eq!(params().nd_cap - all, U256::from(1033));
        assert_eq!(nd_claimable(&params(), U256::from(5000), all), U256::from(1033));
        assert_eq!(
            nd_claimable(&params(), U256::from(5000), params().nd_cap),
            U256::ZERO
        );
    }
}
