//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use r1_core::EthAddress;
use r1_economy::{LicenceRef, NetworkParams};

use crate::{
    economy::cli::{BurnArgs, ClaimArgs, EscrowArgs, JobsArgs, LicenceAction, PayArgs, PoolAction},
    prove::ProveArgs,
    r1fs::cli::R1fsAction,
    simulate::SimulateArgs,
    verify::VerifyArgs,
};

/// Where an installed node's control socket is.
const DEFAULT_SOCKET: &str = "/run/r1/r1d.sock";

/// The tool of a Ratio1 node
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Examples:\n  \
    r1ctl status                              who am I, how available, what is owed to me\n  \
    r1ctl why                                 why is my availability below 255\n  \
    r1ctl run --image busybox --wait -- echo hello\n  \
    r1ctl --socket /run/r1-local/r1-1234abcd/worker-1/r1d.sock nodes --json"
)]
pub struct Cli {
    /// Control socket of r1d
    #[arg(long, global = true, env = "R1_SOCKET", default_value = DEFAULT_SOCKET, value_name = "PATH")]
    pub socket: PathBuf,
    /// Print the answer as JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// This node: identity, epoch, availability, balance, what it lacks
    #[command(after_help = "Examples:\n  r1ctl status\n  r1ctl status --json | jq .availability_now")]
    Status,
    /// All nodes of the network that this one knows
    #[command(
        after_help = "Examples:\n  r1ctl nodes\n  r1ctl nodes --json | jq '.nodes[] | select(.online | not)'"
    )]
    Nodes,
    /// Closed epochs: what was agreed, by how many, how fast
    #[command(after_help = "Examples:\n  r1ctl epochs --limit 5\n  r1ctl epochs --json")]
    Epochs {
        /// Most epochs shown, newest first
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Licences: who owns them, where they are linked, what they earned
    #[command(after_help = "Examples:\n  \
        r1ctl licences\n  \
        r1ctl licences link nd-3\n  \
        r1ctl licences claim nd-3\n  \
        r1ctl licences transfer nd-3 --to 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    Licences {
        /// What to do with one
        #[command(subcommand)]
        action: Option<LicenceAction>,
    },
    /// Claim all that is owed to this node's key: licences and jobs
    #[command(after_help = "Examples:\n  r1ctl claim\n  r1ctl claim --max-slippage 1 --no-wait")]
    Claim(ClaimArgs),
    /// Jobs: what is paid for, who runs it, until when
    #[command(after_help = "Examples:\n  \
        r1ctl jobs\n  \
        r1ctl jobs types\n  \
        r1ctl jobs create --type ENTRY --nodes 2 --epochs 30\n  \
        r1ctl jobs extend 7 --epochs 30\n  \
        r1ctl jobs submit 7 worker-1 worker-2")]
    Jobs(JobsArgs),
    /// The escrow that pays for jobs
    #[command(after_help = "Examples:\n  \
        r1ctl escrow\n  \
        r1ctl escrow deploy\n  \
        r1ctl escrow delegate 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed --may create,redeem")]
    Escrow(EscrowArgs),
    /// What an account holds; this node's if none is named
    #[command(after_help = "Examples:\n  r1ctl account\n  r1ctl account --json | jq .usdc")]
    Account {
        /// The account, 0x...
        account: Option<EthAddress>,
    },
    /// Give R1 or USDC to somebody
    #[command(after_help = "Example:\n  r1ctl pay 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed 1.5 R1")]
    Pay(PayArgs),
    /// Burn R1, for ever, in honour of an app or of none
    #[command(after_help = "Examples:\n  r1ctl burn 10\n  r1ctl burn 10 --app redmesh")]
    Burn(BurnArgs),
    /// The R1/USDC pool: price and reserves
    #[command(after_help = "Examples:\n  \
        r1ctl pool\n  \
        r1ctl pool swap 100 R1 --max-slippage 1\n  \
        r1ctl pool add 1000 500")]
    Pool {
        /// What to do
        #[command(subcommand)]
        action: Option<PoolAction>,
    },
    /// The economy: its figures, its constants, and what becomes of it
    #[command(after_help = "Examples:\n  \
        r1ctl economy\n  \
        r1ctl economy params --network local | jq .jobs.prices\n  \
        r1ctl economy simulate --years 3")]
    Economy {
        /// What of it; its figures if left out
        #[command(subcommand)]
        action: Option<EconomyAction>,
    },
    /// Files: sealed, content-addressed, kept on several nodes
    #[command(after_help = "Examples:\n  \
        r1ctl r1fs add model.bin --secret-file key\n  \
        r1ctl r1fs get QmT78z... --secret-file key\n  \
        r1ctl r1fs stat QmT78z...")]
    R1fs {
        /// What to do
        #[command(subcommand)]
        action: R1fsAction,
    },
    /// Run a container on this node
    #[command(after_help = "Examples:\n  \
        r1ctl run --image busybox --wait -- echo hello\n  \
        r1ctl run --image busybox --cpu 0.5 --memory 64m --env NAME=value -- sh -c 'echo $NAME; sleep 60'")]
    Run(RunArgs),
    /// Containers of this node
    #[command(after_help = "Examples:\n  r1ctl ps\n  r1ctl ps --json | jq '.containers[] | .exit_code'")]
    Ps,
    /// A container's output
    #[command(after_help = "Examples:\n  r1ctl logs web --tail 20\n  r1ctl logs web --follow")]
    Logs {
        /// The container
        id: String,
        /// Most lines shown, the last ones
        #[arg(long, default_value_t = 100)]
        tail: u32,
        /// Go on as lines come, until the container ends
        #[arg(long, short)]
        follow: bool,
    },
    /// End a container
    #[command(after_help = "Examples:\n  r1ctl stop web\n  r1ctl stop web --timeout 60 --remove")]
    Stop {
        /// The container
        id: String,
        /// Seconds it may take to end by itself before it is killed
        #[arg(long, default_value_t = 10)]
        timeout: u64,
        /// Forget the container and its log as well
        #[arg(long)]
        remove: bool,
    },
    /// Why a value is what it is, from the evidence
    #[command(after_help = "Examples:\n  \
        r1ctl why                        this node in the last closed epoch\n  \
        r1ctl why 12                     everybody in epoch 12\n  \
        r1ctl why 0xai_A... --epoch 12   one node in one epoch\n  \
        r1ctl why worker-1               a node by its alias\n  \
        r1ctl why reward 12              what this node earned in epoch 12, sum by sum\n  \
        r1ctl why reward 12 --licence mnd-2")]
    Why {
        /// A node (address or alias), an epoch (number), or reward; this node if left out
        what: Option<String>,
        /// The epoch of a reward
        #[arg(value_name = "EPOCH", conflicts_with = "epoch")]
        of: Option<u64>,
        /// Which epoch, when a node is asked for
        #[arg(long)]
        epoch: Option<u64>,
        /// Whose reward: nd-7, mnd-2 or gnd; that of this node's licence if left out
        #[arg(long)]
        licence: Option<LicenceRef>,
    },
    /// Prove something of the ledger to anybody: a document with the oracles' signatures
    #[command(after_help = "Examples:\n  \
        r1ctl prove account --out proof.json            what this node's account holds\n  \
        r1ctl prove licence nd-7\n  \
        r1ctl prove availability 12 0xai_A... --out proof.json")]
    Prove(ProveArgs),
    /// Check such a document against a genesis; needs no node and no network
    #[command(after_help = "Examples:\n  \
        r1ctl verify proof.json --genesis genesis.json\n  \
        r1ctl verify proof.json --genesis genesis.json --json | jq .fact")]
    Verify(VerifyArgs),
    /// The Prometheus text of r1d and r1-hostd
    #[command(after_help = "Example:\n  r1ctl metrics | promtool check metrics")]
    Metrics,
    /// Completions for a shell, on standard output
    #[command(after_help = "Example:\n  r1ctl completions bash > /etc/bash_completion.d/r1ctl")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What of the economy.
#[derive(Debug, Subcommand)]
pub enum EconomyAction {
    /// Supply, burns, pool, sale and adoption, as this node's ledger has them
    #[command(after_help = "Examples:\n  r1ctl economy show\n  r1ctl economy show --json | jq .totals")]
    Show,
    /// All constants of a network, as JSON: what a genesis may replace under `economy`
    #[command(after_help = "Example:\n  r1ctl economy params --network local | jq .jobs.prices")]
    Params {
        /// mainnet, testnet, devnet or local
        #[arg(long, default_value = "mainnet", value_parser = NetworkParams::PRESETS)]
        network: String,
    },
    /// Run the rules forward over years and draw what becomes of supply, burns, price and income
    #[command(after_help = "Examples:\n  \
        r1ctl economy simulate\n  \
        r1ctl economy simulate --years 3 --licences 5000 --jobs 1000 --out /tmp\n  \
        r1ctl economy simulate --years 1 --json | jq .last.income_per_day")]
    Simulate(SimulateArgs),
}

/// `r1ctl run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Image: a root file system installed on the node
    #[arg(long)]
    pub image: String,
    /// Name of the container; made up if left out
    #[arg(long)]
    pub id: Option<String>,
    /// CPU cores
    #[arg(long, default_value_t = 1.0)]
    pub cpu: f64,
    /// Memory: bytes, or with k, m, g
    #[arg(long, default_value = "512m", value_parser = parse_size)]
    pub memory: u64,
    /// Most processes
    #[arg(long, default_value_t = 128)]
    pub pids: u32,
    /// Environment, NAME=VALUE; repeat for more
    #[arg(long, short, value_parser = parse_env)]
    pub env: Vec<(String, String)>,
    /// Wait for its end, print its output, exit with its code
    #[arg(long)]
    pub wait: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true)]
    pub command: Vec<String>,
}

/// Bytes of a size such as `64m`.
fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['b', 'k', 'm', 'g']);
    let unit: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        other => return Err(format!("unit {other:?} is none of k, m, g")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is not a size such as 64m"))?;
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("{text:?} is too large"))
}

/// The two sides of `NAME=VALUE`.
fn parse_env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The commands below one whose help has no example, by name.
    fn without_example(command: &clap::Command, missing: &mut Vec<String>) {
        for below in command.get_subcommands() {
            let help = below
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            if !help.contains(&format!("r1ctl {}", path_of(command, below))) {
                missing.push(below.get_name().to_owned());
            }
            without_example(below, missing);
        }
    }

    /// What is typed behind `r1ctl` for a command.
    fn path_of(above: &clap::Command, command: &clap::Command) -> String {
        match above.get_name() {
            "r1ctl" => command.get_name().to_owned(),
            above => format!("{above} {}", command.get_name()),
        }
    }

    #[test]
    fn the_help_of_every_command_shows_how_it_is_used() {
        let mut missing = Vec::new();
        without_example(&Cli::command(), &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64m"), Ok(64 << 20));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        assert_eq!(parse_size("1000"), Ok(1000));
        for bad in ["", "m", "1x", "1mm", "-1", "99999999999g"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
