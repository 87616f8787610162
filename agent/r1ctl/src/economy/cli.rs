//! The command line of the economy.

use clap::{Args, Subcommand, ValueEnum};
use r1_core::{EthAddress, U256};
use r1_economy::{LicenceRef, bank::Asset, poai::permission};

use super::amount::parse_asset;

/// How a sending command ends.
#[derive(Debug, Clone, Copy, Args)]
pub struct Waiting {
    /// Return as soon as the node has taken the transaction, before it is decided
    #[arg(long)]
    pub no_wait: bool,
}

/// What to do with a licence.
#[derive(Debug, Subcommand)]
pub enum LicenceAction {
    /// Link it to this node (this node's key must own it)
    #[command(after_help = "Example:\n  r1ctl licences link nd-3")]
    Link {
        /// 7 or nd-7, mnd-2, gnd
        licence: LicenceRef,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Unlink it from its node; claim first
    #[command(after_help = "Example:\n  r1ctl licences claim nd-3 && r1ctl licences unlink nd-3")]
    Unlink {
        /// 7 or nd-7, mnd-2, gnd
        licence: LicenceRef,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Claim what it has earned
    #[command(after_help = "Example:\n  r1ctl licences claim mnd-2")]
    Claim {
        /// 7 or nd-7, mnd-2, gnd
        licence: LicenceRef,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Give it to somebody; its node is unlinked
    #[command(after_help = "Example:\n  \
        r1ctl licences transfer nd-3 --to 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    Transfer {
        /// 7 or nd-7, mnd-2, gnd
        licence: LicenceRef,
        /// The new owner, 0x...
        #[arg(long)]
        to: EthAddress,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Destroy it, with what it could still mint
    #[command(after_help = "Example:\n  r1ctl licences burn nd-3 --yes")]
    Burn {
        /// 7 or nd-7, mnd-2, gnd
        licence: LicenceRef,
        /// Yes, for ever
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// `r1ctl claim`.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// How much less than the pool's present price is accepted for job earnings, percent
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_slippage: u8,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `r1ctl jobs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct JobsArgs {
    /// Closed ones too
    #[arg(long)]
    pub all: bool,
    /// Only those of an escrow, by its owner
    #[arg(long, value_name = "ACCOUNT")]
    pub escrow: Option<EthAddress>,
    /// What to do
    #[command(subcommand)]
    pub action: Option<JobAction>,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobAction {
    /// One job, and what oracles have submitted for it in this epoch
    #[command(after_help = "Examples:\n  r1ctl jobs show 7\n  r1ctl jobs show 7 --json | jq .submissions")]
    Show {
        /// The job
        id: u64,
    },
    /// Job types and their prices
    #[command(after_help = "Example:\n  r1ctl jobs types")]
    Types,
    /// Create a job and pay it in advance
    #[command(after_help = "Examples:\n  \
        r1ctl jobs create --type ENTRY --nodes 2 --epochs 30\n  \
        r1ctl jobs create --type 1 --epochs 7")]
    Create {
        /// Number or name of its type; see r1ctl jobs types
        #[arg(long = "type", value_name = "TYPE")]
        job_type: String,
        /// How many nodes
        #[arg(long, default_value_t = 1)]
        nodes: u64,
        /// For how many epochs
        #[arg(long)]
        epochs: u64,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Make a job last longer, or give it more nodes
    #[command(after_help = "Examples:\n  r1ctl jobs extend 7 --epochs 30\n  r1ctl jobs extend 7 --nodes 4")]
    Extend {
        /// The job
        id: u64,
        /// How many epochs more
        #[arg(long, required_unless_present = "nodes", conflicts_with = "nodes")]
        epochs: Option<u64>,
        /// How many nodes in all
        #[arg(long)]
        nodes: Option<u64>,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Take a job back that was not started
    #[command(after_help = "Example:\n  r1ctl jobs redeem 7")]
    Redeem {
        /// The job
        id: u64,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// For oracles: say which nodes run a job
    #[command(
        after_help = "Examples:\n  r1ctl jobs submit 7 worker-1 worker-2\n  r1ctl jobs submit 7 --none"
    )]
    Submit {
        /// The job
        id: u64,
        /// The nodes: EVM addresses, node addresses or aliases
        #[arg(required_unless_present = "none")]
        nodes: Vec<String>,
        /// None: the job is over
        #[arg(long, conflicts_with = "nodes")]
        none: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// `r1ctl escrow`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EscrowArgs {
    /// Of an account; of this node's if left out
    #[arg(long)]
    pub account: Option<EthAddress>,
    /// What to do
    #[command(subcommand)]
    pub action: Option<EscrowAction>,
}

/// What a delegate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Permission {
    /// Create jobs
    Create,
    /// Make jobs last longer
    ExtendDuration,
    /// Give jobs more nodes
    ExtendNodes,
    /// Take back jobs that were not started
    Redeem,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Create,
        Self::ExtendDuration,
        Self::ExtendNodes,
        Self::Redeem,
    ];

    /// The word that `--may` takes.
    pub fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its bit in the ledger.
    pub fn bit(self) -> u8 {
        match self {
            Self::Create => permission::CREATE,
            Self::ExtendDuration => permission::EXTEND_DURATION,
            Self::ExtendNodes => permission::EXTEND_NODES,
            Self::Redeem => permission::REDEEM,
        }
    }
}

/// What to do with an escrow.
#[derive(Debug, Subcommand)]
pub enum EscrowAction {
    /// What it holds and who may act in it; the same as no word at all
    #[command(
        after_help = "Example:\n  r1ctl escrow show --account 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    )]
    Show {
        /// Of an account; of this node's if left out
        #[arg(long)]
        account: Option<EthAddress>,
    },
    /// Open an escrow; this node's key must own an oracle's licence
    #[command(after_help = "Example:\n  r1ctl escrow deploy")]
    Deploy {
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Say what somebody may do in it
    #[command(after_help = "Examples:\n  \
        r1ctl escrow delegate 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed --may create,redeem\n  \
        r1ctl escrow delegate 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed --none")]
    Delegate {
        /// Who, 0x...
        account: EthAddress,
        /// What, separated by commas
        #[arg(long, value_delimiter = ',', required_unless_present = "none")]
        may: Vec<Permission>,
        /// Nothing any more
        #[arg(long, conflicts_with = "may")]
        none: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Pay its nodes for the epochs that are over, now instead of at the next close
    #[command(after_help = "Example:\n  r1ctl escrow allocate")]
    Allocate {
        /// Of an account; of this node's if left out
        account: Option<EthAddress>,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// `r1ctl pay`.
#[derive(Debug, Args)]
pub struct PayArgs {
    /// To whom, 0x...
    pub to: EthAddress,
    /// How much, such as 1.5
    pub amount: String,
    /// R1 or USDC
    #[arg(value_parser = parse_asset)]
    pub asset: Asset,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `r1ctl burn`.
#[derive(Debug, Args)]
pub struct BurnArgs {
    /// How much R1, such as 1.5
    pub amount: String,
    /// In honour of an app, by its slug
    #[arg(long)]
    pub app: Option<String>,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What to do with the pool.
#[derive(Debug, Subcommand)]
pub enum PoolAction {
    /// Exchange R1 for USDC, or the other way
    #[command(after_help = "Examples:\n  r1ctl pool swap 100 R1 --max-slippage 1\n  r1ctl pool swap 20 USDC")]
    Swap {
        /// How much is paid, such as 1.5
        amount: String,
        /// R1 or USDC
        #[arg(value_parser = parse_asset)]
        asset: Asset,
        /// How much less than the present price is accepted, percent
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=100))]
        max_slippage: u8,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Provide liquidity: as much as fits the pool's ratio
    #[command(after_help = "Example:\n  r1ctl pool add 1000 500")]
    Add {
        /// Most R1
        r1: String,
        /// Most USDC
        usdc: String,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Take liquidity out
    #[command(after_help = "Example:\n  r1ctl pool remove 1000000")]
    Remove {
        /// LP tokens; see r1ctl account
        shares: U256,
        #[command(flatten)]
        waiting: Waiting,
    },
}
