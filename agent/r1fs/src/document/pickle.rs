//! Pickles of JSON values: what CPython 3.8 to 3.13 prints for `pickle.dumps(json.loads(text))`, byte for byte.
//!
//! That is pickle protocol 4 with its framing, and with back references where CPython keeps one object for equal
//! texts: keys of objects, empty texts and single characters of Latin-1. Nothing is ever unpickled here.
//!
//! One limit: an integer beyond 64 bits is read as a float and written as one.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{DocumentError, MAX_DEPTH, MAX_DOCUMENT};

/// A JSON value whose objects keep the order of their text, which Python's do. A key that comes twice stays at its
/// first place with its last value.
#[derive(Debug, Clone, PartialEq)]
pub enum Ordered {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent, from -2^63 to 2^64 - 1.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Ordered>),
    /// An object.
    Object(Vec<(String, Ordered)>),
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderedVisitor)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Ordered;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Ordered, E> {
        Ok(Ordered::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Ordered, A::Error> {
        let mut object: Vec<(String, Ordered)> = Vec::new();
        let mut places = HashMap::new();
        while let Some((key, value)) = fields.next_entry::<String, Ordered>()? {
            let place = *places.entry(key.clone()).or_insert(object.len());
            if let Some((_, old)) = object.get_mut(place) {
                *old = value;
            } else {
                object.push((key, value));
            }
        }
        Ok(Ordered::Object(object))
    }
}

/// The bytes of a pickle.
///
/// # Errors
/// [`DocumentError`] when a limit is reached.
pub fn to_bytes(value: &Ordered) -> Result<Vec<u8>, DocumentError> {
    let mut pickler = Pickler {
        out: vec![0x80, 4],
        frame: None,
        keys: HashMap::new(),
        singles: HashMap::new(),
        memoized: 0,
    };
    pickler.value(value, 1)?;
    pickler.write(b".");
    pickler.close_frame();
    if pickler.out.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLong);
    }
    Ok(pickler.out)
}

/// A frame is closed at the first opcode after so many bytes; texts of that length stand outside of frames.
const FRAME_TARGET: usize = 64 << 10;
/// Shorter frames are written without a frame header.
const FRAME_LEAST: usize = 4;
/// Opcode and length.
const FRAME_HEADER: usize = 9;
/// Items that are appended to a list or object in one go.
const BATCH: usize = 1000;

struct Pickler<'a> {
    out: Vec<u8>,
    /// Where the header of the open frame is.
    frame: Option<usize>,
    /// Numbers of keys that were written; CPython's JSON reader keeps one object for equal keys.
    keys: HashMap<&'a str, u32>,
    /// Numbers of texts that exist once in CPython.
    singles: HashMap<&'a str, u32>,
    memoized: u32,
}

impl<'a> Pickler<'a> {
    fn write(&mut self, bytes: &[u8]) {
        if self.frame.is_none() {
            self.frame = Some(self.out.len());
            self.out.extend_from_slice(&[0; FRAME_HEADER]);
        }
        self.out.extend_from_slice(bytes);
    }

    fn close_frame(&mut self) {
        let Some(start) = self.frame.take() else { return };
        let body = start + FRAME_HEADER;
        let length = self.out.len() - body;
        if length < FRAME_LEAST {
            self.out.drain(start..body);
            return;
        }
        self.out[start] = 0x95;
        self.out[start + 1..body].copy_from_slice(&(length as u64).to_le_bytes());
    }

    fn memoize(&mut self) -> u32 {
        self.write(&[0x94]);
        self.memoized += 1;
        self.memoized - 1
    }

    fn begin(&mut self, depth: usize) -> Result<(), DocumentError> {
        if depth > MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        if self.out.len() > MAX_DOCUMENT {
            return Err(DocumentError::TooLong);
        }
        if self
            .frame
            .is_some_and(|start| self.out.len() - start - FRAME_HEADER >= FRAME_TARGET)
        {
            self.close_frame();
        }
        Ok(())
    }

