//! `sd59x18_primitives.json`: lists per operation of `[operands…, result]`; a result may be `REVERT…`.

use r1_core::parse_wei;
use r1_economy::fixed::{Fixed, FixedError};
use serde_json::Value;

use crate::report::{Report, list};

fn number(value: &Value) -> Result<Fixed, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{value} is not a decimal string"))?;
    let magnitude = parse_wei(text.trim_start_matches('-')).map_err(|error| error.to_string())?;
    Fixed::from_parts(text.starts_with('-'), magnitude).ok_or_else(|| format!("{text} does not fit"))
}

fn compute(operation: &str, operands: &[Fixed]) -> Result<Result<Fixed, FixedError>, String> {
    match (operation, operands) {
        ("exp", [x]) => Ok(x.exp()),
        ("exp2", [x]) => Ok(x.exp2()),
        ("mul", [x, y]) => Ok(x.checked_mul(*y)),
        ("div", [x, y]) => Ok(x.checked_div(*y)),
        _ => Err(format!(
            "operation {operation:?} with {} operands is unknown",
            operands.len()
        )),
    }
}

fn row(operation: &str, row: &Value) -> Result<(), String> {
    let (theirs, operands) = list(row)?.split_last().ok_or("an empty row")?;
    let operands: Vec<_> = operands.iter().map(number).collect::<Result<_, _>>()?;
    let ours = compute(operation, &operands)?;
    match theirs.as_str().and_then(|text| text.strip_prefix("REVERT")) {
        None if ours == Ok(number(theirs)?) => Ok(()),
        Some(why) => {
            let why = why.trim_start_matches([':', ' ']);
            match ours {
                Err(error) if why.is_empty() || why.starts_with(error.revert()) => Ok(()),
                ours => Err(format!("{ours:?}, the contract refused: {why}")),
            }
        }
        None => Err(format!("{ours:?}, the contract gave {theirs}")),
    }
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    let Some(operations) = value.as_object() else {
        return report.fail("not an object");
    };
    for (operation, rows) in operations.iter().filter(|(_, rows)| !rows.is_string()) {
        match list(rows) {
            Ok(rows) => {
                for values in rows {
                    report.row(format_args!("{operation} {values}"), row(operation, values));
                }
            }
            Err(why) => report.fail(why),
        }
    }
}
