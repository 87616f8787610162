//! `cargo xtask test`: all lanes, one closing line `N passed, N failed, N skipped`.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use crate::{
    ebpf,
    options::Options,
    packages,
    programs::{build, cargo, root, target_dir},
};

const HELP: &str = "\
cargo xtask test: formatting, lints, all tests with their real peers.

  --full          also the slower lanes: the BPF object equals its sources, podman on r1-runc, licences, duplicates
  --no-install    list missing system packages and stop

R1_REQUIRE_ALL=1 turns a test that skips itself into a failure.";

/// Lines of a failed lane's log that are shown.
const SHOWN_LINES: usize = 200;

/// What the lanes found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    fn of(success: bool) -> Self {
        Self {
            passed: u64::from(success),
            failed: u64::from(!success),
            skipped: 0,
        }
    }
}

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

/// All unit and integration tests.
fn tests(bin: &Path) -> Result<Count, String> {
    if !has_nextest() {
        simple(
            "installing cargo-nextest",
            cargo().args(["install", "--locked", "cargo-nextest"]),
        )?;
    }
    heading("tests");
    let mut command = cargo();
    command
        .args([
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--color",
            "never",
            "--success-output",
            "immediate",
        ])
        .env("R1_BIN_DIR", bin)
        .env("R1_RUNC", bin.join("r1-runc"))
        .env("R1_HOSTD", bin.join("r1-hostd"));
    let (success, log) = tee(&mut command, "tests", |line| {
        [
            "PASS", "FAIL", "SLOW", "TERMINAT", "TIMEOUT", "SIGNAL", "TRY", "Summary", "SKIP", "LEAK",
        ]
        .iter()
        .any(|word| line.trim_start().starts_with(word))
    })?;
    let mut count = nextest_count(&log);
    if !success && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// Examples in the documentation.
fn doc_tests() -> Result<Count, String> {
    heading("examples in the documentation");
    let (success, log) = tee(
        cargo().args(["test", "--workspace", "--doc", "--quiet"]),
        "doc",
        |line| line.contains("test result"),
    )?;
    let mut count = libtest_count(&log);
    if !success && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
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

/// The counts of nextest's summary; tests that skipped themselves are counted as skipped, not as passed.
fn nextest_count(log: &str) -> Count {
    let mut count = Count::default();
    if let Some(summary) = log.lines().rfind(|line| line.trim_start().starts_with("Summary")) {
        count.passed = number_before(summary, " passed");
        count.failed = number_before(summary, " failed")
            + number_before(summary, " timed out")
            + number_before(summary, " exec failed");
        count.skipped = number_before(summary, " skipped");
    }
    let own: u64 = log
        .lines()
        .filter(|line| skips_itself(line))
        .count()
        .try_into()
        .unwrap_or(0);
    count.passed = count.passed.saturating_sub(own);
    count.skipped += own;
    count
}

/// `SKIP name: why`, as tests print it; nextest's own lines have a bracket there.
fn skips_itself(line: &str) -> bool {
    let line = line.trim_start();
    line.strip_prefix("SKIP ")
        .is_some_and(|rest| !rest.trim_start().starts_with('[') && rest.contains(": "))
}

/// The counts of libtest's result lines.
fn libtest_count(log: &str) -> Count {
    let mut count = Count::default();
    for line in log.lines().filter(|line| line.starts_with("test result:")) {
        count.add(Count {
            passed: number_before(line, " passed"),
            failed: number_before(line, " failed"),
            skipped: number_before(line, " ignored"),
        });
    }
    count
}

/// The number that stands before a word: `12 passed` is 12; 0 if the word is not there.
fn number_before(line: &str, word: &str) -> u64 {
    let Some((before, _)) = line.split_once(word) else {
        return 0;
    };
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_s_summary_is_read() {
        let log =
            "     Summary [  4.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped\n";
        assert_eq!(
            nextest_count(log),
            Count {
                passed: 10,
                failed: 2,
                skipped: 3
            }
        );
    }

    #[test]
    fn a_test_that_skips_itself_has_not_passed() {
        let log = "    SKIP gpu: no card\n        SKIP [   ] other\n Summary [1s] 5 tests run: 5 passed, 0 skipped\n";
        assert_eq!(
            nextest_count(log),
            Count {
                passed: 4,
                failed: 0,
                skipped: 1
            }
        );
    }

    #[test]
    fn results_of_several_crates_add_up() {
        let log = "test result: ok. 3 passed; 0 failed; 1 ignored\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(
            libtest_count(log),
            Count {
                passed: 4,
                failed: 2,
                skipped: 1
            }
        );
    }
}
