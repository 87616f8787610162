//! Amounts, times and sizes as people read them.

use serde_json::Value;

/// Decimals of R1.
const DECIMALS: usize = 18;

/// Wei as R1, exact, without trailing zeros: `1458508188386985115` is `1.458508188386985115`.
pub fn r1(wei: &Value) -> String {
    let digits = wei.as_str().unwrap_or("0");
    let padded = format!("{digits:0>width$}", width = DECIMALS + 1);
    let (whole, fraction) = padded.split_at(padded.len() - DECIMALS);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// A span of milliseconds: `850 ms`, `12.5 s`, `3 min`, `5 h`, `2 d`.
pub fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..86_400_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// Bytes: `512 B`, `1.5 KiB`, `64.0 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut scaled = count * 10;
    let mut unit = 0;
    scaled /= 1024;
    while scaled >= 10_240 && unit + 1 < UNITS.len() {
        scaled /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", scaled / 10, scaled % 10, UNITS[unit])
}

/// An address short enough for a table: both ends of it.
pub fn short(address: &Value) -> String {
    let text = address.as_str().unwrap_or("-");
    match text.char_indices().nth(13) {
        Some(_) if text.is_ascii() && text.len() > 20 => {
            format!("{}…{}", &text[..11], &text[text.len() - 6..])
        }
        _ => text.to_owned(),
    }
}

/// A value, or `-` where there is none.
pub fn or_dash(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wei_are_shown_exactly() {
        for (wei, shown) in [
            ("0", "0"),
            ("1", "0.000000000000000001"),
            ("1458508188386985115", "1.458508188386985115"),
            ("2500000000000000000", "2.5"),
            ("1575188843457943925233", "1575.188843457943925233"),
        ] {
            assert_eq!(r1(&json!(wei)), shown);
        }
    }

    #[test]
    fn spans_and_sizes_are_short() {
        assert_eq!(
            [span(5), span(12_540), span(180_000)],
            ["5 ms", "12.5 s", "3 min"]
        );
        assert_eq!(
            [bytes(5), bytes(1536), bytes(64 << 20)],
            ["5 B", "1.5 KiB", "64.0 MiB"]
        );
    }

    #[test]
    fn an_address_keeps_both_ends() {
        let address = json!("0xai_AjcIThkOqrPlp35-S8czHUOV-y4mnhksnLs8NGjTbmty");
        assert_eq!(short(&address), "0xai_AjcITh…jTbmty");
        assert_eq!(short(&Value::Null), "-");
    }
}
