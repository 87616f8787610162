//! `price_tiers.json`: what the licences cost, tier by tier.

use r1_core::U256;
use r1_economy::{
    NetworkParams, Tier,
    pool::{Exchange, Pool, Reserves},
    sale::licence_price,
};
use serde_json::Value;

use crate::report::{Report, amount, field, integer, list};

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    let tiers = match NetworkParams::preset("mainnet") {
        Ok(params) => params.nd.tiers,
        Err(error) => return report.fail(error),
    };
    let price = reserves(value).map(|reserves| {
        let mut pool = Pool::default();
        pool.reserves.set(reserves);
        pool.price().map_err(|refusal| refusal.to_string())
    });
    let price = price.and_then(|price| price);
    report.row(
        "tokenPrice",
        price
            .clone()
            .and_then(|price| same("price", price, amount(field(value, "tokenPrice_1e18")?)?)),
    );
    let rows = field(value, "tiers").and_then(list);
    match rows {
        Ok(rows) => {
            for (index, row) in rows.iter().enumerate() {
                let outcome = price.clone().and_then(|price| tier(&tiers, row, price));
                report.row(format!("tier row {index}"), outcome);
            }
        }
        Err(why) => report.fail(why),
    }
    let all = sums(&tiers);
    for (name, ours) in [("totalUnits", all.0), ("totalUsd", all.1)] {
        if value.get(name).is_some() {
            let theirs = field(value, name).and_then(amount);
            report.row(name, theirs.and_then(|theirs| same(name, ours, theirs)));
        }
    }
}

fn same(what: &str, ours: U256, theirs: U256) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what} is {ours}, the contracts gave {theirs}"))
    }
}

fn reserves(value: &Value) -> Result<Reserves, String> {
    let reserves = field(value, "mockReserves")?;
    Ok(Reserves {
        r1: amount(field(reserves, "r1")?)?,
        usdc: amount(field(reserves, "usdc")?)?,
        shares: U256::ZERO,
    })
}

/// Units and USD of some tiers.
fn sums(tiers: &[Tier]) -> (U256, U256) {
    let add = |(units, usd), tier: &Tier| {
        let (more, price) = (U256::from(tier.units), U256::from(tier.usd));
        (units + more, usd + more * price)
    };
    tiers.iter().fold((U256::ZERO, U256::ZERO), add)
}

fn tier(tiers: &[Tier], row: &Value, price: U256) -> Result<(), String> {
    let number = usize::try_from(integer(field(row, "tier")?)?).map_err(|error| error.to_string())?;
    let tier = number
        .checked_sub(1)
        .and_then(|index| tiers.get(index))
        .ok_or_else(|| format!("tier {number} does not exist"))?;
    let cost = licence_price(tier.usd, price).map_err(|refusal| refusal.to_string())?;
    let (units, usd) = sums(tiers.get(..number).unwrap_or_default());
    for (name, ours) in [
        ("usdPrice", U256::from(tier.usd)),
        ("totalUnits", U256::from(tier.units)),
        ("licenseTokenPrice_at_mock_price", cost),
        ("cumulativeUnits", units),
        ("cumulativeUsd", usd),
    ] {
        if row.get(name).is_some() {
            same(name, ours, amount(field(row, name)?)?)?;
        }
    }
    Ok(())
}
