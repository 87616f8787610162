//! The operator's and tenant's tool: asks r1d over its control socket and shows the answer.

mod chart;
mod cli;
mod client;
mod commands;
mod economy;
mod prove;
mod r1fs;
mod show;
mod simulate;
mod table;
mod units;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    end_with_the_reader();
    let cli = Cli::parse();
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "r1ctl", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    if let Command::Verify(args) = &cli.command {
        // Before the runtime, which makes sockets of its own.
        return match verify::run(args, cli.json) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    runtime
        .block_on(commands::run(&cli))
        .unwrap_or_else(|error| fail(&error))
}

/// `r1ctl nodes | head -1` ends quietly, as other tools do, instead of with an error about a closed pipe.
fn end_with_the_reader() {
    // SAFETY: the default disposition runs no handler, and no other thread exists yet.
    let set = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    debug_assert!(set.is_ok(), "SIGPIPE can always be set");
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("r1ctl: {error:#}");
    ExitCode::FAILURE
}
