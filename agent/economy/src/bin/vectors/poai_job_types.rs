//! `poai_job_types.json`: prices of job types and their split.

use r1_core::U256;
use r1_economy::{NetworkParams, poai};
use serde_json::Value;

use crate::report::{Report, amount, field, integer, list};

fn row(params: &NetworkParams, row: &Value) -> Result<(), String> {
    let id = u8::try_from(integer(field(row, "jobType")?)?).map_err(|_| "job type above 255")?;
    let given = field(row, "pricePerEpoch_usdc6").or_else(|_| field(row, "error"))?;
    let price = match (
        poai::price(&params.jobs, id),
        given.as_str().and_then(|text| text.strip_prefix("REVERT: ")),
    ) {
        (Ok(price), None) => price,
        (Err(refusal), Some(why)) if refusal.revert() == why => return Ok(()),
        (ours, _) => return Err(format!("{ours:?}, the contracts gave {given}")),
    };
    let (node, burned) = poai::node_share(&params.jobs, price).map_err(|refusal| refusal.to_string())?;
    let name = params
        .jobs
        .prices
        .iter()
        .find(|price| price.id == id)
        .map(|price| price.name.as_str());
    let monthly = row
        .get("monthly30_usd")
        .and_then(Value::as_f64)
        .map(|usd| U256::from((usd * 1e6).round()));
    let same = price == amount(given)?
        && row.get("name").is_none_or(|theirs| theirs.as_str() == name)
        && row
            .get("burn15_floor_1_epoch")
            .is_none_or(|theirs| amount(theirs) == Ok(burned))
        && row
            .get("node_1_epoch")
            .is_none_or(|theirs| amount(theirs) == Ok(node))
        && monthly.is_none_or(|monthly| monthly == price * U256::from(30));
    if same {
        Ok(())
    } else {
        Err(format!("{name:?} {price} = {node} + {burned}"))
    }
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    match (
        NetworkParams::preset("mainnet"),
        field(value, "table").and_then(list),
    ) {
        (Ok(params), Ok(rows)) => {
            for given in rows {
                report.row(given, row(&params, given));
            }
        }
        (Err(error), _) => report.fail(error),
        (_, Err(why)) => report.fail(why),
    }
}
