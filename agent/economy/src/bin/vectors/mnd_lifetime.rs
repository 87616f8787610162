//! `mnd_lifetime.json`: whole lives of licences, claimed epoch by epoch or in chunks. The availability and the adoption of
//! a chunked scenario are those of the one it is named after (`…_same_as_<name>…`).

use std::collections::BTreeMap;

use r1_core::U256;
use r1_economy::{
    MndParams, NetworkParams,
    release::{EpochPay, Progress, fraction, mnd_release},
};
use serde_json::Value;

use crate::report::{Columns, Report, amount, field, integer, list};

/// Availability and adoption by epoch.
type Conditions = BTreeMap<u64, (u8, u16)>;

struct Life {
    params: MndParams,
    first: u64,
    progress: Progress,
    minted: U256,
}

impl Life {
    fn of(scenario: &Value) -> Result<Self, String> {
        let mut params = NetworkParams::preset("mainnet")
            .map_err(|error| error.to_string())?
            .mnd;
        let factor = integer(field(scenario, "maxCarryoverReleaseFactor")?)?;
        params.carry_over_factor = u8::try_from(factor).map_err(|_| "carry-over factor above 255")?;
        let progress = Progress {
            assigned: amount(field(scenario, "assigned")?)?,
            ..Progress::default()
        };
        Ok(Self {
            params,
            first: integer(field(scenario, "firstMiningEpoch")?)?,
            progress,
            minted: U256::ZERO,
        })
    }

    fn epoch(&mut self, epoch: u64, (availability, adoption): (u8, u16)) -> Result<EpochPay, String> {
        let x = epoch
            .checked_sub(self.first)
            .ok_or("an epoch before the first one that mines")?;
        let release = fraction(&self.params, x)
            .and_then(|fraction| mnd_release(&self.params, self.progress.assigned, fraction))
            .map_err(|error| error.to_string())?;
        let factor = self.params.carry_over_factor;
        let pay = self.progress.credit(release, availability, adoption, factor);
        self.minted += pay.released + pay.carried;
        Ok(pay)
    }

    /// What a row says after a claim.
    fn outcome(&self, pay: EpochPay) -> [U256; 5] {
        let Progress {
            claimed, withheld, ..
        } = self.progress;
        [pay.released, pay.carried, pay.withheld, claimed, withheld]
    }
}

fn outcome_of(columns: &Columns, row: &Value) -> Result<[U256; 5], String> {
    Ok([
        columns.amount(row, "rewards")?,
        columns.amount(row, "carryover")?,
        columns.amount(row, "withheld")?,
        columns.amount(row, "totalClaimedAfter")?,
        columns.amount(row, "awbAfter")?,
    ])
}

fn conditions_of(columns: &Columns, row: &Value) -> Result<(u8, u16), String> {
    let availability =
        u8::try_from(columns.integer(row, "availability")?).map_err(|_| "availability above 255")?;
    let adoption =
        u16::try_from(columns.integer(row, "adoption_u16")?).map_err(|_| "adoption above 65535")?;
    Ok((availability, adoption))
}

/// The conditions of the scenario that a chunked one is named after.
fn borrowed(all: &Value, name: &str) -> Result<Conditions, String> {
    let (_, after) = name
        .split_once("same_as_")
        .ok_or("a scenario without availabilities that is not named after another")?;
    let letter = after.split('_').next().unwrap_or_default();
    let scenarios = all.as_object().into_iter().flatten();
    let source = scenarios
        .filter(|(other, _)| other.split('_').next() == Some(letter))
        .map(|(_, scenario)| scenario)
        .next()
        .ok_or_else(|| format!("scenario {letter:?} is missing"))?;
    let columns = Columns::of(source)?;
    let condition = |row: &Value| Ok((columns.integer(row, "epoch")?, conditions_of(&columns, row)?));
    list(field(source, "rows")?)?.iter().map(condition).collect()
}

fn scenario(all: &Value, name: &str, scenario: &Value, report: &mut Report) -> Result<(), String> {
    let columns = Columns::of(scenario)?;
    let mut life = Life::of(scenario)?;
    let chunked = columns.has("fromEpoch");
    let conditions = if chunked {
        borrowed(all, name)?
    } else {
        Conditions::new()
    };
    for row in list(field(scenario, "rows")?)? {
        let (first, last) = if chunked {
            (
                columns.integer(row, "fromEpoch")?,
                columns.integer(row, "toEpoch")?,
            )
        } else {
            let epoch = columns.integer(row, "epoch")?;
            (epoch, epoch)
        };
        let mut sum = EpochPay::default();
        for epoch in first..=last {
            let condition = if chunked {
                *conditions
                    .get(&epoch)
                    .ok_or_else(|| format!("epoch {epoch} has no availability"))?
            } else {
                conditions_of(&columns, row)?
            };
            let pay = life.epoch(epoch, condition)?;
            sum.released += pay.released;
            sum.carried += pay.carried;
            sum.withheld += pay.withheld;
        }
        report.equal(
            format_args!("{name} {first}..={last}"),
            &life.outcome(sum),
            &outcome_of(&columns, row)?,
        );
    }
    let theirs = (
        amount(field(scenario, "totalMinted")?)?,
        amount(field(scenario, "finalAwb")?)?,
    );
    report.equal(
        format_args!("{name} in all"),
        &(life.minted, life.progress.withheld),
        &theirs,
    );
    Ok(())
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    for (name, life) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, life)| !life.is_string())
    {
        if let Err(why) = scenario(value, name, life, report) {
            report.fail(format_args!("{name}: {why}"));
        }
    }
}
