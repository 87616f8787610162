//! Writing: block style, sorted keys, lists at the level of their key, ASCII.

use std::fmt::Write as _;

use r1_core::python_float;
use serde_json::{Map, Value};

use super::scalar::resolve;
use crate::document::{DocumentError, MAX_DEPTH, MAX_DOCUMENT};

/// Longest key that is written before a colon, bytes; readers give up looking for the colon after 1024.
const MAX_SIMPLE_KEY: usize = 120;

/// The bytes of a YAML document.
///
/// # Errors
/// [`DocumentError`] when a limit is reached.
pub fn to_bytes(value: &Value) -> Result<Vec<u8>, DocumentError> {
    let mut writer = Writer { out: String::new() };
    writer.node(value, 0, Place::Start, 1)?;
    Ok(writer.out.into_bytes())
}

/// What stands before a node on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Dash,
    Key,
}

struct Writer {
    out: String,
}

impl Writer {
    fn node(
        &mut self,
        value: &Value,
        indent: usize,
        place: Place,
        depth: usize,
    ) -> Result<(), DocumentError> {
        if self.out.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLong);
        }
        match value {
            Value::Array(items) if !items.is_empty() => {
                let indent = self.begin(indent, place, 0, depth)?;
                self.list(items, indent, depth)
            }
            Value::Object(fields) if !fields.is_empty() => {
                let indent = self.begin(indent, place, 2, depth)?;
                self.object(fields, indent, depth)
            }
            scalar => {
                if place != Place::Start {
                    self.out.push(' ');
                }
                self.scalar(scalar);
                self.out.push('\n');
                Ok(())
            }
        }
    }

    /// Goes to where a collection's first item is written; gives the column of all its items.
    fn begin(
        &mut self,
        indent: usize,
        place: Place,
        below_key: usize,
        depth: usize,
    ) -> Result<usize, DocumentError> {
        if depth > MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        Ok(match place {
            Place::Start => indent,
            Place::Dash => {
                self.out.push(' ');
                indent + 2
            }
            Place::Key => {
                self.out.push('\n');
                self.spaces(indent + below_key);
                indent + below_key
            }
        })
    }

    fn spaces(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    fn list(&mut self, items: &[Value], indent: usize, depth: usize) -> Result<(), DocumentError> {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.spaces(indent);
            }
            self.out.push('-');
            self.node(item, indent, Place::Dash, depth + 1)?;
        }
        Ok(())
    }

    fn object(
        &mut self,
        fields: &Map<String, Value>,
        indent: usize,
        depth: usize,
    ) -> Result<(), DocumentError> {
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        for (index, (key, value)) in sorted.into_iter().enumerate() {
            if index > 0 {
                self.spaces(indent);
            }
            if key.len() <= MAX_SIMPLE_KEY {
                self.text(key);
                self.out.push(':');
                self.node(value, indent, Place::Key, depth + 1)?;
            } else {
                self.out.push_str("? ");
                self.text(key);
                self.out.push('\n');
                self.spaces(indent);
                self.out.push(':');
                self.node(value, indent, Place::Dash, depth + 1)?;
            }
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) if number.is_f64() => {
                let text = python_float(number.as_f64().unwrap_or(f64::NAN));
                // Without a point, YAML 1.1 sees no number in an exponent.
                if text.contains('.') {
                    self.out.push_str(&text);
                } else {
                    self.out.push_str(&text.replacen('e', ".0e", 1));
                }
            }
            Value::Number(number) => {
                // Writing to a string cannot fail.
                let _ = write!(self.out, "{number}");
            }
            Value::String(text) => self.text(text),
            Value::Array(_) => self.out.push_str("[]"),
            Value::Object(_) => self.out.push_str("{}"),
        }
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            self.out.push_str(text);
        } else if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.out.push('\'');
            self.out.push_str(&text.replace('\'', "''"));
            self.out.push('\'');
        } else {
            self.escaped(text);
        }
    }

    fn escaped(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            // Writing to a string cannot fail.
            let _ = match (character, u32::from(character)) {
                ('"' | '\\', _) => write!(self.out, "\\{character}"),
                ('\n', _) => write!(self.out, "\\n"),
                ('\r', _) => write!(self.out, "\\r"),
                ('\t', _) => write!(self.out, "\\t"),
                (' '..='~', _) => write!(self.out, "{character}"),
                (_, code @ 0..=0xff) => write!(self.out, "\\x{code:02X}"),
                (_, code @ 0..=0xffff) => write!(self.out, "\\u{code:04X}"),
                (_, code) => write!(self.out, "\\U{code:08X}"),
            };
        }
        self.out.push('"');
    }
}

/// Whether a text needs no quotes for any reader. Narrower than YAML's rules.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '_' | '/'));
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_/.+-@ ".contains(&byte);
    begins
        && text.bytes().all(inside)
        && !text.ends_with(' ')
        && resolve(text).is_string()
        // YAML 1.1 proper, which PyYAML does not follow here, reads these as truths.
        && !matches!(text, "y" | "Y" | "n" | "N")
}
