//! The OCI command line: what podman, containerd and an operator call.

mod lifecycle;
mod record;
mod report;
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::error::{Error, Result};
use record::Store;

/// Where containers of the command line live.
pub const DEFAULT_ROOT: &str = "/run/r1-runc";

/// `create` and `run`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The OCI bundle.
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// File that gets the host pid of the container's init.
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// Unix socket that gets the master of the container's terminal.
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// How many descriptors after the first three the container inherits.
    #[arg(long, default_value_t = 0)]
    preserve_fds: i32,
    /// Accepted for compatibility: pivot_root is always used.
    #[arg(long, hide = true)]
    no_pivot: bool,
    /// Accepted for compatibility: no session keyring is made.
    #[arg(long, hide = true)]
    no_new_keyring: bool,
    /// The container's id.
    id: String,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a container; its program waits for `start`.
    Create(CreateArgs),
    /// Let a created container's program run.
    Start {
        /// The container's id.
        id: String,
    },
    /// Make a container, run it, wait for its end and delete it.
    Run {
        #[command(flatten)]
        create: CreateArgs,
        /// Return once its program runs.
        #[arg(short, long)]
        detach: bool,
        /// Do not delete it afterwards.
        #[arg(long)]
        keep: bool,
    },
    /// Print a container's state as JSON.
    State {
        /// The container's id.
        id: String,
    },
    /// Send a signal to a container's init.
    Kill {
        /// To every process of the container.
        #[arg(short, long)]
        all: bool,
        /// The container's id.
        id: String,
        /// Name or number.
        #[arg(default_value = "TERM")]
        signal: String,
    },
    /// Remove a container that has ended.
    Delete {
        /// End it first if it runs; a missing one is no error.
        #[arg(short, long)]
        force: bool,
        /// The container's id.
        id: String,
    },
    /// List the containers.
    List {
        /// `table` or `json`.
        #[arg(short, long, default_value = "table")]
        format: String,
        /// Ids only.
        #[arg(short, long)]
        quiet: bool,
    },
    /// List a container's processes.
    Ps {
        /// `table` or `json`.
        #[arg(short, long, default_value = "table")]
        format: String,
        /// The container's id.
        id: String,
        /// Accepted for compatibility.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        ps_options: Vec<String>,
    },
    /// Stop all processes of a container.
    Pause {
        /// The container's id.
        id: String,
    },
    /// Let a paused container go on.
    Resume {
        /// The container's id.
        id: String,
    },
    /// Change a container's limits.
    Update {
        /// File with OCI resources as JSON; `-` is standard input.
        #[arg(short, long)]
        resources: Option<PathBuf>,
        /// Memory, bytes.
        #[arg(short, long)]
        memory: Option<i64>,
        /// Memory and swap, bytes.
        #[arg(long)]
        memory_swap: Option<i64>,
        /// Processor time per period, microseconds.
        #[arg(long)]
        cpu_quota: Option<i64>,
        /// The period, microseconds.
        #[arg(long)]
        cpu_period: Option<u64>,
        /// Processes.
        #[arg(long)]
        pids_limit: Option<i64>,
        /// The container's id.
        id: String,
    },
    /// Print what this runtime can do, as JSON.
    Features,
}

impl Command {
    /// True for the commands that make a container, which must run from an unwritable copy of this program.
    pub fn makes_container(&self) -> bool {
        matches!(self, Command::Create(_) | Command::Run { .. })
    }
}

/// Executes a command on the containers below `root`.
pub fn execute(root: &Path, command: Command) -> Result<ExitCode> {
    // libcontainer changes the working directory while it works.
    let root = std::path::absolute(root).map_err(crate::error::io(format!("path {}", root.display())))?;
    let store = Store::new(&root);
    match command {
        Command::Create(args) => lifecycle::create(&store, &args, false).map(|_| ()),
        Command::Start { id } => lifecycle::start(&store, &id),
        Command::Run { create, detach, keep } => return run::run(&store, &create, detach, keep),
        Command::State { id } => report::state(&store, &id),
        Command::Kill { all, id, signal } => lifecycle::kill(&store, &id, parse_signal(&signal)?, all),
        Command::Delete { force, id } => lifecycle::delete(&store, &id, force),
        Command::List { format, quiet } => report::list(&store, &format, quiet),
        Command::Ps { format, id, .. } => report::ps(&store, &id, &format),
        Command::Pause { id } => lifecycle::freeze(&store, &id, true),
        Command::Resume { id } => lifecycle::freeze(&store, &id, false),
        Command::Update {
            resources,
            memory,
            memory_swap,
            cpu_quota,
            cpu_period,
            pids_limit,
            id,
        } => {
            let mut limits = lifecycle::read_limits(resources.as_deref())?;
            if memory.is_some() || memory_swap.is_some() {
                let old = limits.memory.get_or_insert_default();
                old.limit = memory.or(old.limit);
                old.swap = memory_swap.or(old.swap);
            }
            if cpu_quota.is_some() || cpu_period.is_some() {
                let old = limits.cpu.get_or_insert_default();
                old.quota = cpu_quota.or(old.quota);
                old.period = cpu_period.or(old.period);
            }
            if pids_limit.is_some() {
                limits.pids.get_or_insert_default().limit = pids_limit;
            }
            lifecycle::update(&store, &id, &limits)
        }
        Command::Features => report::features(),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// `TERM`, `SIGTERM` or `15`.
fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || Error::Refused(format!("there is no signal '{}'", text.escape_debug()));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=nix::libc::SIGRTMAX()).contains(&number) {
            Ok(number)
        } else {
            Err(unknown())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    name.parse::<nix::sys::signal::Signal>()
        .map(|s| s as i32)
        .map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        assert_eq!(parse_signal("KILL").unwrap(), 9);
        assert_eq!(parse_signal("SIGTERM").unwrap(), 15);
        assert_eq!(parse_signal("usr1").unwrap(), 10);
        assert_eq!(parse_signal("34").unwrap(), 34);
        assert!(parse_signal("-1").is_err());
        assert!(parse_signal("NONSENSE").is_err());
    }
}
