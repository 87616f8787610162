//! The constants of a network, one value that is part of its genesis.

use r1_core::{Genesis, U256};
use serde::{Deserialize, Serialize};

/// Reward of a fully available epoch, wei: the upstream `Controller`'s ND maximum per epoch.
const ND_REWARD_PER_EPOCH: u64 = 1_458_508_188_386_985_115;
/// Most that one ND licence can ever mint, wei (45 % of the supply over 46,224 licences).
const ND_CAP: u128 = 1_575_188_843_457_943_925_233;

/// The constants of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Chain id that every transaction must carry.
    pub chain_id: u64,
    /// Reward of an epoch with availability 255, wei.
    pub nd_reward_per_epoch: U256,
    /// Cap of one ND licence over its life, wei.
    pub nd_cap: U256,
    /// Time that must pass after a link before the licence can be linked again, ms. Upstream: 24 h, which is one
    /// mainnet epoch; here one epoch of the network.
    pub link_cooldown_ms: u64,
}

impl Params {
    /// The parameters that follow from a genesis.
    pub fn of(genesis: &Genesis) -> Self {
        Self {
            chain_id: genesis.chain_id,
            nd_reward_per_epoch: U256::from(ND_REWARD_PER_EPOCH),
            nd_cap: U256::from(ND_CAP),
            link_cooldown_ms: genesis.epoch.length_ms,
        }
    }
}
