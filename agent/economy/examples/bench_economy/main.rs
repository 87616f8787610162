//! What the ledger's rules cost at one size: a ledger put back from its records, one epoch closed for all its licences, all
//! of them claimed one by one (signatures are not looked at), the Merkle roots, the proof of one record, and a tenth as
//! many jobs allocated.
//!
//! `cargo run --release -p r1-economy --example bench_economy -- <size>` prints one JSON object; `cargo xtask bench
//! economy` runs it for several sizes and puts them side by side.

mod deeds;
mod jobs;
mod measure;

use std::{env, error::Error};

use serde_json::{Value, json};

use measure::Meter;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A network of so many licences per job.
const JOBS_SHARE: u64 = 10;

fn main() -> Result<()> {
    let size: u64 = env::args().nth(1).ok_or("bench_economy <size>")?.parse()?;
    let mut meter = Meter::default();
    deeds::measure(size, &mut meter)?;
    jobs::measure(size / JOBS_SHARE, &mut meter)?;
    let steps: Vec<Value> = meter.steps.iter().map(measure::Step::to_json).collect();
    println!("{}", json!({ "size": size, "steps": steps }));
    Ok(())
}
