//! What a scalar without quotes means (YAML 1.1 as PyYAML 6 resolves it).

use r1_core::python_float;
use serde_json::{Number, Value};

/// The value of a scalar. Dates, which JSON lacks, stay texts.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// A number; those that JSON lacks (infinities, not a number) are null.
fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        b'0'..=b'9' | b'.' => (false, text),
        _ => return None,
    };
    let signed = digits.len() != text.len();
    integer(digits, negative).or_else(|| float(digits, negative, signed))
}

/// Whether the text has only such characters, or underscores, and begins with one that is none.
fn all(text: &str, is: fn(&u8) -> bool) -> bool {
    text.bytes().next().is_some_and(|first| is(&first)) && text.bytes().all(|byte| is(&byte) || byte == b'_')
}

fn integer(digits: &str, negative: bool) -> Option<Value> {
    let radix = |digits: &str, radix| {
        let digits = digits.replace('_', "");
        Some(match u64::from_str_radix(&digits, radix) {
            Ok(value) => whole(value, negative),
            Err(_) => wide(&digits, radix, negative),
        })
    };
    let octal = |byte: &u8| matches!(byte, b'0'..=b'7');
    if let Some(rest) = digits.strip_prefix("0b") {
        return all(rest, |byte| matches!(byte, b'0' | b'1')).then(|| radix(rest, 2))?;
    }
    if let Some(rest) = digits.strip_prefix("0x") {
        return all(rest, u8::is_ascii_hexdigit).then(|| radix(rest, 16))?;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return all(digits, octal).then(|| radix(digits, 8))?;
    }
    if all(digits, u8::is_ascii_digit) {
        return radix(digits, 10);
    }
    let value = sexagesimal(digits)?;
    // Beyond 2^53 a sum of floats is no integer any more; nobody writes such times.
    let exact = !digits.starts_with('0') && value.fract() == 0.0 && value < 9_007_199_254_740_992.0;
    exact.then(|| whole(value as u64, negative))
}

fn whole(value: u64, negative: bool) -> Value {
    match (negative, i64::try_from(-i128::from(value))) {
        (false, _) => Value::from(value),
        (true, Ok(value)) => Value::from(value),
        (true, Err(_)) => Value::from(-(value as f64)),
    }
}

/// An integer beyond 64 bits, as the float that JSON readers make of it.
fn wide(digits: &str, radix: u32, negative: bool) -> Value {
    let value = if radix == 10 {
        digits.parse().unwrap_or(f64::INFINITY)
    } else {
        digits.chars().fold(0.0, |sum: f64, digit| {
            sum * f64::from(radix) + f64::from(digit.to_digit(radix).unwrap_or(0))
        })
    };
    Value::from(if negative { -value } else { value })
}

/// `1:30:00`, each part after the first below 60.
fn sexagesimal(digits: &str) -> Option<f64> {
    let (first, rest) = digits.split_once(':')?;
    if !all(first, u8::is_ascii_digit) {
        return None;
    }
    let mut sum: f64 = first.replace('_', "").parse().ok()?;
    for part in rest.split(':') {
        let below_60 = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        sum = sum * 60.0 + part.parse::<f64>().ok().filter(|_| below_60)?;
    }
    Some(sum)
}

fn float(digits: &str, negative: bool, signed: bool) -> Option<Value> {
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(Value::Null),
        ".nan" | ".NaN" | ".NAN" if !signed => return Some(Value::Null),
        _ => {}
    }
    let value = if digits.contains(':') {
        let (whole, fraction) = digits.rsplit_once('.')?;
        let parts = sexagesimal(whole)?;
        parts + decimal(&format!("0.{fraction}"))?
    } else if digits.starts_with('.') && (signed || digits.as_bytes().get(1) == Some(&b'_')) {
        return None;
    } else {
        decimal(digits)?
    };
    let value = if negative { -value } else { value };
    Some(Number::from_f64(value).map_or(Value::Null, Value::Number))
}

/// A number with a point and, with its sign, an exponent.
fn decimal(digits: &str) -> Option<f64> {
    let (whole, rest) = digits.split_once('.')?;
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let whole_fits = whole.is_empty() || all(whole, u8::is_ascii_digit);
    let some = !whole.is_empty() || !fraction.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        let rest = exponent.strip_prefix(['-', '+']).unwrap_or("");
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
    });
    if !(whole_fits && some && digits_only(fraction) && exponent_fits) {
        return None;
    }
    digits.replace('_', "").parse().ok()
}

/// How a key that is no text is called in JSON: as Python's `json.dumps` calls it.
pub(super) fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".into()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) if number.is_f64() => Some(python_float(number.as_f64()?)),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
