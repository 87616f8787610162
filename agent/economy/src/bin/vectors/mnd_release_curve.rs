//! `mnd_release_curve.json`: the logistic fraction and the release per epoch of some licences.

use r1_core::U256;
use r1_economy::{MndParams, NetworkParams, release};
use serde_json::Value;

use crate::report::{Report, amount, field, integer, list};

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    if let Err(why) = all(value, report) {
        report.fail(why);
    }
}

fn params(value: &Value) -> Result<MndParams, String> {
    let mut params = NetworkParams::preset("mainnet")
        .map_err(|error| error.to_string())?
        .mnd;
    params.plateau = amount(field(value, "logisticPlateau_raw")?)?;
    params.steepness = amount(field(value, "k_raw")?)?;
    params.middle = amount(field(value, "midPrc_raw")?)?;
    params.mining_epochs = integer(field(value, "lengthEpochs")?)?;
    Ok(params)
}

fn all(value: &Value, report: &mut Report) -> Result<(), String> {
    let params = params(value)?;
    let epochs: Vec<u64> = list(field(value, "x")?)?
        .iter()
        .map(integer)
        .collect::<Result<_, _>>()?;
    let fractions: Vec<_> = epochs
        .iter()
        .map(|x| release::fraction(&params, *x).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    if let Some(theirs) = value.get("frac") {
        for (x, theirs) in epochs.iter().zip(list(theirs)?) {
            let ours = release::curve(&params, *x).map(|curve| curve.magnitude());
            report.equal(format_args!("frac {x}"), &ours, &Ok(amount(theirs)?));
        }
    }
    for (name, part) in [("sum_frac_x0_899", 899), ("sum_frac_x0_900", 900)] {
        if let Some(theirs) = value.get(name) {
            let ours = (0..=part)
                .map(|x| release::fraction(&params, x).map(|fraction| fraction.magnitude()))
                .try_fold(U256::ZERO, |sum, value| value.map(|value| sum + value));
            report.equal(name, &ours, &Ok(amount(theirs)?));
        }
    }
    let plateaus = field(value, "plateaus")?
        .as_object()
        .ok_or("plateaus is not an object")?;
    for (name, plateau) in plateaus {
        let assigned = amount(field(plateau, "assigned")?)?;
        let ours = release::plateau(&params, assigned).map(|plateau| plateau.magnitude());
        report.equal(
            format_args!("plateau {name}"),
            &ours,
            &Ok(amount(field(plateau, "plateau_raw")?)?),
        );
        let per_epoch = |fraction| release::mnd_release(&params, assigned, fraction);
        if let Some(theirs) = value.get("release").and_then(|releases| releases.get(name)) {
            for ((x, fraction), theirs) in epochs.iter().zip(&fractions).zip(list(theirs)?) {
                report.equal(
                    format_args!("release {name} {x}"),
                    &per_epoch(*fraction),
                    &Ok(amount(theirs)?),
                );
            }
        }
        if let Some(theirs) = value.get("sum_release_x0_899").and_then(|sums| sums.get(name)) {
            let ours = (0..900)
                .map(|x| release::fraction(&params, x).and_then(per_epoch))
                .try_fold(U256::ZERO, |sum, value| value.map(|value| sum + value));
            report.equal(format_args!("sum of release {name}"), &ours, &Ok(amount(theirs)?));
        }
    }
    Ok(())
}
