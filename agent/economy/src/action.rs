//! What a transaction may do, one variant per act of the contracts or of the embedded ledger.

use r1_core::{EthAddress, NodeAddress, U256, hex_text, wei};
use serde::{Deserialize, Serialize};

use crate::{LicenceRef, Signature, bank::Asset, merkle::Hash, poai::JobRequest};

/// A claim of the contracts: epochs and availabilities that oracles signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedClaim {
    /// The licence.
    pub licence: LicenceRef,
    /// Its node.
    pub node: EthAddress,
    /// Layout of what was signed: 1 (arrays) or 2 (packed bytes).
    pub version: u8,
    /// First epoch of the claim; the others follow it without a gap.
    pub first_epoch: u64,
    /// The node's availability in each epoch.
    pub availabilities: Vec<u8>,
    /// Signatures of distinct oracles.
    pub signatures: Vec<Signature>,
}

/// Licences that are linked together; entries belong together by their position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkMany {
    /// The node deeds.
    pub licences: Vec<u64>,
    /// The nodes.
    pub nodes: Vec<NodeAddress>,
    /// Strict: every node's consent. Compat: one signature of an oracle over all nodes.
    pub consents: Vec<Signature>,
}

/// An order of licences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// How many.
    pub count: u64,
    /// The tier that the buyer has seen, from 1.
    pub tier: u64,
    /// Most it pays for one licence without tax, wei.
    #[serde(with = "wei")]
    pub max_price: U256,
    /// The invoice; used once.
    #[serde(with = "hex_text")]
    pub invoice: Hash,
    /// Most whole USD it may ever spend on licences.
    #[serde(with = "wei")]
    pub usd_limit: U256,
    /// Value added tax, basis points.
    #[serde(with = "wei")]
    pub vat_bp: U256,
    /// An oracle's signature over buyer, invoice, limit and tax.
    pub approval: Signature,
}

