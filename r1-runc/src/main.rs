//! OCI runtime and container shim on youki's libcontainer: one program with one thread and two faces, the command
//! line that podman and containerd drive, and `shim`, the supervisor that r1-hostd starts for each container.

mod atomic_file;
mod cgroup;
mod clock;
mod engine;
mod error;
mod executor;
mod fit;
mod idmap;
mod mount_fd;
mod process_id;
mod sealed;
mod shim;
mod spec;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Result;

/// OCI runtime of r1-agent.
#[derive(Debug, Parser)]
#[command(name = "r1-runc", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Supervise one container (started by r1-hostd).
    Shim(shim::Options),
    /// Write the configuration of the default sandbox.
    Spec(spec::Options),
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Shim(options) => {
            sealed::ensure()?;
            shim::run(options)
        }
        Command::Spec(options) => spec::run(&options),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("r1-runc: {error}");
            ExitCode::FAILURE
        }
    }
}
