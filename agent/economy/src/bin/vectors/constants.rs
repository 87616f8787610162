//! `constants.json`: what the contracts' public getters return, and what follows from it.

use r1_core::U256;
use r1_economy::{NetworkParams, release::gnd_release};
use serde_json::Value;

use crate::report::{Report, amount};

/// What our parameters say under the contracts' names; `None` for what is no constant of the rules.
fn ours(params: &NetworkParams, name: &str) -> Option<U256> {
    let (nd, mnd) = (&params.nd, &params.mnd);
    let small = |value: u64| Some(U256::from(value));
    match name {
        "MAX_TOKEN_SUPPLY" | "R1_maxSupply" | "R1_cap" => Some(params.r1_cap),
        "ND_MAX_LICENSE_SUPPLY" => small(nd.max_supply),
        "ND_MAX_LICENSE_TOKENS_PERCENTAGE" => Some(
            (nd.cap * U256::from(nd.max_supply) * U256::from(10_000) + params.r1_cap - U256::from(1))
                / params.r1_cap,
        ),
        "ND_MAX_LICENSE_TOKENS_SUPPLY" => Some(params.r1_cap * U256::from(4_500) / U256::from(10_000)),
        "ND_MAX_MINING_PER_LICENSE" => Some(nd.cap),
        "ND_MAX_RELEASE_PER_DAY" => Some(nd.reward_per_epoch),
        "ND_MINING_DURATION_EPOCHS" => Some(nd.cap / nd.reward_per_epoch),
        "ND_dust_after_1080_full_epochs" => Some(nd.cap - nd.reward_per_epoch * U256::from(1_080)),
        "LAST_PRICE_TIER" => small(nd.tiers.len() as u64),
        "MND_MAX_SUPPLY" => small(mnd.max_supply),
        "MND_MAX_TOKENS_ASSIGNED_PER_LICENSE" => Some(mnd.max_per_licence),
        "MND_MAX_TOTAL_ASSIGNED_TOKENS" => Some(mnd.max_assigned),
        "MND_MINING_DURATION_EPOCHS" => small(mnd.mining_epochs),
        "MND_NO_MINING_EPOCHS" => small(mnd.no_mining_epochs),
        "MND_maxCarryoverReleaseFactor" => small(mnd.carry_over_factor.into()),
        "GND_MINING_EPOCHS" => small(mnd.gnd_epochs),
        "GND_TOTAL_EMISSION" => Some(mnd.gnd_assigned),
        "GND_perEpoch" => Some(gnd_release(mnd)),
        "GND_TOKEN_ID" | "GENESIS_TOKEN_ID" => small(1),
        "MAX_AVAILABILITY" => small(255),
        "MAX_PERCENTAGE" => small(10_000),
        "PRICE_DECIMALS" => small(1_000_000_000_000_000_000),
        "R1_decimals" => small(18),
        "epochDuration" => small(params.epoch_length_ms / 1000),
        "startEpochTimestamp" => small(params.epoch_start_ms / 1000),
        "minimumRequiredSignatures" => small(params.minimum_signatures.into()),
        _ => None,
    }
}

/// Checks every row. Names, addresses and oracles of the measured deployment are checked for their form.
pub fn check(value: &Value, report: &mut Report) {
    let params = match NetworkParams::preset("mainnet") {
        Ok(params) => params,
        Err(error) => return report.fail(error),
    };
    for (name, theirs) in value.as_object().into_iter().flatten() {
        match (ours(&params, name), name.as_str()) {
            (Some(ours), _) => report.equal(name, &Ok(ours), &amount(theirs)),
            (None, "R1_name") => report.equal(name, &Some("Ratio1"), &theirs.as_str()),
            (None, "R1_symbol") => report.equal(name, &Some("R1"), &theirs.as_str()),
            (None, "owner" | "ndContract" | "mndContract") => report.equal(name, &true, &is_address(theirs)),
            (None, "getOracles") => {
                let all = theirs.as_array().is_some_and(|list| list.iter().all(is_address));
                report.equal(name, &true, &all);
            }
            (None, other) => report.fail(format_args!("constant {other:?} is unknown")),
        }
    }
}

fn is_address(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<r1_core::EthAddress>().is_ok())
}
