//! Canonical JSON: the text over which Ratio1 messages are hashed and signed.
//!
//! It is what Python's `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` prints, with
//! floats in Python's `repr` form. Upstream has written floats in two ways over time, see [`FloatForm`].
//!
//! One limit: an integer beyond 64 bits in a JSON text is read as a float by `serde_json` and is therefore printed
//! as one. Upstream prints its digits, so such a message fails to verify; it is never taken for another message.

use serde_json::{Map, Value};

/// How floats are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatForm {
    /// Python's `repr`: `10.0`, `1e+20`, `1e-07`. What is signed today (`SIGN_CANON_V` `v2`).
    Current,
    /// `repr` with zeros and then a point cut off its end where it contains a point: `10`, but also `1.5e+2` for
    /// 1.5e+20. Messages of older networks (`SIGN_CANON_V` `v1`) are only verified in this form.
    Legacy,
}

/// Bounds for encoding a value of hostile origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanonicalLimits {
    /// Longest text, bytes.
    pub max_bytes: usize,
    /// Deepest nesting of objects and arrays; the outermost object is 1.
    pub max_depth: usize,
}

impl Default for CanonicalLimits {
    /// 2 MiB, the longest message upstream accepts, and 64 levels.
    fn default() -> Self {
        Self {
            max_bytes: 2 << 20,
            max_depth: 64,
        }
    }
}

/// Why a value has no canonical text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The text would be longer than allowed.
    #[error("canonical json is longer than {0} bytes")]
    TooLong(usize),
    /// The value is nested deeper than allowed.
    #[error("json is nested deeper than {0} levels")]
    TooDeep(usize),
}

/// The canonical text of an object without the fields for which `keep` is false; nested objects keep all theirs.
///
/// # Errors
/// A [`CanonicalError`] when a limit is reached; no more than the limit has been allocated then.
pub fn canonical_json(
    object: &Map<String, Value>,
    keep: impl Fn(&str) -> bool,
    form: FloatForm,
    limits: CanonicalLimits,
) -> Result<String, CanonicalError> {
    let mut writer = Writer {
        out: String::new(),
        form,
        limits,
    };
    writer.object(object.iter().filter(|(key, _)| keep(key)), 1)?;
    Ok(writer.out)
}

/// The canonical text of any value.
///
/// # Errors
/// As [`canonical_json`].
pub fn canonical_value(
    value: &Value,
    form: FloatForm,
    limits: CanonicalLimits,
) -> Result<String, CanonicalError> {
    let mut writer = Writer {
        out: String::new(),
        form,
        limits,
    };
    writer.value(value, 1)?;
    Ok(writer.out)
}

/// The text of a finite float as Python's `repr` prints it; `null` for NaN and infinities.
pub fn python_float(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    // `{:e}` prints the shortest digits that read back as the same value, as Python does.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    if !(-4..16).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.abs());
    }
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    match usize::try_from(exponent) {
        Ok(exponent) if digits.len() > exponent + 1 => {
            let (whole, fraction) = digits.split_at(exponent + 1);
            format!("{sign}{whole}.{fraction}")
        }
        Ok(exponent) => format!("{sign}{digits:0<width$}.0", width = exponent + 1),
        Err(_) => format!(
            "{sign}0.{}{digits}",
            "0".repeat(exponent.unsigned_abs() as usize - 1)
        ),
    }
}

/// A float in the legacy form. Upstream encodes, reads back and encodes again, so the cut applies twice: 1.5e+20
/// becomes `1.5e+2`, which is read as 150.0 and printed as `150`.
fn legacy_float(value: f64) -> String {
    let cut = |text: String| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    let once = cut(python_float(value));
    match once.as_str() {
        "-0" => "0".to_owned(),
        text if text.contains(['.', 'e']) => text
            .parse()
            .map_or(once.clone(), |value| cut(python_float(value))),
        _ => once,
    }
}

struct Writer {
    out: String,
    form: FloatForm,
    limits: CanonicalLimits,
}

impl Writer {
    fn push(&mut self, text: &str) -> Result<(), CanonicalError> {
        if self.out.len() + text.len() > self.limits.max_bytes {
            return Err(CanonicalError::TooLong(self.limits.max_bytes));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn enter(&self, depth: usize) -> Result<(), CanonicalError> {
        if depth > self.limits.max_depth {
            return Err(CanonicalError::TooDeep(self.limits.max_depth));
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), CanonicalError> {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Value::String(text) => self.string(text),
            Value::Number(number) => {
                let text = match (number.as_i64(), number.as_u64(), number.as_f64()) {
                    (Some(integer), _, _) => integer.to_string(),
                    (_, Some(integer), _) => integer.to_string(),
                    (_, _, Some(float)) if self.form == FloatForm::Legacy => legacy_float(float),
                    (_, _, Some(float)) => python_float(float),
                    _ => number.to_string(),
                };
                self.push(&text)
            }
            Value::Array(items) => {
                self.enter(depth)?;
                self.push("[")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.push(",")?;
                    }
                    self.value(item, depth + 1)?;
                }
                self.push("]")
            }
            Value::Object(object) => self.object(object.iter(), depth),
        }
    }

