//! `r1ctl economy simulate`: the rules run forward, as figures and as a picture.

mod picture;

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use r1_core::{U256, format_r1};
use r1_economy::simulate::{Plan, Sample, Simulation, simulate};
use serde_json::{Value, json};

use self::picture::picture;
use crate::chart::{png, svg};

/// How often progress is told, epochs.
const PROGRESS_EVERY: u64 = 50;

/// `r1ctl economy simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// How long, years (1 to 10)
    #[arg(long, default_value_t = Plan::default().years)]
    years: u64,
    /// Node deeds sold by the end, day by day alike (0 to 46222)
    #[arg(long, default_value_t = Plan::default().licences)]
    licences: u64,
    /// Node deeds that others hold from the start on (with those sold: 0 to 46222)
    #[arg(long, default_value_t = Plan::default().licences_at_start)]
    licences_at_start: u64,
    /// Master node deeds, which share their budget (0 to 499)
    #[arg(long, default_value_t = Plan::default().mnds)]
    mnds: u64,
    /// Jobs that run at the end, one node each (0 to 10000)
    #[arg(long, default_value_t = Plan::default().jobs)]
    jobs: u64,
    /// Type of the jobs, by its number in r1ctl economy params
    #[arg(long, default_value_t = Plan::default().job_type)]
    job_type: u8,
    /// Mean availability of nodes (0 to 255)
    #[arg(long, default_value_t = Plan::default().availability)]
    availability: u8,
    /// Share of what they claim that operators sell at once, percent (0 to 100)
    #[arg(long, default_value_t = Plan::default().sell_percent)]
    sell_percent: u64,
    /// Days between two claims of a licence (1 to 365)
    #[arg(long, default_value_t = Plan::default().claim_every)]
    claim_every: u64,
    /// Days between two points of the picture (1 to 365)
    #[arg(long, default_value_t = Plan::default().sample_every)]
    sample_every: u64,
    /// R1 in the pool at the start (1000 to 50000000)
    #[arg(long, default_value_t = Plan::default().pool_r1)]
    pool_r1: u64,
    /// USDC in the pool at the start (1000 to 50000000)
    #[arg(long, default_value_t = Plan::default().pool_usdc)]
    pool_usdc: u64,
    /// What varies from day to day follows from this number
    #[arg(long, default_value_t = Plan::default().seed)]
    seed: u64,
    /// Folder for economy.svg and economy.png
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
}

impl SimulateArgs {
    fn plan(&self) -> Plan {
        Plan {
            years: self.years,
            licences: self.licences,
            licences_at_start: self.licences_at_start,
            mnds: self.mnds,
            jobs: self.jobs,
            job_type: self.job_type,
            availability: self.availability,
            sell_percent: self.sell_percent,
            claim_every: self.claim_every,
            sample_every: self.sample_every,
            pool_r1: self.pool_r1,
            pool_usdc: self.pool_usdc,
            seed: self.seed,
        }
    }
}

/// Runs the plan, writes the pictures, prints the figures.
///
/// # Errors
/// A folder that is not there, a plan out of range, what the ledger refuses, a file that cannot be written.
pub fn run(args: &SimulateArgs, as_json: bool) -> Result<()> {
    // Known before years are simulated for nothing.
    ensure!(args.out.is_dir(), "--out {}: no such folder", args.out.display());
    let plan = args.plan();
    let mut progress = Progress::new(plan.epochs());
    let simulation = simulate(&plan, &mut |epoch| progress.tell(epoch))?;
    progress.end();
    let drawn = picture(&simulation);
    let files = [
        (args.out.join("economy.svg"), svg(&drawn).into_bytes()),
        (args.out.join("economy.png"), png(&drawn)?),
    ];
    for (path, bytes) in &files {
        write(path, bytes)?;
    }
    if as_json {
        let files: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        println!("{}", report(&simulation, &files));
        return Ok(());
    }
    summary(&simulation).iter().for_each(|line| println!("{line}"));
    for (path, _) in &files {
        println!("written: {}", path.display());
    }
    Ok(())
}

