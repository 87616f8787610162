//! Node-deed licences.

use r1_core::{EthAddress, NodeAddress, U256};
use serde::{Deserialize, Serialize};

/// One ND licence. Fields follow the upstream `NDContract.licenses` where they exist there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Who owns it, links it and is paid.
    pub owner: EthAddress,
    /// The node it is linked to.
    pub node: Option<NodeAddress>,
    /// When it was last linked, ms since 1970-01-01 UTC; 0 if never.
    pub assigned_at_ms: u64,
    /// First epoch whose availability has not been claimed yet (upstream `lastClaimEpoch`).
    pub last_claim_epoch: u64,
    /// Sum of the credits of the closed epochs since then, wei.
    pub pending: U256,
    /// Minted so far, wei.
    pub claimed: U256,
}

impl Licence {
    /// A licence that was never linked.
    pub fn new(owner: EthAddress) -> Self {
        Self {
            owner,
            node: None,
            assigned_at_ms: 0,
            last_claim_epoch: 0,
            pending: U256::ZERO,
            claimed: U256::ZERO,
        }
    }
}
