//! What the ledger's rules cost at 10,000, 100,000 and 1,000,000 licences and a tenth as many
//! jobs, and whether the cost grows in proportion.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::programs::cargo;

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// Measures and prints.
///
/// # Errors
/// What does not build or fails.
pub fn run(json: bool) -> Result<(), String> {
    let mut runs = Vec::new();
    for size in SIZES {
        // Each size in a process of its own: memory that an earlier one gave back would hide what a later one takes.
        eprintln!("measuring {size}");
        runs.push(measure(size)?);
    }
    if json {
        println!("{}", json!({ "runs": runs }));
    } else {
        print(&runs);
    }
    Ok(())
}

fn measure(size: u64) -> Result<Value, String> {
    let output = cargo()
        .args(["run", "--release", "--quiet", "--package", "r1-economy"])
        .args(["--example", "bench_economy", "--", &size.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("bench_economy {size} ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("bench_economy {size}: {error}"))
}

fn steps(run: &Value) -> impl Iterator<Item = &Value> {
    run["steps"].as_array().into_iter().flatten()
}

fn print(runs: &[Value]) {
    println!(
        "{:<32} {:>9} {:>9} {:>9} {:>9} {:>11} {:>12} {:>9} {:>7}",
        "STEP", "SIZE", "COUNT", "WALL s", "CPU s", "us EACH", "GROWN MiB", "PEAK MiB", "GROWTH"
    );
    let names = runs.first().into_iter().flat_map(steps);
    for (index, name) in names.map(|step| step["name"].as_str().unwrap_or("-")).enumerate() {
        let mut before = None;
        for run in runs {
            let Some(step) = steps(run).nth(index) else {
                continue;
            };
            let (size, cpu) = (number(&run["size"]), number(&step["cpu_s"]));
            let cost = if cpu < TICKS_S {
                number(&step["wall_s"])
            } else {
                cpu
            };
            println!(
                "{:<32} {:>9} {:>9} {:>9.4} {:>9.4} {:>11.3} {:>12.1} {:>9.1} {:>7}",
                name,
                size,
                number(&step["count"]),
                number(&step["wall_s"]),
                cpu,
                cost / number(&step["count"]).max(1.0) * 1e6,
                number(&step["grown_bytes"]) / MIB,
                number(&step["peak_bytes"]) / MIB,
                before.map_or("-".into(), |before| format!(
                    "{:.2}",
                    growth(before, (size, cost))
                )),
            );
            before = Some((size, cost));
        }
    }
    println!(
        "us EACH and GROWTH: from CPU time, or from wall time below 0.1 s. GROWTH against the size before: 1.00 = in proportion to the size, 0.10 = independent of it."
    );
}

/// Below this the kernel's count of CPU time is too coarse, seconds.
const TICKS_S: f64 = 0.1;
const MIB: f64 = 1024.0 * 1024.0;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// How much faster than the size the cost grew between two (size, cost).
fn growth(before: (f64, f64), after: (f64, f64)) -> f64 {
    (after.1 / before.1.max(1e-9)) / (after.0 / before.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_in_proportion_is_one() {
        assert!((growth((10.0, 2.0), (100.0, 20.0)) - 1.0).abs() < 1e-9);
        assert!((growth((10.0, 2.0), (100.0, 200.0)) - 10.0).abs() < 1e-9);
        assert!(growth((10.0, 0.0), (100.0, 1.0)).is_finite());
    }
}
