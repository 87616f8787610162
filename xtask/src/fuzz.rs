//! `cargo xtask fuzz`: coverage-guided inputs against one target, with libFuzzer on stable Rust.

pub mod compiler;

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    options::Options,
    packages,
    programs::{cargo, root, target_dir},
};

const HELP: &str = "\
cargo xtask fuzz <target> [--minutes N]: random inputs, led by the code they reach, until one fails.

  transaction     decoding of transactions from strangers
  economy         sequences of transactions and epochs: what must hold holds after each
  rooms           the same for the economy's parts: bank, pool, sale, licences of both kinds
  sealed          objects of strangers, and our own with a byte changed: nothing opens that was not sealed
  documents       YAML and JSON of strangers: what is read comes back as it was
  r1fs            blocks and archives of strangers: bounded whatever they say; files of ours read back
  all             one after the other

  --minutes N     how long each target runs (default 1); 0 runs the kept inputs once
  --keep          put the smallest set of inputs with the same coverage into fuzz/corpus/<target>
  --input FILE    run one input, for example a saved crash

A crash is saved in fuzz/artifacts/<target>/ and named; the exit code is then 1. New inputs of a run stay beside the
build products and the next run goes on from them.
With R1_FUZZ_TALLY=FILE the target economy writes there how often each action was taken or refused, and why.";

const TARGETS: [Target; 6] = [
    Target {
        name: "transaction",
        // A little more than the longest that is looked at.
        max_len: 4200,
    },
    Target {
        name: "economy",
        max_len: 1024,
    },
    Target {
        name: "rooms",
        max_len: 1024,
    },
    Target {
        name: "sealed",
        max_len: 1024,
    },
    Target {
        name: "documents",
        max_len: 1024,
    },
    Target {
        name: "r1fs",
        max_len: 1024,
    },
];

/// libFuzzer's instrumentation, in flags that stable rustc takes: counters and a table of edges, and traced
/// comparisons. Address sanitizer needs a nightly and is left out: the targets hold no unsafe code.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                         -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                         -Cllvm-args=-sanitizer-coverage-pc-table \
                         -Cllvm-args=-sanitizer-coverage-trace-compares \
                         -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Ccodegen-units=1 --cfg fuzzing";
/// Time after which one input counts as hung, seconds.
const HUNG_S: u32 = 20;
/// Memory above which an input counts as a failure, MiB.
const MEMORY_MIB: u32 = 1024;
/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(10);
/// Lines of a failed run that are shown.
const SHOWN_LINES: usize = 40;

struct Target {
    name: &'static str,
    /// Longest input, bytes.
    max_len: u32,
}

/// Where a target's files are.
struct Places {
    program: PathBuf,
    /// Kept with the project.
    corpus: PathBuf,
    /// Found by runs on this machine.
    found: PathBuf,
    artifacts: PathBuf,
    log: PathBuf,
}

/// Runs the task.
///
/// # Errors
/// If a target does not build or start.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let mut options = Options::new(arguments);
    if options.switch("--help") || options.switch("-h") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let keep = options.switch("--keep");
    let minutes = options.number("--minutes", 1, 0, 7 * 24 * 60)?;
    let input = options.value("--input")?;
    let name = options.word().ok_or_else(|| format!("which target?\n{HELP}"))?;
    options.finish()?;
    let chosen: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| name == "all" || target.name == name)
        .collect();
    if chosen.is_empty() {
        return Err(format!(
            "there is no target {name:?}; {} and all are there",
            TARGETS.map(|target| target.name).join(", ")
        ));
    }
    packages::ensure(packages::BUILD, true)?;
    packages::ensure(packages::FUZZ, true)?;
    let mut sound = true;
    for target in chosen {
        let places = build(target)?;
        sound &= match &input {
            Some(input) => replay(target, &places, Path::new(input))?,
            None => search(target, &places, minutes)?,
        };
        if keep && sound && input.is_none() {
            minimise(target, &places)?;
        }
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds every target and runs its kept inputs once; true if all pass.
///
/// # Errors
/// If a target does not build or start.
pub fn corpora() -> Result<bool, String> {
    packages::ensure(packages::FUZZ, true)?;
    let mut sound = true;
    for target in &TARGETS {
        sound &= search(target, &build(target)?, 0)?;
    }
    Ok(sound)
}

/// The machine's triple: with it named, build scripts are not instrumented.
fn host() -> Result<String, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc -vV: no host".into())
}