    fn object<'a>(
        &mut self,
        fields: impl Iterator<Item = (&'a String, &'a Value)>,
        depth: usize,
    ) -> Result<(), CanonicalError> {
        self.enter(depth)?;
        // `serde_json::Map` is sorted or not by a feature that any crate of a build can switch.
        let mut fields: Vec<_> = fields.collect();
        fields.sort_unstable_by_key(|(key, _)| *key);
        self.push("{")?;
        for (index, (key, value)) in fields.into_iter().enumerate() {
            if index > 0 {
                self.push(",")?;
            }
            self.string(key)?;
            self.push(":")?;
            self.value(value, depth + 1)?;
        }
        self.push("}")
    }

    fn string(&mut self, text: &str) -> Result<(), CanonicalError> {
        self.push("\"")?;
        let mut start = 0;
        for (index, byte) in text.bytes().enumerate() {
            let escaped = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0x08 => "\\b",
                0x0c => "\\f",
                0..=0x1f => &format!("\\u{byte:04x}"),
                _ => continue,
            };
            self.push(&text[start..index])?;
            self.push(escaped)?;
            start = index + 1;
        }
        self.push(&text[start..])?;
        self.push("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str, form: FloatForm) -> String {
        let object: Map<String, Value> = serde_json::from_str(json).unwrap();
        canonical_json(&object, |_| true, form, CanonicalLimits::default()).unwrap()
    }

    #[test]
    fn floats_read_as_python_prints_them() {
        // Each right side is what CPython 3.11 prints for repr() of the left.
        for (value, expected) in [
            (10.0, "10.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e20, "1e+20"),
            (1e100, "1e+100"),
            (0.0001, "0.0001"),
            (0.000_123_4, "0.0001234"),
            (0.00001, "1e-05"),
            (1e-7, "1e-07"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ] {
            assert_eq!(python_float(value), expected);
        }
    }

    #[test]
    fn legacy_floats_lose_what_upstream_lost() {
        for (value, expected) in [
            (10.0, "10"),
            (0.5, "0.5"),
            (0.0, "0"),
            (-0.0, "0"),
            (1e20, "1e+20"),
            (1.5e20, "150"),
            (1e-7, "1e-07"),
        ] {
            assert_eq!(legacy_float(value), expected);
        }
    }

    #[test]
    fn keys_are_sorted_by_code_point_and_text_stays_as_it_is() {
        let json = r#"{"b":"Iași\u0001\n\"\\/\u007f","a":{"10":1,"9":[true,null,{}]},"Z":18446744073709551615,"é":-3}"#;
        assert_eq!(
            text(json, FloatForm::Current),
            "{\"Z\":18446744073709551615,\"a\":{\"10\":1,\"9\":[true,null,{}]},\"b\":\"Iași\\u0001\\n\\\"\\\\/\u{7f}\",\"é\":-3}"
        );
    }

    #[test]
    fn floats_keep_every_bit_between_text_and_value() {
        // A parser that rounds once too often reads neighbours of these.
        for text in [
            "0.30000000000000004",
            "1.7976931348623157e+308",
            "2.2250738585072014e-308",
            "7.038531e-26",
        ] {
            let value: f64 = serde_json::from_str(text).unwrap();
            assert_eq!(python_float(value), text);
        }
    }

    #[test]
    fn a_value_need_not_be_an_object() {
        let text = |json: &str| {
            let value = serde_json::from_str(json).unwrap();
            canonical_value(&value, FloatForm::Current, CanonicalLimits::default()).unwrap()
        };
        assert_eq!(text(r#"[{"b": 1, "a": 1e2}, "é"]"#), r#"[{"a":100.0,"b":1},"é"]"#);
        assert_eq!(text("null"), "null");
    }

    #[test]
    fn limits_are_kept() {
        let deep: Map<String, Value> = serde_json::from_str(r#"{"a":[[[1]]]}"#).unwrap();
        let limits = |max_bytes, max_depth| CanonicalLimits { max_bytes, max_depth };
        let encode = |limits| canonical_json(&deep, |_| true, FloatForm::Current, limits);
        assert_eq!(encode(limits(100, 4)).unwrap(), r#"{"a":[[[1]]]}"#);
        assert_eq!(encode(limits(100, 3)), Err(CanonicalError::TooDeep(3)));
        assert_eq!(encode(limits(12, 4)), Err(CanonicalError::TooLong(12)));
    }
}
