//! Checks the rules against what the Ratio1 contracts did when they were run: `vectors <folder>` reads every file it
//! knows in the folder, prints a line per file and ends with `N passed, N failed`.

mod abi_selectors;
mod adoption_oracle;
mod constants;
mod gnd_claims;
mod license_rules;
mod license_sales;
mod mnd_adoption_split;
mod mnd_lifetime;
mod mnd_release_curve;
mod nd_rewards;
mod poai_allocation;
mod poai_consensus;
mod poai_job_types;
mod poai_lifecycle;
mod poai_world;
mod price_tiers;
mod report;
mod sd59x18_primitives;
mod signatures;

use std::{env, fs, path::Path, process::ExitCode};

use report::Report;
use serde_json::Value;

/// Most failures printed per file.
const MAX_SHOWN: usize = 20;

type Check = fn(&Value, &mut Report);

/// The files, by name.
const FILES: &[(&str, Check)] = &[
    ("constants.json", constants::check),
    ("price_tiers.json", price_tiers::check),
    ("nd_rewards.json", nd_rewards::check),
    ("mnd_release_curve.json", mnd_release_curve::check),
    ("sd59x18_primitives.json", sd59x18_primitives::check),
    ("mnd_adoption_split.json", mnd_adoption_split::check),
    ("mnd_lifetime.json", mnd_lifetime::check),
    ("gnd_claims.json", gnd_claims::check),
    ("license_sales.json", license_sales::check),
    ("license_rules.json", license_rules::check),
    ("adoption_oracle.json", adoption_oracle::check),
    ("signatures.json", signatures::check),
    ("poai_job_types.json", poai_job_types::check),
    ("poai_allocation.json", poai_allocation::check),
    ("poai_lifecycle.json", poai_lifecycle::check),
    ("poai_consensus.json", poai_consensus::check),
    ("abi_selectors.json", abi_selectors::check),
];

fn check_file(path: &Path, check: Check) -> Report {
    let mut report = Report::default();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            report.fail(error);
            return report;
        }
    };
    match serde_json::from_str(&text) {
        Ok(value) => {
            check(&value, &mut report);
            if report.passed == 0 && report.failures.is_empty() {
                report.fail("no rows");
            }
        }
        Err(error) => report.fail(error),
    }
    report
}

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: vectors <folder with the reference vectors>");
        return ExitCode::from(2);
    };
    let (mut passed, mut failed, mut found) = (0, 0, 0);
    for (name, check) in FILES {
        let path = Path::new(&folder).join(name);
        if !path.exists() {
            continue;
        }
        found += 1;
        let report = check_file(&path, *check);
        println!(
            "{name}: {} passed, {} failed",
            report.passed,
            report.failures.len()
        );
        for failure in report.failures.iter().take(MAX_SHOWN) {
            println!("  {failure}");
        }
        passed += report.passed;
        failed += report.failures.len();
    }
    if found == 0 {
        eprintln!(
            "{}: no file of reference vectors in it",
            Path::new(&folder).display()
        );
        return ExitCode::from(2);
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