/// This program's file. `test --full` builds the workspace before, which replaces the file: Linux then calls the one that
/// runs deleted, and the new one stands in for it.
fn this_program() -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| format!("this program: {error}"))?;
    Ok(
        match this.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
            Some(path) => PathBuf::from(path),
            None => this,
        },
    )
}

fn build(target: &Target) -> Result<Places, String> {
    println!("== building {}", target.name);
    let (host, products) = (host()?, target_dir()?.join("xtask-fuzz"));
    let this = this_program()?;
    let status = cargo()
        .args([
            "build",
            "--release",
            "--quiet",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ])
        .args(["--target", &host, "--bin", target.name, "--target-dir"])
        .arg(&products)
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("RUSTC_WRAPPER", this)
        .env(compiler::VARIABLE, "1")
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("{}: cargo build ended with {status}", target.name));
    }
    let fuzz = root().join("fuzz");
    let places = Places {
        program: products.join(host).join("release").join(target.name),
        corpus: fuzz.join("corpus").join(target.name),
        found: products.join("found").join(target.name),
        artifacts: fuzz.join("artifacts").join(target.name),
        log: products.join(format!("{}.log", target.name)),
    };
    for folder in [&places.corpus, &places.found, &places.artifacts] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(places)
}

/// The program with the options that every use of it has.
fn program(target: &Target, places: &Places) -> Command {
    let mut command = Command::new(&places.program);
    command
        .current_dir(root().join("fuzz"))
        .arg(format!("-artifact_prefix={}/", places.artifacts.display()))
        .arg(format!("-max_len={}", target.max_len))
        .arg(format!("-timeout={HUNG_S}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    command
}

/// Runs one input; true if it passes.
fn replay(target: &Target, places: &Places, input: &Path) -> Result<bool, String> {
    let input = input
        .canonicalize()
        .map_err(|error| format!("{}: {error}", input.display()))?;
    let status = program(target, places)
        .arg(&input)
        .status()
        .map_err(|error| format!("{}: {error}", target.name))?;
    let verdict = if status.success() { "passes" } else { "FAILS" };
    println!("{}: {} {verdict}", target.name, input.display());
    Ok(status.success())
}

/// Searches for an input that fails; true if none was found.
fn search(target: &Target, places: &Places, minutes: usize) -> Result<bool, String> {
    let seconds = minutes * 60;
    let failed = |error: std::io::Error| format!("{}: {error}", target.name);
    let mut log = File::create(&places.log).map_err(failed)?;
    let mut command = program(target, places);
    if seconds == 0 {
        command.arg("-runs=0");
    } else {
        command.arg(format!("-max_total_time={seconds}"));
    }
    let mut child = command
        .arg("-print_final_stats=1")
        .args([&places.found, &places.corpus])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (begun, mut shown) = (Instant::now(), Instant::now());
    let (mut seen, mut lines) = (Seen::default(), Vec::new());
    for line in BufReader::new(child.stderr.take().ok_or("no standard error")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
        writeln!(log, "{line}").map_err(failed)?;
        seen.read(&line);
        if shown.elapsed() >= PROGRESS {
            println!(
                "   {}: {} s of {seconds} s, {seen}",
                target.name,
                begun.elapsed().as_secs()
            );
            shown = Instant::now();
        }
        lines.push(line);
        if lines.len() > 2 * SHOWN_LINES {
            lines.drain(..SHOWN_LINES);
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        let took = begun.elapsed().as_secs();
        println!("{}: no failure in {took} s, {seen}", target.name);
        return Ok(true);
    }
    let last = lines.len().saturating_sub(SHOWN_LINES);
    lines[last..].iter().for_each(|line| println!("{line}"));
    if let Some(panic) = &seen.panic {
        println!("{}: {panic}", target.name);
    }
    match &seen.artifact {
        Some(path) => println!(
            "{name}: FAILED after {seen}; the input is {path}\n   again: cargo xtask fuzz {name} --input {path}",
            name = target.name
        ),
        None => println!(
            "{}: ended with {status}; the whole log: {}",
            target.name,
            places.log.display()
        ),
    }
    Ok(false)
}

/// The smallest set of inputs that reaches the edges of all that are known becomes the corpus of the project.
fn minimise(target: &Target, places: &Places) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", target.name);
    let fresh = places.found.with_extension("minimised");
    // What a killed run left.
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(failed)?;
    let status = program(target, places)
        .args(["-merge=1", "-set_cover_merge=1", "-use_counters=0"])
        .args([&fresh, &places.corpus, &places.found])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    if !status.success() {
        return Err(format!(
            "{}: the merge of the inputs ended with {status}",
            target.name
        ));
    }
    let (before, after) = (files(&places.corpus)?, files(&fresh)?);
    for path in &before {
        fs::remove_file(path).map_err(failed)?;
    }
    let mut bytes = 0;
    for path in &after {
        let name = path.file_name().unwrap_or_default();
        bytes += fs::copy(path, places.corpus.join(name)).map_err(failed)?;
    }
    println!(
        "{}: {} inputs of {bytes} bytes kept in {} ({} before)",
        target.name,
        after.len(),
        places.corpus.display(),
        before.len()
    );
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect())
}

/// What libFuzzer said last about itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    inputs: u64,
    edges: u64,
    kept: u64,
    artifact: Option<String>,
    /// What the target said when it failed: place and words.
    panic: Option<String>,
    panic_follows: bool,
}

