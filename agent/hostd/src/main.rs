//! The privileged host daemon: eBPF probes and containers, no IP socket.

use std::process::ExitCode;

use clap::Parser as _;
use r1_hostd::{config::Config, daemon};

fn main() -> ExitCode {
    let config = Config::parse();
    if let Err(error) = r1_telemetry::init() {
        eprintln!("r1-hostd: {error}");
        return ExitCode::FAILURE;
    }
    // One thread: containers are made by other programs, and memory is dear.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(daemon::run(config));
            // Without waiting for a thread that a sick GPU holds.
            runtime.shutdown_background();
            ended
        }
        Err(source) => Err(daemon::StartError::System {
            action: "start the runtime",
            source,
        }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("r1-hostd: {error}");
            ExitCode::FAILURE
        }
    }
}
