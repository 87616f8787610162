//! Why escrows refuse, in our words and in the contracts'.

use r1_core::{EthAddress, U256};

use crate::{adoption::AdoptionRefusal, bank::BankRefusal, pool::PoolRefusal};

/// Why an escrow or the agreement on its jobs refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoaiRefusal {
    /// The wallet owns no licence of an oracle's node.
    #[error("wallet {0} owns no licence that is linked to an oracle")]
    NoOracleNode(EthAddress),
    /// The wallet has an escrow.
    #[error("wallet {0} has an escrow already")]
    HasEscrow(EthAddress),
    /// The wallet has no escrow.
    #[error("wallet {0} has no escrow")]
    NoEscrow(EthAddress),
    /// The account may not do this in the escrow.
    #[error("account {account} may not do this in the escrow of {escrow}")]
    NotAuthorized {
        /// Who asked.
        account: EthAddress,
        /// Whose escrow.
        escrow: EthAddress,
    },
    /// The account is a delegate of another escrow, or owns one.
    #[error("account {0} belongs to another escrow")]
    Delegated(EthAddress),
    /// The account is no delegate of the escrow.
    #[error("account {0} is not a delegate of this escrow")]
    NotDelegate(EthAddress),
    /// The job type is no longer offered.
    #[error("job type {0} is deprecated")]
    Deprecated(u8),
    /// There is no such job type.
    #[error("job type {0} is unknown")]
    JobType(u8),
    /// A job of no nodes.
    #[error("a job of 0 nodes")]
    NoNodes,
    /// The job would end in the past.
    #[error("a job until epoch {last}, in epoch {epoch}")]
    Past {
        /// Its last epoch, exclusive.
        last: u64,
        /// The current epoch.
        epoch: u64,
    },
    /// The job is too short.
    #[error("a job of {epochs} epochs, at least {min} are needed")]
    TooShort {
        /// How many.
        epochs: u64,
        /// How many are needed.
        min: u64,
    },
    /// No such job.
    #[error("job {0} does not exist")]
    NoJob(u64),
    /// The job was started.
    #[error("job {0} was started")]
    Started(u64),
    /// The job cannot be redeemed so soon.
    #[error("job {job} can be redeemed from {at_ms} ms since 1970 on")]
    RedeemCooldown {
        /// The job.
        job: u64,
        /// From when on.
        at_ms: u64,
    },
    /// Oracles are about to decide on the job.
    #[error("job {0} waits for the agreement of the oracles")]
    Unvalidated(u64),
    /// An extension that extends nothing.
    #[error("job {job} runs until epoch {last} already")]
    NotLonger {
        /// The job.
        job: u64,
        /// Its last epoch, exclusive.
        last: u64,
    },
    /// An extension that extends nothing.
    #[error("job {job} has {nodes} nodes already")]
    NotMore {
        /// The job.
        job: u64,
        /// How many.
        nodes: u64,
    },
    /// Strict: the job is closed.
    #[error("job {0} is closed")]
    Closed(u64),
    /// Strict: the job has ended; what was not run cannot be paid afterwards.
    #[error("job {job} ended at epoch {last}; create another one")]
    Ended {
        /// The job.
        job: u64,
        /// Its last epoch, exclusive.
        last: u64,
    },
    /// Only oracles agree on nodes.
    #[error("account {0} is not an oracle")]
    NotOracle(EthAddress),
    /// An oracle submits once per job and epoch.
    #[error("oracle {oracle} submitted for job {job} in epoch {epoch} already")]
    Submitted {
        /// The oracle.
        oracle: EthAddress,
        /// The job.
        job: u64,
        /// The epoch.
        epoch: u64,
    },
    /// The nodes of a job cannot change so soon.
    #[error("job {job} can change its nodes from {at_ms} ms since 1970 on")]
    ConsensusCooldown {
        /// The job.
        job: u64,
        /// From when on.
        at_ms: u64,
    },
    /// Jobs start from epoch 1 on.
    #[error("job {0} cannot start in epoch 0; submit its nodes again in epoch 1")]
    FirstEpoch(u64),
    /// The job has not ended, or is not paid up to its end.
    #[error("job {0} cannot be closed before it has ended and is paid")]
    NotClosable(u64),
    /// Strict: more nodes than were asked for.
    #[error("job {job}: {nodes} nodes, {requested} are asked for")]
    TooManyNodes {
        /// The job.
        job: u64,
        /// How many were submitted.
        nodes: u64,
        /// How many are asked for.
        requested: u64,
    },
    /// The node belongs to nobody who could be paid.
    #[error("node {0} is linked to no node deed")]
    NoDeed(EthAddress),
    /// The node is somebody else's.
    #[error("node {node} belongs to {owner}, not to {sender}")]
    NotNodeOwner {
        /// The node.
        node: EthAddress,
        /// Whose it is.
        owner: EthAddress,
        /// Who asked.
        sender: EthAddress,
    },
    /// Strict: the claim would give less R1 than was asked for.
    #[error("the claim gives {out} R1 wei, at least {min} are asked for")]
    MinimumOut {
        /// What it gives, wei.
        out: U256,
        /// What was asked for, wei.
        min: U256,
    },
    /// An amount left its range.
    #[error("{0} overflows")]
    Overflow(&'static str),
    /// Adoption refuses.
    #[error(transparent)]
    Adoption(#[from] AdoptionRefusal),
    /// The pool refuses.
    #[error(transparent)]
    Pool(#[from] PoolRefusal),
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
}

impl PoaiRefusal {
    /// The contract's error.
    pub fn revert(&self) -> String {
        match self {
            Self::NoOracleNode(_) => "NoOracleNodeOwned()",
            Self::HasEscrow(_) => "AlreadyHasEscrow()",
            Self::NoEscrow(_) | Self::NotAuthorized { .. } => "Not authorized",
            Self::Delegated(_) => "AddressDelegatedToAnotherEscrow()",
            Self::NotDelegate(_) => "DelegateNotRegistered()",
            Self::Deprecated(_) => "Deprecated job type",
            Self::JobType(_) => "Invalid job type",
            Self::NoNodes => "Number of nodes must be greater than 0",
            Self::Past { .. } => "Last execution epoch must be in the future",
            Self::TooShort { .. } => "Number of epochs must be greater than 30",
            Self::NoJob(_) => "JobDoesNotExist()",
            Self::Started(_) => "Job already started",
            Self::RedeemCooldown { .. } => "Redemption cooldown not elapsed",
            Self::Unvalidated(_) => "JobUnvalidatedCannotRemove()",
            Self::NotLonger { .. } => "New epoch must be greater",
            Self::NotMore { .. } => "New number of nodes must be greater",
            Self::NotOracle(_) => "NotOracle()",
            Self::Submitted { .. } => "AlreadySubmitted()",
            Self::ConsensusCooldown { .. } => "ConsensusCooldownNotExpired()",
            Self::NoDeed(_) => "ERC721NonexistentToken(0)",
            Self::NotNodeOwner { .. } => "NotNodeOwner()",
            Self::Closed(_) | Self::Ended { .. } | Self::NotClosable(_) | Self::TooManyNodes { .. } => {
                "InvalidJob()"
            }
            Self::MinimumOut { .. } => "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT",
            Self::FirstEpoch(_) | Self::Overflow(_) => "panic 0x11",
            Self::Adoption(refusal) => return refusal.revert(),
            Self::Pool(refusal) => return refusal.revert(),
            Self::Bank(refusal) => return refusal.revert(),
        }
        .to_owned()
    }
}
