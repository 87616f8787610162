//! Amounts as people write them: exact decimals of R1 and USDC.

use anyhow::{Result, bail};
use r1_core::U256;
use r1_economy::bank::Asset;

/// Digits behind the point.
fn decimals(asset: Asset) -> usize {
    match asset {
        Asset::R1 => 18,
        Asset::Usdc => 6,
    }
}

/// The asset's name for people.
pub fn name(asset: Asset) -> &'static str {
    match asset {
        Asset::R1 => "R1",
        Asset::Usdc => "USDC",
    }
}

/// Reads `R1` or `USDC`, in any case.
///
/// # Errors
/// What it is not.
pub fn parse_asset(text: &str) -> Result<Asset, String> {
    match text.to_ascii_uppercase().as_str() {
        "R1" => Ok(Asset::R1),
        "USDC" => Ok(Asset::Usdc),
        _ => Err(format!("{text:?} is neither R1 nor USDC")),
    }
}

/// Reads a decimal such as `1.5` into the asset's smallest unit, exactly.
///
/// # Errors
/// What is wrong with it: not a decimal, more digits than the asset has, too large.
pub fn parse(text: &str, asset: Asset) -> Result<U256> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        bail!("{text:?} is not an amount such as 1.5");
    }
    let places = decimals(asset);
    if fraction.len() > places {
        bail!(
            "{text:?} has {} decimals; {} has {places}",
            fraction.len(),
            name(asset)
        );
    }
    let all = format!("{whole}{fraction:0<places$}");
    match U256::from_str_radix(&all, 10) {
        Ok(amount) => Ok(amount),
        Err(_) => bail!("{text:?} {} is more than any account can hold", name(asset)),
    }
}

/// Writes an amount of the smallest unit as a decimal without needless zeros.
pub fn show(amount: U256, asset: Asset) -> String {
    let places = decimals(asset);
    let digits = format!("{:0>width$}", amount.to_string(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_last_digit_and_written_back() {
        for (text, asset, units) in [
            ("1.5", Asset::R1, "1500000000000000000"),
            ("0.000000000000000001", Asset::R1, "1"),
            ("0.375", Asset::Usdc, "375000"),
            ("12", Asset::Usdc, "12000000"),
        ] {
            let amount = parse(text, asset).unwrap();
            assert_eq!(amount.to_string(), units);
            assert_eq!(show(amount, asset), text);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_by_name() {
        for bad in ["", ".5", "1.", "-1", "1,5", "1e3", "0x1", " 1"] {
            assert!(
                parse(bad, Asset::R1)
                    .unwrap_err()
                    .to_string()
                    .contains("not an amount"),
                "{bad}"
            );
        }
        let error = parse("0.1234567", Asset::Usdc).unwrap_err().to_string();
        assert!(error.contains("7 decimals; USDC has 6"), "{error}");
        assert!(parse(&"9".repeat(80), Asset::R1).is_err());
        assert!(parse_asset("BTC").is_err());
        assert_eq!(parse_asset("usdc"), Ok(Asset::Usdc));
    }
}
