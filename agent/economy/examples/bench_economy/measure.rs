//! Wall time, processor time and memory of steps, from the kernel's own accounts of this process.

use std::{fs, hint::black_box, time::Instant};

use serde_json::{Value, json};

use crate::Result;

/// One measured step.
pub struct Step {
    name: &'static str,
    /// How many things it did.
    count: u64,
    wall_ns: u128,
    cpu_ns: u64,
    /// Resident memory that it added (or gave back), bytes.
    grown: i64,
    /// Most resident memory of the process so far, bytes.
    peak: u64,
}

impl Step {
    /// For the report.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "count": self.count,
            "wall_s": self.wall_ns as f64 / 1e9,
            "cpu_s": self.cpu_ns as f64 / 1e9,
            "grown_bytes": self.grown,
            "peak_bytes": self.peak,
        })
    }
}

/// The steps so far.
pub struct Meter {
    pub steps: Vec<Step>,
}

impl Meter {
    /// A meter, if the kernel tells what it needs.
    pub fn new() -> Result<Self> {
        cpu_ns()?;
        memory("VmHWM:")?;
        Ok(Self { steps: Vec::new() })
    }

    /// Measures a step that does `count` things.
    pub fn step<T>(&mut self, name: &'static str, count: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (cpu, resident, begun) = (cpu_ns()?, memory("VmRSS:")?, Instant::now());
        let done = black_box(work()?);
        let wall_ns = begun.elapsed().as_nanos();
        let grown = i64::try_from(memory("VmRSS:")?)? - i64::try_from(resident)?;
        self.steps.push(Step {
            name,
            count,
            wall_ns,
            cpu_ns: cpu_ns()?.saturating_sub(cpu),
            grown,
            peak: memory("VmHWM:")?,
        });
        Ok(done)
    }
}

/// Time on a processor so far; this program has one thread.
fn cpu_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("empty schedstat")?;
    Ok(first.parse()?)
}

/// A figure of `/proc/self/status`, bytes.
fn memory(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no memory figure")?.parse::<u64>()? * 1024)
}
