//! `mnd_adoption_split.json`: the gate of availability and adoption.

use r1_economy::release::split;
use serde_json::Value;

use crate::report::{Columns, Report, field, list};

fn row(columns: &Columns, row: &Value) -> Result<(), String> {
    let amount = |name| columns.amount(row, name);
    let small = |name| columns.integer(row, name);
    let ours = split(
        amount("totalClaimed")?,
        amount("totalAssigned")?,
        amount("maxRewardsPerEpoch")?,
        u8::try_from(small("availability")?).map_err(|_| "availability above 255")?,
        u16::try_from(small("adoption_u16")?).map_err(|_| "adoption above 65535")?,
    );
    let theirs = (amount("adoptionRelease")?, amount("withheldRelease")?);
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{ours:?}, the contracts gave {theirs:?}"))
    }
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    let read = || Ok::<_, String>((Columns::of(value)?, list(field(value, "rows")?)?));
    match read() {
        Ok((columns, rows)) => {
            for values in rows {
                report.row(values, row(&columns, values));
            }
        }
        Err(why) => report.fail(why),
    }
}
