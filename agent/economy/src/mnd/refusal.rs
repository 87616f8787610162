//! Why master node deeds refuse, in our words and in the contract's.

use r1_core::{EthAddress, U256};

use crate::{LicenceRef, adoption::AdoptionRefusal, bank::BankRefusal, fixed::FixedError};

/// Why a master node deed refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MndRefusal {
    /// Everything is stopped.
    #[error("master node deeds are paused")]
    Paused,
    /// Nothing is stopped.
    #[error("master node deeds are not paused")]
    NotPaused,
    /// No such licence.
    #[error("licence {0} does not exist")]
    Unknown(LicenceRef),
    /// The sender does not own the licence.
    #[error("licence {licence} belongs to {owner}, not to {sender}")]
    NotOwner {
        /// The licence.
        licence: LicenceRef,
        /// Its owner.
        owner: EthAddress,
        /// Who asked.
        sender: EthAddress,
    },
    /// Only the contract's owner may do this.
    #[error("account {0} is not the owner of the contracts")]
    NotContractOwner(EthAddress),
    /// Nothing, or more than a licence may have, is assigned.
    #[error("a licence of {0} wei: it must be above 0 and within the cap of one licence")]
    Power(U256),
    /// The wallet would have more assigned than it may.
    #[error("wallet {wallet} would have {assigned} wei assigned, above the cap of one wallet")]
    WalletCap {
        /// The wallet.
        wallet: EthAddress,
        /// What it would have.
        assigned: U256,
    },
    /// More than the budget would be assigned to all together.
    #[error("{0} wei would be assigned in all, above the budget")]
    Budget(U256),
    /// There are as many licences as there may be.
    #[error("all {0} licences exist")]
    MaxSupply(u64),
    /// The zero address is no node.
    #[error("licence {0} cannot be linked to the zero address")]
    NoNode(LicenceRef),
    /// The node already belongs to a licence.
    #[error("node {node} is already linked to {licence}")]
    NodeLinked {
        /// The node.
        node: EthAddress,
        /// The licence it is linked to.
        licence: LicenceRef,
    },
    /// The cooldown since the last link has not passed.
    #[error("licence {licence} can be linked again after {at_ms} ms since 1970")]
    Cooldown {
        /// The licence.
        licence: LicenceRef,
        /// From when on, exclusive.
        at_ms: u64,
    },
    /// Epochs that mined have not been claimed.
    #[error("licence {licence}: the epochs from {from} to before {epoch} must be claimed first")]
    Unclaimed {
        /// The licence.
        licence: LicenceRef,
        /// First epoch not claimed.
        from: u64,
        /// The current epoch.
        epoch: u64,
    },
    /// The licence cannot leave its owner.
    #[error("licence {0} is bound to its owner; the transfer or burn was not initiated")]
    Soulbound(LicenceRef),
    /// The claim names another node than the licence's.
    #[error("licence {licence} is not linked to node {node}")]
    WrongNode {
        /// The licence.
        licence: LicenceRef,
        /// The node named.
        node: EthAddress,
    },
    /// The claim has not as many epochs or availabilities as there are to claim.
    #[error("licence {licence}: {epochs} epochs and {availabilities} availabilities, {needed} are to claim")]
    WrongCount {
        /// The licence.
        licence: LicenceRef,
        /// How many epochs came.
        epochs: usize,
        /// How many availabilities came.
        availabilities: usize,
        /// How many there are to claim.
        needed: u64,
    },
    /// The claim's epochs are not those to claim.
    #[error("licence {licence}: the last epoch to claim is {last}")]
    WrongEpochs {
        /// The licence.
        licence: LicenceRef,
        /// The last epoch to claim.
        last: u64,
    },
    /// There is nothing to claim.
    #[error("licence {0} has nothing to claim")]
    NothingToClaim(LicenceRef),
    /// A parameter of the curve is out of range.
    #[error(transparent)]
    Curve(#[from] FixedError),
    /// Adoption refuses.
    #[error(transparent)]
    Adoption(#[from] AdoptionRefusal),
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
}

impl MndRefusal {
    /// The contract's error.
    pub fn revert(&self) -> String {
        let name = match self {
            Self::Paused => "EnforcedPause()",
            Self::NotPaused => "ExpectedPause()",
            Self::Unknown(LicenceRef::Nd(id) | LicenceRef::Mnd(id)) => {
                return format!("ERC721NonexistentToken({id})");
            }
            Self::NotOwner { .. } => "NotLicenseOwner()",
            Self::NotContractOwner(sender) => return format!("OwnableUnauthorizedAccount(\"{sender}\")"),
            Self::Power(_) => "InvalidLicensePower()",
            Self::WalletCap { .. } => "AssignedAmountExceedsLimit()",
            Self::Budget(_) => "MaxTotalAssignedTokensReached()",
            Self::MaxSupply(_) => "MaxTokenSupplyReached()",
            Self::NoNode(_) => "InvalidNodeAddress()",
            Self::NodeLinked { .. } => "NodeAddressAlreadyRegistered()",
            Self::Cooldown { .. } => "CannotReassignWithin24Hours()",
            Self::Unclaimed { .. } => "CannotUnlinkBeforeClaimingRewards()",
            Self::Soulbound(_) => "SoulboundNonTransferableToken()",
            Self::WrongNode { .. } => "InvalidNodeAddressForRewards()",
            Self::WrongCount {
                epochs,
                availabilities,
                ..
            } if availabilities < epochs => "panic 0x32",
            Self::WrongCount { .. } | Self::NothingToClaim(_) => "IncorrectNumberOfParams()",
            Self::WrongEpochs { .. } => "InvalidEpochs()",
            Self::Curve(error) => error.revert(),
            Self::Adoption(refusal) => return refusal.revert(),
            Self::Bank(refusal) => return refusal.revert(),
        };
        name.to_owned()
    }
}
