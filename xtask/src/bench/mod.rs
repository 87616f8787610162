//! `cargo xtask bench`: figures beside a peer's, in one run.

mod economy;
mod idle;

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
  all     all of them

Figures need a quiet machine, all but economy also root; each run prints ratios, which hold better than single times.";

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
    options.finish()?;
    packages::ensure(packages::BUILD, true)?;
    match name.as_str() {
        "probe" => probe(json),
        "start" => start(json),
        "idle" => idle(json),
        "economy" => economy::run(json),
        "all" => probe(json)
            .and_then(|()| start(json))
            .and_then(|()| idle(json))
            .and_then(|()| economy::run(json)),
        other => Err(format!(
            "there is no benchmark {other:?}; probe, start, idle, economy and all are there"
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
