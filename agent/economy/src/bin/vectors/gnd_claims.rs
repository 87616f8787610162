//! `gnd_claims.json`: claims of the genesis node deed at full adoption.

use r1_core::U256;
use r1_economy::{
    NetworkParams,
    release::{FULL_ADOPTION, Progress, gnd_release, gnd_split},
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
    let params = NetworkParams::preset("mainnet")
        .map_err(|error| error.to_string())?
        .mnd;
    report.equal(
        "totalEmission",
        &params.gnd_assigned,
        &amount(field(value, "totalEmission")?)?,
    );
    report.equal(
        "perEpoch",
        &gnd_release(&params),
        &amount(field(value, "perEpoch")?)?,
    );
    for ((name, (_, ours)), _) in ["lp", "expenses", "marketing", "grants", "csr"]
        .iter()
        .zip(&params.gnd_split)
        .zip(0..)
    {
        report.equal(
            name,
            ours,
            &integer(field(field(value, "percentages_bp")?, name)?)?,
        );
    }
    let mut progress = Progress {
        assigned: params.gnd_assigned,
        ..Progress::default()
    };
    for claim in list(field(value, "claims")?)? {
        let outcome = (|| {
            let mut sums = [U256::ZERO; 3];
            for availability in list(field(claim, "availabilities")?)? {
                let availability =
                    u8::try_from(integer(availability)?).map_err(|_| "availability above 255")?;
                let pay = progress.credit(gnd_release(&params), availability, FULL_ADOPTION, 255);
                for (sum, part) in sums.iter_mut().zip([pay.released, pay.carried, pay.withheld]) {
                    *sum += part;
                }
            }
            let split: Vec<U256> = gnd_split(&params, sums[0] + sums[1])
                .into_iter()
                .map(|(_, part)| part)
                .collect();
            let theirs: Vec<U256> = list(field(claim, "split_lp_expenses_marketing_grants_csr")?)?
                .iter()
                .map(amount)
                .collect::<Result<_, _>>()?;
            let mut names = ["rewards", "carryover", "withheld", "totalClaimed"].iter();
            let ours = sums.into_iter().chain([progress.claimed]);
            let wrong = ours.zip(&mut names).find_map(|(ours, name)| {
                let theirs = field(claim, name).and_then(amount);
                (theirs != Ok(ours)).then(|| format!("{name} is {ours}, the contracts gave {theirs:?}"))
            });
            match wrong {
                Some(wrong) => Err(wrong),
                None if split != theirs => Err(format!("split {split:?}, the contracts gave {theirs:?}")),
                None => Ok(()),
            }
        })();
        report.row(format_args!("claim of epochs {}", claim["epochs"]), outcome);
    }
    Ok(())
}
