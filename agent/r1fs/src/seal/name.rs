//! The metadata of a sealed object: the file's name as JSON, byte for byte as Python's `json.dumps` prints it.

use std::fmt::Write as _;

use serde_json::Value;

use super::SealError;

/// Longest file name, bytes: what Linux file systems hold.
pub const MAX_NAME: usize = 255;
/// Longest metadata that is read, bytes. The longest of ours has 1.5 KiB; upstream may add fields.
pub const MAX_META: usize = 16 << 10;
/// The name of a file whose metadata has none (upstream's).
const UNNAMED: &str = "restored_file.bin";

/// The metadata of a file name.
///
/// # Errors
/// [`SealError::Name`] for a name that no file can have.
pub fn to_meta(name: &str) -> Result<String, SealError> {
    check(name)?;
    let mut meta = String::from("{\"filename\": ");
    push_quoted(&mut meta, name);
    meta.push('}');
    Ok(meta)
}

/// The file name in metadata that was authenticated. Whoever sealed the object chose it, so it is made harmless:
/// parts before the last slash are dropped, control characters replaced, and what is no file name then becomes
/// `restored_file.bin`.
///
/// # Errors
/// [`SealError::Meta`] if it is no JSON object, or the name is no text.
pub fn from_meta(meta: &[u8]) -> Result<String, SealError> {
    // The length of the metadata is not covered by the tag. Where it was changed, the text does not end where the
    // object ends, so spaces around it, which JSON allows, are refused.
    if meta.first() != Some(&b'{') || meta.last() != Some(&b'}') {
        return Err(SealError::Meta);
    }
    let meta: Value = serde_json::from_slice(meta).map_err(|_| SealError::Meta)?;
    let name = match meta.get("filename") {
        Some(Value::String(name)) => harmless(name),
        None => UNNAMED.to_owned(),
        Some(_) => return Err(SealError::Meta),
    };
    Ok(if check(&name).is_ok() {
        name
    } else {
        UNNAMED.to_owned()
    })
}

fn harmless(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    last.replace(char::is_control, "_")
}

/// Refuses what cannot be the name of a file, or would be another file's.
fn check(name: &str) -> Result<(), SealError> {
    let reason = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME {
        "is longer than 255 bytes"
    } else if name == "." || name == ".." {
        "is a folder"
    } else if name.contains('/') {
        "contains a slash"
    } else if name.contains(char::is_control) {
        "contains a control character"
    } else {
        return Ok(());
    };
    let name = name.chars().take(MAX_NAME).collect();
    Err(SealError::Name { name, reason })
}

/// A JSON string in ASCII, escaped as Python does.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            other => push_escaped(out, other),
        }
    }
    out.push('"');
}

/// `\uXXXX`, twice for characters beyond 16 bits.
pub(crate) fn push_escaped(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_what_python_prints() {
        // CPython 3.11: json.dumps({"filename": name})
        for (name, expected) in [
            ("test.json", r#"{"filename": "test.json"}"#),
            (
                "Iași \u{1F980}.txt",
                r#"{"filename": "Ia\u0219i \ud83e\udd80.txt"}"#,
            ),
            ("a\"b\\c~ ", r#"{"filename": "a\"b\\c~ "}"#),
        ] {
            assert_eq!(to_meta(name).unwrap(), expected);
            if !name.contains('\\') {
                assert_eq!(from_meta(expected.as_bytes()).unwrap(), name);
            }
        }
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", ".", "..", "a/b", "a\nb", "a\0b", "a\u{7f}", &long] {
            assert!(matches!(to_meta(name), Err(SealError::Name { .. })), "{name:?}");
        }
        assert!(to_meta(&"x".repeat(MAX_NAME)).is_ok());
    }

    #[test]
    fn a_name_never_leads_out_of_its_folder() {
        let read = |name: &str| {
            let mut meta = String::from("{\"filename\": ");
            push_quoted(&mut meta, name);
            from_meta((meta + "}").as_bytes()).unwrap()
        };
        assert_eq!(read("../../etc/passwd"), "passwd");
        assert_eq!(read("..\\x"), "x");
        assert_eq!(read("a\r\nSet-Cookie: x"), "a__Set-Cookie: x");
        for name in ["a/..", "a/", ".", &"x".repeat(256)] {
            assert_eq!(read(name), UNNAMED);
        }
    }

    #[test]
    fn metadata_has_no_room_around_it() {
        assert_eq!(from_meta(b"{}").unwrap(), UNNAMED);
        for meta in [
            &b"{} "[..],
            b" {}",
            b"",
            b"[]",
            b"{}}",
            b"{\"filename\": 1}",
            b"{\"filename\": \"a\"",
            b"\xff",
        ] {
            assert_eq!(from_meta(meta), Err(SealError::Meta), "{meta:?}");
        }
    }

    #[test]
    fn control_characters_are_escaped_as_python_does() {
        let mut out = String::new();
        push_quoted(&mut out, "\u{0}\u{8}\u{c}\n\r\t\u{1f}\u{7f}\u{80}");
        assert_eq!(out, r#""\u0000\b\f\n\r\t\u001f\u007f\u0080""#);
    }
}
