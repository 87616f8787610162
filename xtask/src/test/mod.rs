//! `cargo xtask test`: all lanes, one closing line `N passed, N failed, N skipped`.

mod count;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use self::count::Count;
use crate::{
    ebpf, fuzz,
    options::Options,
    packages,
    programs::{build, cargo, root, target_dir},
};

const HELP: &str = "\
cargo xtask test: formatting, lints, all tests with their real peers.

  --full          also the slower lanes: the BPF object equals its sources, podman on r1-runc, kept inputs of
                  the fuzz targets, licences, duplicates
  --no-install    list missing system packages and stop

R1_REQUIRE_ALL=1 turns a test that skips itself into a failure.";

/// Lines of a failed lane's log that are shown.
const SHOWN_LINES: usize = 200;

/// Runs the task.
///
/// # Errors
/// If a lane cannot be started at all.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let mut options = Options::new(arguments);
    if options.switch("--help") || options.switch("-h") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let (full, may_install) = (options.switch("--full"), !options.switch("--no-install"));
    options.finish()?;
    packages::ensure(packages::BUILD, may_install)?;
    packages::ensure(packages::TESTS, may_install)?;
    let mut total = Count::default();
    total.add(simple("formatting", cargo().args(["fmt", "--all", "--check"]))?);
    total.add(simple(
        "lints",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
    )?);
    // Built with the workspace it always has its engine.
    total.add(simple(
        "lints of r1-oraclesync without its engine",
        cargo().args([
            "clippy",
            "--package",
            "r1-oraclesync",
            "--no-default-features",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
    )?);
    total.add(peers()?);
    heading("building the programs");
    let bin = build(false)?;
    total.add(tests(&bin)?);
    total.add(doc_tests()?);
    if full {
        heading("BPF object equals its sources");
        let checked = ebpf::run(&["--check".into()]);
        checked.iter_err(|error| eprintln!("{error}"));
        total.add(Count::of(checked.is_ok()));
        total.add(simple(
            "types shared with the BPF programs",
            cargo().args([
                "test",
                "--quiet",
                "--manifest-path",
                "ebpf/Cargo.toml",
                "--package",
                "r1-ebpf-common",
            ]),
        )?);
        total.add(fuzz_inputs());
        total.add(podman()?);
        total.add(deny()?);
    }
    println!(
        "{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.skipped
    );
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Looks at the error of a result.
trait IterErr<E> {
    fn iter_err(&self, look: impl FnOnce(&E));
}

impl<T, E> IterErr<E> for Result<T, E> {
    fn iter_err(&self, look: impl FnOnce(&E)) {
        if let Err(error) = self {
            look(error);
        }
    }
}

fn heading(lane: &str) {
    println!("== {lane}");
}

/// A lane that is one command: it passes or fails.
fn simple(lane: &str, command: &mut Command) -> Result<Count, String> {
    heading(lane);
    let begun = Instant::now();
    let status = command.status().map_err(|error| format!("{lane}: {error}"))?;
    println!(
        "   {} in {} s",
        if status.success() { "ok" } else { "FAILED" },
        begun.elapsed().as_secs()
    );
    Ok(Count::of(status.success()))
}

/// The published SDKs that tests talk to, installed once into the user's cache.
fn peers() -> Result<Count, String> {
    let folder = root().join("tests/peers");
    let mut scripts: Vec<_> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    scripts.sort();
    let mut count = Count::default();
    for script in scripts {
        let name = script
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        count.add(simple(
            &format!("peer {name}"),
            Command::new("bash").arg(&script).stdout(Stdio::null()),
        )?);
    }
    Ok(count)
}

fn has_nextest() -> bool {
    let asked = cargo().args(["nextest", "--version"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// True if nextest is there or could be installed.
fn ensure_nextest() -> bool {
    if has_nextest() {
        return true;
    }
    heading("installing cargo-nextest");
    // Tools that are not there are a matter of the machine, not a finding about the project.
    let _ = cargo().args(["install", "--locked", "cargo-nextest"]).status();
    has_nextest()
}

/// All unit and integration tests.
fn tests(bin: &Path) -> Result<Count, String> {
    let with_nextest = ensure_nextest();
    heading("tests");
    let mut command = cargo();
    if with_nextest {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--color",
            "never",
        ]);
        command.args(["--success-output", "immediate"]);
    } else {
        println!(
            "   cargo-nextest cannot be installed here: cargo test, one test at a time, without its time limits"
        );
        command.args([
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
        ]);
        // Tests of whole networks and of the kernel's meters need the machine to themselves.
        command.args(["--color", "never", "--", "--show-output", "--test-threads", "1"]);
    }
    command
        .env("R1_BIN_DIR", bin)
        .env("R1_RUNC", bin.join("r1-runc"))
        .env("R1_HOSTD", bin.join("r1-hostd"));
    let (success, log) = tee(&mut command, "tests", shown)?;
    let mut count = if with_nextest {
        count::nextest(&log)
    } else {
        count::libtest(&log)
    };
    if !success && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// Lines of a test runner that people see.
fn shown(line: &str) -> bool {
    let line = line.trim_start();
    let starts = [
        "PASS", "FAIL", "SLOW", "TERMINAT", "TIMEOUT", "SIGNAL", "TRY", "Summary", "SKIP", "LEAK", "test ",
    ];
    starts.iter().any(|word| line.starts_with(word))
}

/// Examples in the documentation.
fn doc_tests() -> Result<Count, String> {
    heading("examples in the documentation");
    let (success, log) = tee(
        cargo().args(["test", "--workspace", "--doc", "--quiet"]),
        "doc",
        |line| line.contains("test result"),
    )?;
    let mut count = count::libtest(&log);
    if !success && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// The fuzz targets build, and what was found worth keeping for them passes.
fn fuzz_inputs() -> Count {
    heading("kept inputs of the fuzz targets");
    let checked = fuzz::corpora();
    checked.iter_err(|error| eprintln!("{error}"));
    Count::of(checked.unwrap_or(false))
}

/// podman drives r1-runc: the test that is ignored elsewhere, because podman is large.
fn podman() -> Result<Count, String> {
    packages::ensure(packages::PODMAN, true)?;
    let mut command = cargo();
    command.args([
        "test",
        "--quiet",
        "--package",
        "r1-runc",
        "--test",
        "containers",
        "--",
        "--ignored",
    ]);
    simple("podman on r1-runc", &mut command)
}

/// Licences, duplicates and sources of dependencies.
fn deny() -> Result<Count, String> {
    let there = cargo()
        .args(["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        println!("SKIP deny: cargo-deny is not installed (cargo install --locked cargo-deny)");
        let required = std::env::var_os("R1_REQUIRE_ALL").is_some_and(|value| value == "1");
        return Ok(Count {
            failed: u64::from(required),
            skipped: u64::from(!required),
            passed: 0,
        });
    }
    simple(
        "licences, duplicates, sources",
        cargo().args(["deny", "check", "licenses", "bans", "sources"]),
    )
}

/// Runs a command; its output goes to a log, the lines that `shown` picks to standard output too. Returns whether
/// it succeeded, and the log.
fn tee(command: &mut Command, name: &str, shown: fn(&str) -> bool) -> Result<(bool, String), String> {
    let folder = target_dir()?.join("xtask-test");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join(format!("{name}.log"));
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let mut file = File::create(&path).map_err(failed)?;
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let errors = writer.try_clone().map_err(failed)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .map_err(failed)?;
    // The command holds the pipe's other end until it is told otherwise.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut log = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
        writeln!(file, "{line}").map_err(failed)?;
        if shown(&line) {
            println!("{line}");
        }
        log.push_str(&line);
        log.push('\n');
    }
    let success = child.wait().map_err(failed)?.success();
    if !success {
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..]
            .iter()
            .for_each(|line| println!("{line}"));
        println!("{name} failed; the whole log: {}", path.display());
    }
    Ok((success, log))
}
