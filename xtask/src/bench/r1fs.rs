//! What files cost, beside what others that do the same take on the same machine in the same run.

mod peers;
mod table;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use self::table::Row;
use crate::programs::{cargo, target_dir};

/// Objects that are added one after the other, and 16 at a time.
const SMALL: [(u64, u64); 2] = [(1, 1000), (16, 20_000)];
/// How much less Helia is given of everything, so that a run ends.
const HELIA_SHARE: u64 = 4;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// MiB of the file that is imported and transferred.
    pub file: u64,
    /// MiB of the object that memory is measured with.
    pub memory: u64,
}

/// The folder of a run; removed at its end.
struct Run {
    dir: PathBuf,
    bench: PathBuf,
    sizes: Sizes,
    rows: Vec<Row>,
    skipped: Vec<String>,
}

/// Measures and prints.
///
/// # Errors
/// What does not build or fails of our own; a peer that is not here is named and left out.
pub fn run(json: bool, sizes: Sizes) -> Result<(), String> {
    let bench = build()?;
    let dir = std::env::temp_dir().join(format!("r1-bench-r1fs-{}", std::process::id()));
    let mut run = Run {
        dir: dir.clone(),
        bench,
        sizes,
        rows: Vec::new(),
        skipped: Vec::new(),
    };
    let result = run.measure();
    let _ = fs::remove_dir_all(dir);
    let memory = result?;
    for reason in &run.skipped {
        eprintln!("SKIP {reason}");
    }
    if json {
        let rows: Vec<_> = run.rows.iter().map(Row::json).collect();
        println!(
            "{}",
            json!({ "rows": rows, "memory": memory, "skipped": run.skipped })
        );
    } else {
        table::print(&run.rows, &memory);
    }
    Ok(())
}

