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
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>11} {:>12} {:>9} {:>7}",
        "STEP", "SIZE", "COUNT", "WALL s", "CPU s", "ns EACH", "GROWN MiB", "PEAK MiB", "GROWTH"
    );
    let names = runs.first().into_iter().flat_map(steps);
    for (index, name) in names.map(|step| step["name"].as_str().unwrap_or("-")).enumerate() {
        let mut base = None;
        for run in runs {
            let Some(step) = steps(run).nth(index) else {
                continue;
            };
            let each = cost(step);
            println!(
                "{:<34} {:>9} {:>9} {:>9.4} {:>9.4} {:>11.0} {:>12.1} {:>9.1} {:>7.2}",
                name,
                number(&run["size"]),
                number(&step["count"]),
                number(&step["wall_s"]),
                number(&step["cpu_s"]),
                each * 1e9,
                number(&step["grown_bytes"]) / MIB,
                number(&step["peak_bytes"]) / MIB,
                growth(*base.get_or_insert(each), each),
            );
        }
    }
    println!(
        "ns EACH: CPU time of one thing. GROWTH: how much more one costs than at the first size; 1.00 = the whole grows in proportion. GROWN and PEAK: memory held, as the allocator was asked for it."
    );
}

const MIB: f64 = 1024.0 * 1024.0;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// CPU time of one thing, seconds.
fn cost(step: &Value) -> f64 {
    number(&step["cpu_s"]) / number(&step["count"]).max(1.0)
}

/// How much more one thing costs than at the first size.
fn growth(base: f64, each: f64) -> f64 {
    each / base.max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_in_proportion_is_one() {
        let step = |count: u64, cpu_s: f64| cost(&json!({ "count": count, "cpu_s": cpu_s }));
        assert!((growth(step(10, 2.0), step(100, 20.0)) - 1.0).abs() < 1e-9);
        assert!((growth(step(10, 2.0), step(100, 200.0)) - 10.0).abs() < 1e-9);
        assert!(growth(step(10, 0.0), step(100, 1.0)).is_finite());
        assert!(step(0, 1.0).is_finite());
    }
}