impl Seen {
    /// Takes up a line: `#8192 NEW cov: 120 ft: 340 corp: 45/1Kb ...`, or where a failed input was written.
    fn read(&mut self, line: &str) {
        if std::mem::take(&mut self.panic_follows) {
            self.panic = self.panic.take().map(|place| format!("{place} {line}"));
        }
        if let Some((_, place)) = line.split_once("panicked at ").filter(|_| self.panic.is_none()) {
            self.panic = Some(place.to_owned());
            self.panic_follows = true;
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.artifact = Some(path.trim().to_owned());
        }
        let runs = line.strip_prefix("stat::number_of_executed_units:");
        if let Some(runs) = runs.and_then(|text| text.trim().parse().ok()) {
            self.inputs = runs;
        }
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|word| word.strip_prefix('#'));
        let Some(inputs) = number.and_then(|number| number.parse().ok()) else {
            return;
        };
        self.inputs = inputs;
        while let Some(word) = words.next() {
            match word {
                "cov:" => self.edges = leading(words.next()).unwrap_or(self.edges),
                "corp:" => self.kept = leading(words.next()).unwrap_or(self.kept),
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} inputs, {} edges reached, {} inputs worth keeping",
            self.inputs, self.edges, self.kept
        )
    }
}

/// The number a word begins with: `45/1Kb` is 45.
fn leading(word: Option<&str>) -> Option<u64> {
    let digits = word?.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut seen = Seen::default();
        for line in [
            "INFO: seed corpus: files: 3",
            "#8192\tNEW    cov: 120 ft: 340 corp: 45/1289b lim: 4 exec/s: 4096 rss: 28Mb L: 3/12 MS: 1 ChangeBit-",
            "#16384\tpulse  corp: 46/1Kb lim: 6 exec/s: 5461 rss: 28Mb",
            "thread '<unnamed>' panicked at fuzz_targets/economy.rs:9:5:",
            "supply above the cap",
            "stack backtrace:",
            "artifact_prefix='a/'; Test unit written to a/crash-00ff",
            "stat::number_of_executed_units: 16400",
        ] {
            seen.read(line);
        }
        let expected = Seen {
            inputs: 16_400,
            edges: 120,
            kept: 46,
            artifact: Some("a/crash-00ff".into()),
            panic: Some("fuzz_targets/economy.rs:9:5: supply above the cap".into()),
            panic_follows: false,
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_target_is_a_program_of_the_fuzz_workspace() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for target in &TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)));
            assert!(HELP.contains(&format!("\n  {} ", target.name)));
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
