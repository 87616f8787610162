//! The node daemon, `r1d`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use r1_identity::NodeKey;
use r1d::{config::Config, node};
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  r1d --config /etc/r1/r1d.toml          run the node in the foreground
  r1d check --config /etc/r1/r1d.toml    check configuration, genesis and key, and exit
  r1d keygen --out /etc/r1/key.pem       make a key and print its addresses

Logs go to the journal under systemd, else to stderr; R1_LOG=debug shows more.";

/// Threads of the runtime: gossip and API beside one that waits for a disk.
const WORKER_THREADS: usize = 2;

/// The Ratio1 node daemon: proves availability, agrees with the other nodes and serves the control API.
#[derive(Debug, Parser)]
#[command(name = "r1d", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/r1/r1d.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key file (PEM PKCS#8, mode 0600) and print its addresses as JSON.
    Keygen {
        /// Where to write it; an existing file is not overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check the configuration, the genesis and the key, print the node's addresses and role as JSON, and exit.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = "/etc/r1/r1d.toml")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Keygen { out }) => keygen(&out),
        Some(Command::Check { config }) => check(&config),
        None => run(&arguments.config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("r1d: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line, each said once: some errors repeat their cause in their own text.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            let separator = if line.is_empty() { "" } else { ": " };
            line = line + separator + &cause;
        }
    }
    line
}

fn keygen(out: &Path) -> anyhow::Result<()> {
    let key = NodeKey::generate(&mut rand::rngs::OsRng);
    key.save(out)?;
    println!(
        "{}",
        serde_json::json!({
            "address": key.address(), "eth_address": key.eth_address(), "key": out,
        })
    );
    Ok(())
}

fn check(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let genesis = config.load_genesis()?;
    let key = NodeKey::load(&config.key)?;
    let oracle = genesis.is_oracle(&key.address());
    println!(
        "{}",
        serde_json::json!({
            "address": key.address(),
            "eth_address": key.eth_address(),
            "network": genesis.network,
            "role": if oracle { "oracle" } else { "worker" },
        })
    );
    anyhow::ensure!(
        !oracle || config.consensus_listen.is_some(),
        "{}: consensus_listen: this node is an oracle of the genesis and needs it",
        path.display()
    );
    Ok(())
}

fn run(path: &Path) -> anyhow::Result<()> {
    r1_telemetry::init()?;
    let config = Config::load(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("tokio runtime")?;
    let result = runtime.block_on(async {
        // Before anything starts: a signal during the start must not kill it half-way.
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let mut running = node::start(config).await?;
        let failure = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            failure = running.failed() => Some(failure),
        };
        tracing::info!("r1d stops");
        running.stop().await;
        match failure {
            Some(failure) => Err(anyhow::anyhow!(failure)),
            None => Ok(()),
        }
    });
    // A task that waits for a name or a disk does not hold up the end.
    runtime.shutdown_background();
    result
}