fn build() -> Result<PathBuf, String> {
    let status = cargo()
        .args(["build", "--release", "--quiet", "--package", "r1-r1fs-net"])
        .args(["--example", "bench_r1fs"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("bench_r1fs does not build".into());
    }
    Ok(target_dir()?.join("release/examples/bench_r1fs"))
}

/// A file of bytes that do not repeat, from the kernel.
fn make_file(path: &Path, mebibytes: u64) -> Result<(), String> {
    let fault = |error| format!("{}: {error}", path.display());
    let random = File::open("/dev/urandom").map_err(fault)?;
    let mut file = File::create(path).map_err(fault)?;
    let mut random = std::io::Read::take(random, mebibytes << 20);
    std::io::copy(&mut random, &mut file).map_err(fault)?;
    // What follows shall not wait for this.
    file.sync_all().map_err(fault)
}

impl Run {
    fn file(&self) -> PathBuf {
        self.dir.join("file")
    }

    /// A folder that is not there yet.
    fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.dir.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(path)
    }

    fn text(path: &Path) -> &str {
        path.to_str().unwrap_or_default()
    }

    /// One piece of our own work.
    fn ours(&self, words: &[&str]) -> Result<Value, String> {
        eprintln!("measuring {}", words[0]);
        let output = Command::new(&self.bench)
            .args(words)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("bench_r1fs: {error}"))?;
        if !output.status.success() {
            return Err(format!("bench_r1fs {words:?} ended with {}", output.status));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("bench_r1fs {words:?}: {error}"))
    }

    fn add(&mut self, group: &'static str, name: &str, amount: u64, figures: &Value) {
        self.rows.push(Row::new(group, name, amount, figures));
    }

    fn measure(&mut self) -> Result<Value, String> {
        fs::create_dir_all(&self.dir).map_err(|error| format!("{}: {error}", self.dir.display()))?;
        make_file(&self.file(), self.sizes.file)?;
        let cid = self.import()?;
        self.transfer(&cid)?;
        let file = self.file();
        self.small()?;
        fs::remove_file(file).map_err(|error| error.to_string())?;
        let store = self.fresh("store")?;
        let memory = self.ours(&["memory", Self::text(&store), &self.sizes.memory.to_string()])?;
        self.fresh("store")?;
        Ok(memory)
    }

    /// Importing the file; its name. The plain import stays in the folder `store`.
    fn import(&mut self) -> Result<String, String> {
        let (file, amount) = (self.file(), self.sizes.file);
        let path = Self::text(&file).to_owned();
        let figures = self.ours(&["hash", &path])?;
        self.add("import", "sha-256 in this program", amount, &figures);
        for (name, script) in [
            ("sha256sum", "sha256sum \"$0\" >/dev/null"),
            (
                "cp, sha256sum, sync",
                "cp \"$0\" \"$0.copy\" && sha256sum \"$0.copy\" >/dev/null && sync \"$0.copy\"",
            ),
        ] {
            let figures = peers::shell(script, &path)?;
            self.add("import", name, amount, &figures);
        }
        let _ = fs::remove_file(self.dir.join("file.copy"));
        let store = self.fresh("store")?;
        let figures = self.ours(&["import", Self::text(&store), &path, "sealed"])?;
        self.add("import", "r1fs sealed", amount, &figures);
        let store = self.fresh("store")?;
        let figures = self.ours(&["import", Self::text(&store), &path, "plain"])?;
        self.add("import", "r1fs", amount, &figures);
        let cid = figures["cid"].as_str().ok_or("the import has no name")?;
        Ok(cid.to_owned())
    }

    fn transfer(&mut self, cid: &str) -> Result<(), String> {
        let figures = self.fetch(cid)?;
        self.add("transfer", "r1fs", self.sizes.file, &figures);
        for (name, measured) in [("rsync", peers::rsync(&self.dir)), ("scp", peers::scp(&self.dir))] {
            match measured {
                Ok(figures) => self.add("transfer", name, self.sizes.file, &figures),
                Err(reason) => self.skipped.push(reason),
            }
        }
        self.fresh("store")?;
        let part = self.dir.join("part");
        let amount = (self.sizes.file / HELIA_SHARE).max(1);
        make_file(&part, amount)?;
        match peers::helia_files(&self.dir, &part) {
            Ok((added, fetched)) => {
                self.add("import", "helia", amount, &added);
                self.add("transfer", "helia", amount, &fetched);
            }
            Err(reason) => self.skipped.push(reason),
        }
        Ok(())
    }

    /// From a process that serves `store` into a fresh store; CPU time is that of both.
    fn fetch(&self, cid: &str) -> Result<Value, String> {
        let store = self.dir.join("store");
        let mut server = Command::new(&self.bench)
            .args(["serve", Self::text(&store)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("bench_r1fs serve: {error}"))?;
        let fetched = self.fetch_from(&mut server, cid);
        let _ = server.kill();
        let _ = server.wait();
        self.fresh("fetched")?;
        fetched
    }

    fn fetch_from(&self, server: &mut Child, cid: &str) -> Result<Value, String> {
        let mut lines = BufReader::new(server.stdout.take().ok_or("no output")?).lines();
        let mut line = || -> Result<Value, String> {
            let line = lines.next().ok_or("the serving process ended")?;
            let line = line.map_err(|error| error.to_string())?;
            serde_json::from_str(&line).map_err(|error| error.to_string())
        };
        let said = line()?;
        let address = said["address"].as_str().ok_or("no address")?;
        let target = self.fresh("fetched")?;
        let mut figures = self.ours(&["fetch", Self::text(&target), address, cid])?;
        let end = server.stdin.take().map(|mut stdin| writeln!(stdin));
        end.transpose().map_err(|error| error.to_string())?;
        let giver = line()?;
        figures["cpu_s"] = json!(table::number(&figures["cpu_s"]) + table::number(&giver["cpu_s"]));
        Ok(figures)
    }

    fn small(&mut self) -> Result<(), String> {
        for (concurrent, count) in SMALL {
            let group = if concurrent == 1 { "small x1" } else { "small x16" };
            let store = self.fresh("store")?;
            let words = [count.to_string(), concurrent.to_string()];
            let figures = self.ours(&["small", Self::text(&store), &words[0], &words[1]])?;
            self.add(group, "r1fs", count, &figures);
            self.fresh("store")?;
            let count = count / HELIA_SHARE;
            match peers::helia_small(&self.dir, count, concurrent) {
                Ok(figures) => self.add(group, "helia", count, &figures),
                Err(reason) => self.skipped.push(reason),
            }
        }
        Ok(())
    }
}
