//! `adoption_oracle.json`: a grid of totals, and a scenario of checkpoints.

use r1_core::U256;
use r1_economy::{
    AdoptionParams,
    adoption::{Adoption, adoption},
};
use serde_json::Value;

use crate::report::{Report, amount, field, integer, list};

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    if let Err(why) = all(value, report) {
        report.fail(why);
    }
}

fn all(value: &Value, report: &mut Report) -> Result<(), String> {
    let params = AdoptionParams {
        licences: integer(field(value, "ndFullReleaseThreshold")?)?,
        volume_usdc: integer(field(value, "poaiVolumeFullReleaseThreshold_usdc6")?)?,
    };
    for row in value.get("grid").map(list).transpose()?.into_iter().flatten() {
        let [sold, volume, theirs] = list(row)?.as_slice() else {
            report.fail(format_args!("{row} has not three columns"));
            continue;
        };
        let ours = adoption(&params, integer(sold)?, amount(volume)?);
        report.equal(row, &u64::from(ours), &integer(theirs)?);
    }
    if let Some(given) = value.get("checkpoint_scenario") {
        scenario(&params, given, report)?;
    }
    Ok(())
}

fn apply(state: &mut Adoption, operation: &Value) -> Result<Result<(), String>, String> {
    let (kind, epoch, value) = (&operation[0], integer(&operation[1])?, amount(&operation[2])?);
    match kind.as_str() {
        Some("sale") => Ok(state
            .record_sale(epoch, value.to::<u64>())
            .map_err(|refusal| refusal.revert())),
        Some("vol") => Ok(state
            .record_volume(epoch, value)
            .map_err(|refusal| refusal.revert())),
        _ => Err(format!("operation {kind} is unknown")),
    }
}

fn scenario(params: &AdoptionParams, given: &Value, report: &mut Report) -> Result<(), String> {
    let mut state = Adoption::default();
    for operation in list(field(given, "ops")?)? {
        report.row(
            operation,
            apply(&mut state, operation).and_then(|outcome| outcome),
        );
    }
    if let Some(theirs) = given.get("sale_with_older_epoch") {
        let last = state.sold.iter().next_back().map_or(0, |(epoch, _)| *epoch);
        let ours = last.checked_sub(1).map(|older| state.record_sale(older, 1));
        let ours = ours
            .and_then(Result::err)
            .map(|refusal| format!("REVERT: {}", refusal.revert()));
        report.equal("sale_with_older_epoch", &ours.as_deref(), &theirs.as_str());
    }
    let numbers =
        |name| -> Result<Vec<U256>, String> { list(field(given, name)?)?.iter().map(amount).collect() };
    for (epoch, theirs) in (0..).zip(numbers("licensesSold")?) {
        report.equal(
            format_args!("licensesSold {epoch}"),
            &U256::from(state.sold_at(epoch)),
            &theirs,
        );
    }
    for (epoch, theirs) in (0..).zip(numbers("poaiVolume")?) {
        report.equal(
            format_args!("poaiVolume {epoch}"),
            &state.volume_at(epoch),
            &theirs,
        );
    }
    for (epoch, theirs) in (0..).zip(numbers("adoption_u16")?) {
        report.equal(
            format_args!("adoption_u16 {epoch}"),
            &U256::from(state.at(params, epoch)),
            &theirs,
        );
    }
    Ok(())
}