/// Says how far it is, on a terminal only.
struct Progress {
    epochs: u64,
    shown: bool,
}

impl Progress {
    fn new(epochs: u64) -> Self {
        Self {
            epochs,
            shown: std::io::stderr().is_terminal(),
        }
    }

    fn tell(&mut self, epoch: u64) {
        if self.shown && epoch.is_multiple_of(PROGRESS_EVERY) {
            eprint!("\rday {epoch} of {}", self.epochs);
            // Progress that is not shown hurts nobody.
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // A name of its own: nothing of that name is touched but what is made here.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = fs::File::create_new(&part).with_context(|| part.display().to_string())?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    written.with_context(|| path.display().to_string())
}

/// A number with a comma between each three digits.
fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut parts: Vec<&str> = Vec::new();
    if head > 0 {
        parts.push(&digits[..head]);
    }
    parts.extend(
        (head..digits.len())
            .step_by(3)
            .map(|from| &digits[from..from + 3]),
    );
    parts.join(",")
}

/// Micro-USDC as USDC with two decimals, rounded down.
fn usdc(micro: U256) -> String {
    let cents = micro / U256::from(10_000);
    let (whole, rest) = cents.div_rem(U256::from(100));
    format!("{whole}.{:0>2}", rest.to_string())
}

fn summary(simulation: &Simulation) -> Vec<String> {
    let Some(last) = simulation.samples.last() else {
        return Vec::new();
    };
    let totals = &last.totals;
    let whole = |wei: U256| format!("{} R1", grouped(wei / U256::from(10).pow(U256::from(18))));
    let mut lines = vec![
        format!("after {} days:", last.epoch),
        format!(
            "supply      {} of at most {}",
            whole(totals.r1),
            whole(simulation.cap)
        ),
        format!(
            "minted      genesis {}, ND {}, MND {}, GND {}",
            whole(totals.minted_genesis),
            whole(totals.minted_nd),
            whole(totals.minted_mnd),
            whole(totals.minted_gnd)
        ),
        format!(
            "burned      sales {}, jobs {}, voluntary {}",
            whole(totals.burned_sale),
            whole(totals.burned_job),
            whole(totals.burned_voluntary)
        ),
        format!("withheld    {}", whole(last.withheld)),
        format!("price       {} USDC per R1", format_r1(last.price)),
        format!(
            "adoption    {} of 65535; {} licences sold, {} jobs run",
            last.adoption, last.sold, last.jobs
        ),
        format!(
            "income      of an operator with one licence and one job, a day: {} R1 (worth {} USDC) for availability, \
             {} USDC (paid as {} R1) for the job",
            format_r1(last.income.poa),
            usdc(last.income.poa_usdc),
            usdc(last.income.poai_usdc),
            format_r1(last.income.poai)
        ),
    ];
    if simulation.days_without_sale > 0 {
        lines.push(format!(
            "on {} days no licence was sold: its price in R1 had moved more than the sale allows",
            simulation.days_without_sale
        ));
    }
    lines
}

fn sample_json(sample: &Sample) -> Value {
    json!({
        "epoch": sample.epoch,
        "totals": sample.totals,
        "withheld_wei": sample.withheld.to_string(),
        "price_e18": sample.price.to_string(),
        "pool_r1_wei": sample.pool.r1.to_string(),
        "pool_micro_usdc": sample.pool.usdc.to_string(),
        "adoption": sample.adoption,
        "licences_sold": sample.sold,
        "jobs": sample.jobs,
        "income_per_day": {
            "poa_wei": sample.income.poa.to_string(),
            "poa_micro_usdc": sample.income.poa_usdc.to_string(),
            "poai_micro_usdc": sample.income.poai_usdc.to_string(),
            "poai_wei": sample.income.poai.to_string(),
        },
    })
}

fn report(simulation: &Simulation, files: &[String]) -> Value {
    let samples: Vec<Value> = simulation.samples.iter().map(sample_json).collect();
    json!({
        "plan": simulation.plan,
        "days": simulation.plan.epochs(),
        "cap_wei": simulation.cap.to_string(),
        "days_without_sale": simulation.days_without_sale,
        "last": samples.last(),
        "samples": samples,
        "files": files,
    })
}

#[cfg(test)]
mod tests {
    use super::picture::{WIDTH, number, panels};
    use super::*;
    use crate::chart::{Anchor, Item, knows, width};