    fn value(&mut self, value: &'a Ordered, depth: usize) -> Result<(), DocumentError> {
        // A scalar is one level above the list that holds it.
        self.begin(depth - usize::from(!matches!(value, Ordered::List(_) | Ordered::Object(_))))?;
        match value {
            Ordered::Null => self.write(b"N"),
            Ordered::Bool(value) => self.write(&[if *value { 0x88 } else { 0x89 }]),
            Ordered::Integer(value) => self.integer(*value),
            Ordered::Float(value) => {
                self.write(b"G");
                self.write(&value.to_be_bytes());
            }
            Ordered::Text(text) => self.text(text, false),
            Ordered::List(items) => self.list(items, depth)?,
            Ordered::Object(fields) => self.object(fields, depth)?,
        }
        Ok(())
    }

    fn integer(&mut self, value: i128) {
        let bytes = value.to_le_bytes();
        match value {
            0..=0xff => self.write(&[b'K', bytes[0]]),
            0x100..=0xffff => self.write(&[b'M', bytes[0], bytes[1]]),
            -0x8000_0000..=0x7fff_ffff => self.write(&[b'J', bytes[0], bytes[1], bytes[2], bytes[3]]),
            _ => {
                // The fewest bytes that keep the sign.
                let sign_bits = value.leading_zeros().max(value.leading_ones());
                let length = (128 - sign_bits as usize) / 8 + 1;
                self.write(&[0x8a, bytes.len().min(length) as u8]);
                self.write(&bytes[..length]);
            }
        }
    }

    fn text(&mut self, text: &'a str, key: bool) {
        let single = {
            let mut characters = text.chars();
            characters.next().is_none_or(|first| u32::from(first) < 256) && characters.next().is_none()
        };
        let known = if single {
            self.singles.get(text)
        } else if key {
            self.keys.get(text)
        } else {
            None
        };
        match known.copied() {
            Some(number) => self.reference(number),
            None => {
                self.new_text(text);
                let number = self.memoize();
                if single {
                    self.singles.insert(text, number);
                } else if key {
                    self.keys.insert(text, number);
                }
            }
        }
    }

    fn reference(&mut self, number: u32) {
        match u8::try_from(number) {
            Ok(number) => self.write(&[b'h', number]),
            Err(_) => {
                self.write(b"j");
                self.write(&number.to_le_bytes());
            }
        }
    }

    fn new_text(&mut self, text: &str) {
        let header: &[u8] = match (u8::try_from(text.len()), u32::try_from(text.len())) {
            (Ok(length), _) => &[0x8c, length],
            (_, Ok(length)) => &[&b"X"[..], &length.to_le_bytes()].concat(),
            _ => &[&[0x8d][..], &(text.len() as u64).to_le_bytes()].concat(),
        };
        if text.len() >= FRAME_TARGET {
            self.close_frame();
            self.out.extend_from_slice(header);
            self.out.extend_from_slice(text.as_bytes());
        } else {
            self.write(header);
            self.write(text.as_bytes());
        }
    }

    fn list(&mut self, items: &'a [Ordered], depth: usize) -> Result<(), DocumentError> {
        self.write(b"]");
        self.memoize();
        if let [item] = items {
            self.value(item, depth + 1)?;
            self.write(b"a");
            return Ok(());
        }
        for batch in items.chunks(BATCH) {
            self.write(b"(");
            for item in batch {
                self.value(item, depth + 1)?;
            }
            self.write(b"e");
        }
        Ok(())
    }

    fn object(&mut self, fields: &'a [(String, Ordered)], depth: usize) -> Result<(), DocumentError> {
        self.write(b"}");
        self.memoize();
        if let [field] = fields {
            self.field(field, depth)?;
            self.write(b"s");
            return Ok(());
        }
        for batch in fields.chunks(BATCH) {
            self.write(b"(");
            for field in batch {
                self.field(field, depth)?;
            }
            self.write(b"u");
        }
        // CPython sees the end of an object only by looking for one more field.
        if !fields.is_empty() && fields.len().is_multiple_of(BATCH) {
            self.write(b"(u");
        }
        Ok(())
    }

    fn field(&mut self, (key, value): &'a (String, Ordered), depth: usize) -> Result<(), DocumentError> {
        self.begin(depth)?;
        self.text(key, true);
        self.value(value, depth + 1)
    }
}

#[cfg(test)]
mod tests;
