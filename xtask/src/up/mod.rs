//! `cargo xtask up`: a local network in one command.

mod once;
mod report;
mod table;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use r1_localnet::{Lack, Network, Plan, lacks};

use crate::{interrupt, options::Options, packages, programs};

const HELP: &str = "\
cargo xtask up: build everything, start a network on loopback, show it, end it with Ctrl-C.

  --oracles N     oracles (default 4)
  --nodes N       workers (default 2)
  --epoch TIME    length of an epoch: 60s, 500ms, 5m, 1h (default 60s, at least 1s)
  --dir DIR       folder of the network (default .r1/up); a second `up` there goes on where the first stopped
  --release       optimised build
  --once          run until one full epoch is agreed and paid and one container has run; then stop
  --json          with --once: one JSON object on standard output
  --no-install    list missing system packages and stop (exit code 3)
  --strict        what could only run degraded is a failure

R1_BIN_DIR=DIR takes the programs in DIR instead of building them.

Examples:
  cargo xtask up
  cargo xtask up --oracles 1 --nodes 0 --epoch 20s
  cargo xtask up --once --json > run.json";

/// Exit code when packages are missing and may not be installed.
const EXIT_MISSING: u8 = 3;
/// How often the table is drawn.
const REFRESH: Duration = Duration::from_secs(1);
/// How long r1d may take to find its r1-hostd.
const HOST_PATIENCE: Duration = Duration::from_secs(15);

/// What was asked for.
struct Request {
    oracles: usize,
    workers: usize,
    epoch: Duration,
    dir: PathBuf,
    release: bool,
    once: bool,
    json: bool,
    may_install: bool,
    strict: bool,
}

impl Request {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Options::new(arguments);
        let request = Self {
            oracles: options.number("--oracles", 4, 1, 32)?,
            workers: options.number("--nodes", 2, 0, 64)?,
            epoch: parse_time(&options.value("--epoch")?.unwrap_or_else(|| "60s".into()))?,
            dir: options
                .value("--dir")?
                .map_or_else(|| programs::root().join(".r1/up"), PathBuf::from),
            release: options.switch("--release"),
            once: options.switch("--once"),
            json: options.switch("--json"),
            may_install: !options.switch("--no-install"),
            strict: options.switch("--strict"),
        };
        options.finish()?;
        if request.json && !request.once {
            return Err("--json goes with --once; without it the network is shown as a table".into());
        }
        Ok(request)
    }
}

/// A time such as `60s`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let wrong = || format!("--epoch {text}: a time such as 60s, 500ms, 5m or 1h is needed, at least 1s");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let time = Duration::from_millis(number.checked_mul(unit_ms).ok_or_else(wrong)?);
    if time >= Duration::from_secs(1) {
        Ok(time)
    } else {
        Err(wrong())
    }
}

/// Runs the task.
///
/// # Errors
/// What failed, in one line.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::parse(arguments)?;
    if let Err(error) = packages::ensure(packages::BUILD, request.may_install) {
        eprintln!("xtask up: {error}");
        return Ok(ExitCode::from(if request.may_install { 1 } else { EXIT_MISSING }));
    }
    let bin = programs::build(request.release)?;
    let started = Instant::now();
    let degraded = look_at_machine(&request)?;
    interrupt::catch();
    let plan = Plan {
        dir: request.dir.clone(),
        bin,
        oracles: request.oracles,
        workers: request.workers,
        epoch: request.epoch,
    };
    let mut network =
        Network::start(&plan, &mut |line| eprintln!("{line}")).map_err(|error| error.to_string())?;
    let result = drive(&request, &mut network, degraded, started);
    eprintln!("ending the network");
    let left = network.end();
    left.iter().for_each(|line| eprintln!("left behind: {line}"));
    let code = result?;
    Ok(if left.is_empty() { code } else { ExitCode::FAILURE })
}

/// What this machine cannot do, told with the remedy.
fn look_at_machine(request: &Request) -> Result<BTreeSet<String>, String> {
    let lacks = lacks();
    let line = |lack: &Lack| format!("{}; remedy: {}", lack.what, lack.remedy);
    lacks
        .iter()
        .for_each(|lack| eprintln!("degraded: {}", line(lack)));
    match lacks.iter().find(|lack| lack.fatal || request.strict) {
        Some(lack) => Err(line(lack)),
        None => Ok(lacks.iter().map(line).collect()),
    }
}

fn drive(
    request: &Request,
    network: &mut Network,
    mut degraded: BTreeSet<String>,
    started: Instant,
) -> Result<ExitCode, String> {
    for node in &network.nodes {
        node.wait_for_host(HOST_PATIENCE);
        degraded.extend(report::degraded(node));
    }
    if request.strict && !degraded.is_empty() {
        return Err(format!(
            "--strict: {}",
            degraded.into_iter().collect::<Vec<_>>().join("; ")
        ));
    }
    if request.once {
        return once::run(network, request.json, degraded, started);
    }
    degraded.iter().for_each(|line| eprintln!("degraded: {line}"));
    let mut table = table::Table::new();
    while !interrupt::interrupted() {
        table.show(network);
        restart_fallen(network)?;
        sleep(REFRESH);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a service manager would do: a daemon that ended is started again, and said so.
fn restart_fallen(network: &mut Network) -> Result<(), String> {
    let mut restarted = false;
    for node in &mut network.nodes {
        for daemon in [&mut node.hostd, &mut node.r1d] {
            if !daemon.is_running() && !interrupt::interrupted() {
                eprintln!("{}", daemon.failed("it ended and is started again"));
                daemon.start().map_err(|error| error.to_string())?;
                restarted = true;
            }
        }
    }
    if restarted {
        network.record_processes().map_err(|error| error.to_string())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_a_least() {
        assert_eq!(parse_time("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_time("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_time("1500ms"), Ok(Duration::from_millis(1500)));
        for bad in ["", "s", "10ms", "5x", "-1s"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
