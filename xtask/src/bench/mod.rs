//! `cargo xtask bench`: figures beside a peer's, in one run.

mod economy;
mod idle;
mod r1fs;

use std::process::ExitCode;

use crate::{options::Options, packages, programs::cargo};

const HELP: &str = "\
cargo xtask bench <name> [--json]

  probe   nanoseconds per sched_switch and sched_wakeup from the kernel's own statistics, and the slowdown of a
          pipe ping-pong with the probes on
  start   create-to-exit of `true`: r1-runc, crun and runc side by side
  idle    RSS and CPU of idle r1d and r1-hostd beside prometheus-node-exporter, and the CPU of one scrape of each
  economy epoch credit, claims, jobs and Merkle roots at 10,000 to 1,000,000 licences: time, memory,
          growth
  r1fs    files: import beside sha256sum and cp, transfer beside rsync, scp and Helia, small objects beside Helia,
          resident memory; --size MiB of the file (1024), --memory MiB of the object that memory is measured with
          (5120). Helia: tests/peers/helia.sh
  all     all of them

Figures need a quiet machine, all but economy and r1fs also root; each run prints ratios, which hold better than single times.";

/// Runs the task.
///
/// # Errors
/// What failed.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let mut options = Options::new(arguments);
    if options.switch("--help") || options.switch("-h") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let json = options.switch("--json");
    let Some(name) = options.word() else {
        return Err(format!("which one?\n{HELP}"));
    };
    let sizes = r1fs::Sizes {
        file: options.number("--size", 1024, 1, 1 << 20)? as u64,
        memory: options.number("--memory", 5120, 1, 1 << 20)? as u64,
    };
    options.finish()?;
    packages::ensure(packages::BUILD, true)?;
    match name.as_str() {
        "probe" => probe(json),
        "start" => start(json),
        "idle" => idle(json),
        "economy" => economy::run(json),
        "r1fs" => files(json, sizes),
        "all" => probe(json)
            .and_then(|()| start(json))
            .and_then(|()| idle(json))
            .and_then(|()| economy::run(json))
            .and_then(|()| files(json, sizes)),
        other => Err(format!(
            "there is no benchmark {other:?}; probe, start, idle, economy, r1fs and all are there"
        )),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn probe(json: bool) -> Result<(), String> {
    example("r1-hostd", "bench_probe", json)
}

fn start(json: bool) -> Result<(), String> {
    packages::ensure(packages::TESTS, true)?;
    let status = cargo()
        .args(["build", "--release", "--package", "r1-runc", "--bins"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("r1-runc does not build".into());
    }
    example("r1-runc", "bench_start", json)
}

fn idle(json: bool) -> Result<(), String> {
    packages::ensure(packages::IDLE_BENCH, true)?;
    idle::run(json)
}

fn files(json: bool, sizes: r1fs::Sizes) -> Result<(), String> {
    // Without them there are fewer peers.
    if let Err(error) = packages::ensure(packages::FILES_BENCH, true) {
        eprintln!("{error}");
    }
    r1fs::run(json, sizes)
}

fn example(package: &str, name: &str, json: bool) -> Result<(), String> {
    let mut command = cargo();
    command.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        package,
        "--example",
        name,
        "--",
    ]);
    if json {
        command.arg("--json");
    }
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} ended with {status}"))
    }
}
