//! Why node deeds refuse, in our words and in the contract's.

use r1_core::{EthAddress, U256};

use crate::{LicenceRef, bank::BankRefusal, controller::ControllerRefusal};

/// Why a node deed refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeedRefusal {
    /// Everything is stopped.
    #[error("node deeds are paused")]
    Paused,
    /// Nothing is stopped.
    #[error("node deeds are not paused")]
    NotPaused,
    /// No such deed.
    #[error("licence {0} does not exist")]
    Unknown(u64),
    /// The sender does not own the deed.
    #[error("licence {licence} belongs to {owner}, not to {sender}")]
    NotOwner {
        /// The deed.
        licence: u64,
        /// Its owner.
        owner: EthAddress,
        /// Who asked.
        sender: EthAddress,
    },
    /// The sender may not transfer the deed.
    #[error("licence {licence} belongs to {owner}, {sender} cannot transfer it")]
    NotApproved {
        /// The deed.
        licence: u64,
        /// Its owner.
        owner: EthAddress,
        /// Who asked.
        sender: EthAddress,
    },
    /// Only the contract's owner may do this.
    #[error("account {0} is not the owner of the contracts")]
    NotContractOwner(EthAddress),
    /// The zero address can own nothing.
    #[error("licence {0} cannot be given to the zero address")]
    NoReceiver(u64),
    /// The zero address is no node.
    #[error("licence {0} cannot be linked to the zero address")]
    NoNode(u64),
    /// The node already belongs to a licence.
    #[error("node {node} is already linked to {licence}")]
    NodeLinked {
        /// The node.
        node: EthAddress,
        /// The licence it is linked to.
        licence: LicenceRef,
    },
    /// Strict: the deed is linked; unlink it first.
    #[error("licence {licence} is already linked to node {node}")]
    Linked {
        /// The deed.
        licence: u64,
        /// Its node.
        node: EthAddress,
    },
    /// Strict: the deed is not linked.
    #[error("licence {0} is not linked to a node")]
    NotLinked(u64),
    /// The cooldown since the last link has not passed.
    #[error("licence {licence} can be linked again after {at_ms} ms since 1970")]
    Cooldown {
        /// The deed.
        licence: u64,
        /// From when on, exclusive.
        at_ms: u64,
    },
    /// The contract's owner banned the deed.
    #[error("licence {0} is banned")]
    Banned(u64),
    /// A second ban.
    #[error("licence {0} is already banned")]
    AlreadyBanned(u64),
    /// There is no ban to take back.
    #[error("licence {0} is not banned")]
    NotBanned(u64),
    /// Compat: epochs must be claimed first.
    #[error("licence {licence} has epochs from {from} to claim first, it is epoch {epoch}")]
    Unclaimed {
        /// The deed.
        licence: u64,
        /// First epoch that is not claimed.
        from: u64,
        /// The current epoch.
        epoch: u64,
    },
    /// Strict: rewards must be claimed first.
    #[error("licence {licence} has {pending} wei to claim first")]
    ClaimFirst {
        /// The deed.
        licence: u64,
        /// What it could claim, wei.
        pending: U256,
    },
    /// Strict: an epoch in which the deed was linked is over but not closed; unlinking now would lose its reward.
    #[error("licence {licence}: epoch {epoch} is over and not closed yet")]
    EpochOpen {
        /// The deed.
        licence: u64,
        /// The first such epoch.
        epoch: u64,
    },
    /// Strict: there is nothing to claim.
    #[error("licence {0} has nothing to claim")]
    NothingToClaim(u64),
    /// The claim names another node.
    #[error("licence {licence} is not linked to node {node}")]
    WrongNode {
        /// The deed.
        licence: u64,
        /// The node of the claim.
        node: EthAddress,
    },
    /// The claim has more or fewer epochs than can be claimed.
    #[error(
        "licence {licence} has {expected} epochs to claim, the claim has {epochs} and {availabilities} availabilities"
    )]
    WrongCount {
        /// The deed.
        licence: u64,
        /// Epochs that can be claimed.
        expected: u64,
        /// Epochs of the claim.
        epochs: usize,
        /// Availabilities of the claim.
        availabilities: usize,
    },
    /// The claim does not end with the last epoch that is over.
    #[error("licence {licence}: the claim ends with epoch {last}, not with {expected}")]
    WrongEpochs {
        /// The deed.
        licence: u64,
        /// Last epoch of the claim.
        last: u64,
        /// Last epoch that is over.
        expected: u64,
    },
    /// Two lists of different length.
    #[error("lists of {left} and {right} entries belong together")]
    Mismatch {
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// No more licences.
    #[error("all {0} licences exist")]
    MaxSupply(u64),
    /// Strict: the node has not agreed to the link.
    #[error("licence {licence}: node {node} has not agreed to the link")]
    NoConsent {
        /// The deed.
        licence: u64,
        /// The node.
        node: EthAddress,
    },
    /// The oracles' signatures are refused.
    #[error(transparent)]
    Oracle(#[from] ControllerRefusal),
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
    /// An amount left 256 bits; cannot happen below the caps, and is never wrapped.
    #[error("{0} overflows")]
    Overflow(&'static str),
}

impl DeedRefusal {
    /// The error of the contract.
    pub fn revert(&self) -> String {
        match self {
            Self::Paused => "EnforcedPause()",
            Self::NotPaused => "ExpectedPause()",
            Self::Unknown(id) => return format!("ERC721NonexistentToken({id})"),
            Self::NotOwner { .. } => "NotLicenseOwner()",
            Self::NotApproved { licence, sender, .. } => {
                return format!("ERC721InsufficientApproval(\"{sender}\", {licence})");
            }
            Self::NotContractOwner(sender) => return format!("OwnableUnauthorizedAccount(\"{sender}\")"),
            Self::NoReceiver(_) => {
                return format!("ERC721InvalidReceiver(\"{}\")", super::NOBODY);
            }
            Self::NoNode(_) => "InvalidNodeAddress()",
            Self::NodeLinked { .. } | Self::Linked { .. } => "NodeAddressAlreadyRegistered()",
            Self::Cooldown { .. } => "CannotReassignWithin24Hours()",
            Self::Banned(_) => "LicenseBanned()",
            Self::AlreadyBanned(_) => "LicenseAlreadyBanned()",
            Self::NotBanned(_) => "LicenseNotBanned()",
            Self::Unclaimed { .. } | Self::ClaimFirst { .. } | Self::EpochOpen { .. } => {
                "CannotUnlinkBeforeClaimingRewards()"
            }
            Self::NotLinked(_) | Self::WrongNode { .. } => "InvalidNodeAddressForRewards()",
            Self::NothingToClaim(_) | Self::WrongCount { .. } => "IncorrectNumberOfParams()",
            Self::WrongEpochs { .. } => "InvalidEpochs()",
            Self::Mismatch { .. } => "MismatchedInputArraysLength()",
            Self::MaxSupply(_) => "MaxTokenSupplyReached()",
            Self::NoConsent { .. } => "Invalid oracle signature",
            Self::Oracle(refusal) => return refusal.revert(),
            Self::Bank(refusal) => return refusal.revert(),
            Self::Overflow(_) => "panic 0x11",
        }
        .to_owned()
    }
}
