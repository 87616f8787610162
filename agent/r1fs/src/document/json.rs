//! JSON as Python's `json.dumps(value, sort_keys=True, separators=(",", ":"))` prints it: in ASCII.

use r1_core::{CanonicalError, CanonicalLimits, FloatForm, canonical_value};
use serde_json::Value;

use super::{DocumentError, MAX_DEPTH, MAX_DOCUMENT};
use crate::seal::name::push_escaped;

const LIMITS: CanonicalLimits = CanonicalLimits {
    max_bytes: MAX_DOCUMENT,
    max_depth: MAX_DEPTH,
};

/// The bytes of a JSON document.
///
/// # Errors
/// [`DocumentError`] when a limit is reached.
pub fn to_bytes(value: &Value) -> Result<Vec<u8>, DocumentError> {
    let text = canonical_value(value, FloatForm::Current, LIMITS).map_err(|error| match error {
        CanonicalError::TooLong(_) => DocumentError::TooLong,
        CanonicalError::TooDeep(_) => DocumentError::TooDeep,
    })?;
    // Control characters are escaped already, and the others that ASCII lacks only stand inside strings.
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            ascii.push(character);
        } else {
            push_escaped(&mut ascii, character);
        }
        if ascii.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLong);
        }
    }
    Ok(ascii.into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_those_that_python_prints() {
        // CPython 3.11: json.dumps(value, sort_keys=True, separators=(",", ":"))
        let value = json!({
            "name": "Iași \u{1F980}\u{7f}\u{1}\n", "é": [1.0, 1e20, -0.0, 0.1], "a": {"z": null, "b": true}, "": [],
        });
        assert_eq!(
            String::from_utf8(to_bytes(&value).unwrap()).unwrap(),
            r#"{"":[],"a":{"b":true,"z":null},"name":"Ia\u0219i \ud83e\udd80\u007f\u0001\n","\u00e9":[1.0,1e+20,-0.0,0.1]}"#
        );
        assert_eq!(to_bytes(&json!("é")).unwrap(), br#""\u00e9""#);
    }

    #[test]
    fn limits_are_kept() {
        let deep = (0..MAX_DEPTH).fold(json!(1), |value, _| json!([value]));
        assert!(to_bytes(&deep).is_ok());
        assert_eq!(to_bytes(&json!([deep])), Err(DocumentError::TooDeep));
        let long = json!("é".repeat(MAX_DOCUMENT / 6 + 1));
        assert_eq!(to_bytes(&long).err(), Some(DocumentError::TooLong));
    }
}
