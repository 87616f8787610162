//! Amounts of R1 in wei: their text forms. 1 R1 is 10^18 wei.

use alloy_primitives::U256;

/// Digits behind the point of an R1 amount.
const DECIMALS: usize = 18;

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a plain decimal integer below 2^256.
    #[error("amount {0:?} is not a decimal number of wei below 2^256")]
    Wei(String),
}

/// Reads a decimal integer of wei. Signs, spaces, underscores and other bases are refused.
///
/// # Errors
/// [`AmountError::Wei`].
pub fn parse_wei(text: &str) -> Result<U256, AmountError> {
    let refuse = || AmountError::Wei(text.chars().take(96).collect());
    if text.is_empty() || text.len() > 78 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse());
    }
    U256::from_str_radix(text, 10).map_err(|_| refuse())
}

/// An amount for people: in R1, all digits, without trailing zeros (`1575.188843457943925233`).
pub fn format_r1(wei: U256) -> String {
    let digits = format!("{:0>width$}", wei.to_string(), width = DECIMALS + 1);
    let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// Amounts as decimal strings of wei, for `#[serde(with = "r1_core::wei")]`: JSON numbers lose digits.
pub mod wei {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the decimal string where people read it, the number's own form where machines do.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(amount)
        } else {
            amount.serialize(serializer)
        }
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer, and texts that [`parse_wei`](super::parse_wei) refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        if !deserializer.is_human_readable() {
            return U256::deserialize(deserializer);
        }
        super::parse_wei(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print_to_the_wei() {
        let cap = parse_wei("1575188843457943925233").unwrap();
        assert_eq!(format_r1(cap), "1575.188843457943925233");
        assert_eq!(format_r1(U256::ZERO), "0");
        assert_eq!(format_r1(U256::from(1)), "0.000000000000000001");
        assert_eq!(format_r1(U256::from(1_500_000_000_000_000_000_u64)), "1.5");
        assert_eq!(parse_wei(&U256::MAX.to_string()).unwrap(), U256::MAX);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let over = format!("{}0", U256::MAX);
        let two_to_256 = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        for text in [
            "",
            "-1",
            "+1",
            "0x10",
            "1_0",
            "1.0",
            " 1",
            over.as_str(),
            two_to_256,
        ] {
            assert!(parse_wei(text).is_err(), "{text}");
        }
    }
}
