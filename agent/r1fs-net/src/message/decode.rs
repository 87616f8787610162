//! Reading protobuf by hand, out of bytes that anyone may have made.

use bytes::{Buf as _, Bytes};
use r1_r1fs::Cid;

use super::{Entry, MAX_BLOCKS, MAX_ENTRIES, MAX_MESSAGE, MAX_PRESENCES, Message, Payload, Prefix, WantType};

/// Why bytes are no Bitswap message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("bitswap message: ends inside a field")]
    Short,
    /// A number has more than 64 bits.
    #[error("bitswap message: number of more than 64 bits")]
    Varint,
    /// A field has a type that protobuf has not.
    #[error("bitswap message: field of unknown type {0}")]
    Type(u64),
    /// The message is too long.
    #[error("bitswap message: {0} bytes, at most {MAX_MESSAGE} are read")]
    Long(usize),
    /// There are too many of something.
    #[error("bitswap message: more than {limit} {what}")]
    Many {
        /// What there is too much of.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
}

/// The value of a field.
enum Value {
    Number(u64),
    Bytes(Bytes),
    /// Of a fixed size; Bitswap has none.
    Fixed,
}

fn varint(wire: &mut Bytes) -> Result<u64, DecodeError> {
    let mut value = 0;
    for at in 0..10 {
        if !wire.has_remaining() {
            return Err(DecodeError::Short);
        }
        let byte = wire.get_u8();
        if at == 9 && byte > 1 {
            return Err(DecodeError::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Varint)
}

fn take(wire: &mut Bytes, length: u64) -> Result<Bytes, DecodeError> {
    match usize::try_from(length) {
        Ok(length) if length <= wire.len() => Ok(wire.split_to(length)),
        _ => Err(DecodeError::Short),
    }
}

/// The next field and its value; `None` at the end.
fn field(wire: &mut Bytes) -> Result<Option<(u64, Value)>, DecodeError> {
    if wire.is_empty() {
        return Ok(None);
    }
    let key = varint(wire)?;
    let value = match key & 7 {
        0 => Value::Number(varint(wire)?),
        1 => take(wire, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = varint(wire)?;
            Value::Bytes(take(wire, length)?)
        }
        5 => take(wire, 4).map(|_| Value::Fixed)?,
        other => return Err(DecodeError::Type(other)),
    };
    Ok(Some((key >> 3, value)))
}

fn push<T>(list: &mut Vec<T>, item: T, what: &'static str, limit: usize) -> Result<(), DecodeError> {
    if list.len() >= limit {
        return Err(DecodeError::Many { what, limit });
    }
    list.push(item);
    Ok(())
}

pub(super) fn message(mut wire: Bytes) -> Result<Message, DecodeError> {
    if wire.len() > MAX_MESSAGE {
        return Err(DecodeError::Long(wire.len()));
    }
    let mut message = Message::default();
    while let Some((number, value)) = field(&mut wire)? {
        match (number, value) {
            (1, Value::Bytes(list)) => wantlist(list, &mut message)?,
            (2, Value::Bytes(data)) => {
                let prefix = Prefix::V0;
                push(
                    &mut message.blocks,
                    Payload { prefix, data },
                    "blocks",
                    MAX_BLOCKS,
                )?;
            }
            (3, Value::Bytes(bytes)) => match payload(bytes)? {
                Some(block) => push(&mut message.blocks, block, "blocks", MAX_BLOCKS)?,
                None => message.left_out += 1,
            },
            (4, Value::Bytes(bytes)) => match presence(bytes)? {
                Some(presence) => push(&mut message.presences, presence, "presences", MAX_PRESENCES)?,
                None => message.left_out += 1,
            },
            (5, Value::Number(bytes)) => message.pending_bytes = int32(bytes),
            _ => {}
        }
    }
    Ok(message)
}

/// Protobuf's int32: the low bits of 64.
#[expect(
    clippy::cast_possible_truncation,
    reason = "protobuf cuts an int32 off a longer number"
)]
fn int32(number: u64) -> i32 {
    number as i32
}

fn wantlist(mut wire: Bytes, message: &mut Message) -> Result<(), DecodeError> {
    while let Some((number, value)) = field(&mut wire)? {
        match (number, value) {
            (1, Value::Bytes(_)) if message.entries.len() >= MAX_ENTRIES => message.left_out += 1,
            (1, Value::Bytes(bytes)) => match entry(bytes)? {
                Some(entry) => message.entries.push(entry),
                None => message.left_out += 1,
            },
            (2, Value::Number(full)) => message.full = full != 0,
            _ => {}
        }
    }
    Ok(())
}

fn entry(mut wire: Bytes) -> Result<Option<Entry>, DecodeError> {
    let mut name = Bytes::new();
    let (mut priority, mut cancel, mut send_dont_have) = (1, false, false);
    let mut want = WantType::Block;
    while let Some((number, value)) = field(&mut wire)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Number(number)) => priority = int32(number),
            (3, Value::Number(flag)) => cancel = flag != 0,
            (4, Value::Number(1)) => want = WantType::Have,
            (4, Value::Number(_)) => want = WantType::Block,
            (5, Value::Number(flag)) => send_dont_have = flag != 0,
            _ => {}
        }
    }
    Ok(cid(&name).map(|cid| Entry {
        cid,
        priority,
        cancel,
        want,
        send_dont_have,
    }))
}

fn cid(bytes: &[u8]) -> Option<Cid> {
    Cid::try_from(bytes).ok()
}

fn payload(mut wire: Bytes) -> Result<Option<Payload>, DecodeError> {
    let (mut before, mut data) = (Bytes::new(), Bytes::new());
    while let Some((number, value)) = field(&mut wire)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => before = bytes,
            (2, Value::Bytes(bytes)) => data = bytes,
            _ => {}
        }
    }
    Ok(prefix(before).ok().map(|prefix| Payload { prefix, data }))
}

fn prefix(mut wire: Bytes) -> Result<Prefix, DecodeError> {
    Ok(Prefix {
        version: varint(&mut wire)?,
        codec: varint(&mut wire)?,
        hash: varint(&mut wire)?,
        length: varint(&mut wire)?,
    })
}

fn presence(mut wire: Bytes) -> Result<Option<(Cid, bool)>, DecodeError> {
    let (mut name, mut have) = (Bytes::new(), true);
    while let Some((number, value)) = field(&mut wire)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Number(kind)) => have = kind == 0,
            _ => {}
        }
    }
    Ok(cid(&name).map(|cid| (cid, have)))
}