/// What only the owner of the contracts may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum OwnerAction {
    /// Gives a wallet a new master node deed.
    AddMnd {
        /// The wallet.
        owner: EthAddress,
        /// R1 assigned, wei.
        #[serde(with = "wei")]
        assigned: U256,
    },
    /// Allows the transfer of a master node deed; to the zero address: its burn.
    InitiateMnd {
        /// Its number.
        id: u64,
        /// The receiver.
        receiver: EthAddress,
    },
    /// Bans a node deed.
    Ban {
        /// The deed.
        licence: u64,
    },
    /// Takes a ban back.
    Unban {
        /// The deed.
        licence: u64,
    },
    /// Stops buying, linking, unlinking, claiming and transfers of node deeds, or starts them again.
    PauseDeeds {
        /// True to stop.
        paused: bool,
    },
    /// Stops linking, unlinking and claiming of master node deeds, or starts them again.
    PauseMasters {
        /// True to stop.
        paused: bool,
    },
    /// Brings USDC into the ledger, micro-units: what somebody paid in elsewhere.
    IssueUsdc {
        /// To whom.
        to: EthAddress,
        /// How much.
        #[serde(with = "wei")]
        amount: U256,
    },
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Action {
    /// Link a licence of the sender to a node.
    Link {
        /// The licence.
        licence: LicenceRef,
        /// The node.
        node: NodeAddress,
        /// Strict: the node's signature over [`link_consent`](crate::link_consent). Compat: an oracle's over the wallet
        /// and the node.
        consent: Signature,
    },
    /// Link several node deeds of the sender at once, all or none.
    LinkMany(LinkMany),
    /// Unlink a licence of the sender from its node; its rewards must have been claimed.
    Unlink {
        /// The licence.
        licence: LicenceRef,
    },
    /// Strict: mint what a licence of the sender has earned.
    Claim {
        /// The licence.
        licence: LicenceRef,
    },
    /// Compat: mint what oracles signed; all or nothing.
    ClaimSigned(Vec<SignedClaim>),
    /// Give a licence of the sender to somebody.
    TransferLicence {
        /// The licence.
        licence: LicenceRef,
        /// To whom.
        to: EthAddress,
    },
    /// Destroy a licence of the sender.
    BurnLicence {
        /// The licence.
        licence: LicenceRef,
    },
    /// Buy node deeds.
    Buy(Purchase),
    /// Give R1 or USDC to somebody.
    Transfer {
        /// What.
        asset: Asset,
        /// To whom.
        to: EthAddress,
        /// How much, in its smallest unit.
        #[serde(with = "wei")]
        amount: U256,
    },
    /// Burn R1 of the sender, wei.
    Burn {
        /// How much.
        #[serde(with = "wei")]
        amount: U256,
        /// The app in whose honour, by its slug.
        app: Option<String>,
    },
    /// Exchange R1 for USDC or the other way.
    Swap {
        /// What is paid.
        asset: Asset,
        /// How much of it.
        #[serde(with = "wei")]
        amount: U256,
        /// Least of the other one that is accepted.
        #[serde(with = "wei")]
        min_out: U256,
    },
    /// Provide liquidity, as much as fits the pool's ratio.
    AddLiquidity {
        /// Most R1, wei.
        #[serde(with = "wei")]
        r1: U256,
        /// Most USDC, micro-units.
        #[serde(with = "wei")]
        usdc: U256,
        /// Least R1, wei.
        #[serde(with = "wei")]
        min_r1: U256,
        /// Least USDC, micro-units.
        #[serde(with = "wei")]
        min_usdc: U256,
    },
    /// Take liquidity out.
    RemoveLiquidity {
        /// LP tokens given back.
        #[serde(with = "wei")]
        shares: U256,
        /// Least R1, wei.
        #[serde(with = "wei")]
        min_r1: U256,
        /// Least USDC, micro-units.
        #[serde(with = "wei")]
        min_usdc: U256,
    },
    /// Open the sender's escrow.
    DeployEscrow,
    /// Say what somebody may do in the sender's escrow.
    Delegate {
        /// Who.
        delegate: EthAddress,
        /// [`permission`](crate::poai::permission) bits; 0 takes all away.
        permissions: u8,
    },
    /// Create jobs in the escrow that the sender acts in, and pay them in advance.
    CreateJobs(Vec<JobRequest>),
    /// Make a job last until another epoch.
    ExtendDuration {
        /// The job.
        job: u64,
        /// First epoch that is no longer run.
        last_execution_epoch: u64,
    },
    /// Give a job more nodes.
    ExtendNodes {
        /// The job.
        job: u64,
        /// How many in all.
        nodes: u64,
    },
    /// Take a job back that was not started.
    Redeem {
        /// The job.
        job: u64,
    },
    /// Oracles: the nodes that run a job, sorted; none when it is over.
    SubmitNodes {
        /// The job.
        job: u64,
        /// The nodes.
        nodes: Vec<EthAddress>,
    },
    /// Allocate the epochs that are over to the nodes of an escrow's jobs.
    Allocate {
        /// The escrow, by its owner.
        escrow: EthAddress,
    },
    /// Take what nodes of the sender earned with jobs, in R1.
    ClaimJobs {
        /// The nodes.
        nodes: Vec<EthAddress>,
        /// Strict: least R1 that is accepted, wei.
        #[serde(with = "wei")]
        min_out: U256,
    },
    /// What only the owner of the contracts may do.
    Owner(OwnerAction),
}

impl Action {
    /// The licence the action is about, if it is about one.
    pub fn licence(&self) -> Option<LicenceRef> {
        match self {
            Self::Link { licence, .. }
            | Self::Unlink { licence }
            | Self::Claim { licence }
            | Self::TransferLicence { licence, .. }
            | Self::BurnLicence { licence } => Some(*licence),
            _ => None,
        }
    }

    /// A short stable word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Link { .. } => "link",
            Self::LinkMany(_) => "link_many",
            Self::Unlink { .. } => "unlink",
            Self::Claim { .. } => "claim",
            Self::ClaimSigned(_) => "claim_signed",
            Self::TransferLicence { .. } => "transfer_licence",
            Self::BurnLicence { .. } => "burn_licence",
            Self::Buy(_) => "buy",
            Self::Transfer { .. } => "transfer",
            Self::Burn { .. } => "burn",
            Self::Swap { .. } => "swap",
            Self::AddLiquidity { .. } => "add_liquidity",
            Self::RemoveLiquidity { .. } => "remove_liquidity",
            Self::DeployEscrow => "deploy_escrow",
            Self::Delegate { .. } => "delegate",
            Self::CreateJobs(_) => "create_jobs",
            Self::ExtendDuration { .. } => "extend_duration",
            Self::ExtendNodes { .. } => "extend_nodes",
            Self::Redeem { .. } => "redeem",
            Self::SubmitNodes { .. } => "submit_nodes",
            Self::Allocate { .. } => "allocate",
            Self::ClaimJobs { .. } => "claim_jobs",
            Self::Owner(_) => "owner",
        }
    }
}
