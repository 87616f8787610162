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
mod loopback;
mod mount_fd;
mod oci;
mod process_id;
mod record_lock;
mod sealed;
mod shim;
mod spec;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use error::{Error, Result};

/// OCI runtime of r1-agent.
#[derive(Debug, Parser)]
#[command(name = "r1-runc", version)]
struct Cli {
    /// Folder of the containers' state.
    #[arg(long, default_value = oci::DEFAULT_ROOT)]
    root: PathBuf,
    /// File that gets error messages too.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Form of these messages.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Accepted for compatibility.
    #[arg(long, hide = true)]
    debug: bool,
    /// Accepted for compatibility: systemd's cgroup paths are translated, systemd is not asked.
    #[arg(long, hide = true)]
    systemd_cgroup: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Supervise one container (started by r1-hostd).
    Shim(shim::Options),
    /// Write the configuration of the default sandbox.
    Spec(spec::Options),
    #[command(flatten)]
    Oci(oci::Command),
}

fn run(root: &Path, command: Command) -> Result<ExitCode> {
    match command {
        Command::Shim(options) => {
            sealed::ensure()?;
            shim::run(options)
        }
        Command::Spec(options) => spec::run(&options),
        Command::Oci(command) => {
            if command.makes_container() {
                sealed::ensure()?;
            }
            oci::execute(root, command)
        }
    }
}

/// Appends an error where the caller looks for it.
fn log_error(file: &Path, format: LogFormat, error: &Error) {
    let time = clock::rfc3339(clock::now_ms());
    let message = error.to_string();
    let line = match format {
        LogFormat::Json => serde_json::json!({ "level": "error", "msg": message, "time": time }).to_string(),
        LogFormat::Text => format!("time=\"{time}\" level=error msg={message:?}"),
    };
    // Its failure has nowhere to go; the message is on stderr anyway.
    let _ = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut f| writeln!(f, "{line}"));
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.root, cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("r1-runc: {error}");
            if let Some(file) = &cli.log {
                log_error(file, cli.log_format, &error);
            }
            ExitCode::FAILURE
        }
    }
}