    #[test]
    fn a_short_plan_gives_pictures_and_figures_that_add_up() {
        let plan = Plan {
            years: 1,
            licences: 20,
            licences_at_start: 1_000,
            sell_percent: 0,
            claim_every: 365,
            mnds: 14,
            jobs: 3,
            sample_every: 60,
            ..Plan::default()
        };
        let simulation = simulate(&plan, &mut |_| {}).unwrap();
        let drawn = picture(&simulation);
        let text = svg(&drawn);
        for panel in panels(&simulation) {
            assert!(text.contains(panel.title), "{}", panel.title);
            assert!(
                panel
                    .series
                    .iter()
                    .all(|series| series.values.len() == panel.years.len())
            );
        }
        for item in &drawn.items {
            if let Item::Text {
                text,
                at,
                anchor,
                size,
                ..
            } = item
            {
                assert!(text.chars().all(knows), "{text} has a letter without strokes");
                let right = match anchor {
                    Anchor::Start => at.0 + width(text, *size),
                    Anchor::Middle => at.0 + width(text, *size) / 2.0,
                    Anchor::End => at.0,
                };
                assert!(right < WIDTH as f32, "{text} leaves the picture");
            }
        }
        assert!(!text.contains("NaN") && !text.contains("inf"));
        let report = report(&simulation, &["x/economy.svg".to_owned()]);
        assert_eq!(report["files"][0], "x/economy.svg");
        assert_eq!(report["days"], 365);
        assert_eq!(
            report["samples"].as_array().map(Vec::len),
            Some(simulation.samples.len())
        );
        assert_eq!(report["last"]["licences_sold"], 20);
        assert!(summary(&simulation)[0].contains("after 365 days"));
    }

    #[test]
    fn a_missing_folder_and_a_plan_out_of_range_are_refused_by_name() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: SimulateArgs,
        }
        let refused = |line: &[&str]| {
            let line = <Line as clap::Parser>::parse_from([&["x"], line].concat());
            run(&line.args, false).unwrap_err().to_string()
        };
        let missing = refused(&["--out", "/no/such/folder"]);
        assert_eq!(missing, "--out /no/such/folder: no such folder");
        assert_eq!(refused(&["--years", "0"]), "years of 0: it must be 1 to 10");
        assert_eq!(
            refused(&["--licences", "46225"]),
            "licences of 46225: it must be 0 to 46222"
        );
        assert_eq!(refused(&["--years", "11"]), "years of 11: it must be 1 to 10");
        assert_eq!(
            refused(&["--job-type", "200"]),
            "job-type: job type 200 is unknown"
        );
    }

    #[test]
    fn files_are_written_whole_and_a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        write(&path, b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write(&path, b"y").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"y");
        let missing = folder.path().join("no/a.svg");
        let error = write(&missing, b"x").unwrap_err().to_string();
        assert!(error.contains("no/a."), "{error}");
        // A folder of that name stays, and nothing is left beside it.
        let taken = folder.path().join("b.svg");
        fs::create_dir(&taken).unwrap();
        let error = write(&taken, b"x").unwrap_err().to_string();
        assert!(error.contains("b.svg"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn amounts_are_exact_to_the_cent() {
        assert_eq!(usdc(U256::from(1_234_567)), "1.23");
        assert_eq!(usdc(U256::from(9_999)), "0.00");
        assert_eq!(
            [grouped(0), grouped(999), grouped(1_000), grouped(12_345_678)],
            ["0", "999", "1,000", "12,345,678"]
        );
        assert!((number(U256::from(1_500_000_000_000_000_000_u64), 18) - 1.5).abs() < 1e-9);
    }
}
