//! `nd_rewards.json`: rewards of node deeds for one epoch at every availability, and for lists of epochs.

use r1_core::U256;
use r1_economy::{NdParams, NetworkParams, reward::explain};
use serde_json::Value;

use crate::report::{Report, amount, field, integer, list};

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    if let Err(why) = all(value, report) {
        report.fail(why);
    }
}

fn params() -> Result<NdParams, String> {
    let params = NetworkParams::preset("mainnet").map_err(|error| error.to_string())?;
    Ok(params.nd)
}

fn case(params: &NdParams, case: &Value) -> Result<(), String> {
    let values: Vec<u8> = list(field(case, "availabilities")?)?
        .iter()
        .map(|value| u8::try_from(integer(value)?).map_err(|_| "availability above 255".to_owned()))
        .collect::<Result<_, String>>()?;
    let first = integer(field(case, "lastClaimEpoch")?)?;
    let claimed = amount(field(case, "totalClaimedBefore")?)?;
    let ours = explain(params, claimed, (first..).zip(values)).pays;
    let theirs = amount(field(case, "rewards")?)?;
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{ours}, the contracts gave {theirs}"))
    }
}

fn all(value: &Value, report: &mut Report) -> Result<(), String> {
    let params = params()?;
    report.equal(
        "maxReleasePerDay",
        &params.reward_per_epoch,
        &amount(field(value, "maxReleasePerDay")?)?,
    );
    report.equal(
        "maxMiningPerLicense",
        &params.cap,
        &amount(field(value, "maxMiningPerLicense")?)?,
    );
    let single = value.get("per_availability_single_epoch").map(list).transpose()?;
    for (index, theirs) in single.into_iter().flatten().enumerate() {
        let availability = u8::try_from(index).map_err(|_| "more than 256 availabilities")?;
        let ours = explain(&params, U256::ZERO, [(0, availability)]).pays;
        report.equal(
            format_args!("availability {availability}"),
            &ours,
            &amount(theirs)?,
        );
    }
    for given in value.get("cases").map(list).transpose()?.into_iter().flatten() {
        report.row(given, case(&params, given));
    }
    Ok(())
}
