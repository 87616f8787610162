//! A small reader of BTF, the type information that the kernel publishes about itself.
//!
//! It answers two questions: at which byte of a structure is a field, and what does a tracepoint pass. The format is
//! that of the kernel's `Documentation/bpf/btf.rst`: a header, an array of types whose records have a length that
//! depends on their kind, and a table of strings. Type ids count from 1; id 0 is `void`.

use std::{collections::HashMap, ops::Range};

use super::error::ProbeError;

/// First two bytes of BTF in this machine's byte order.
const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
/// Longest chain of typedefs and qualifiers that is followed.
const MAX_CHAIN: usize = 16;
/// Deepest nesting of unnamed structures that is searched.
const MAX_DEPTH: usize = 8;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// A parsed type table; borrows the bytes.
pub struct Btf<'a> {
    strings: &'a [u8],
    types: &'a [u8],
    /// Where type `id` begins in `types`, at index `id - 1`.
    starts: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    size_or_type: u32,
    rest: &'a [u8],
}

impl Type<'_> {
    fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    fn len(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Members of newer structures carry the width of bit fields in the top byte of the offset.
    fn has_bitfields(self) -> bool {
        self.info >> 31 == 1
    }
}

impl<'a> Btf<'a> {
    /// Indexes `data`.
    ///
    /// # Errors
    /// If the bytes are not BTF of this machine's byte order, or end early.
    pub fn parse(data: &'a [u8]) -> Result<Self, ProbeError> {
        let magic = data.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
        if magic != Some(MAGIC) {
            return Err(ProbeError::Btf("no BTF header"));
        }
        let header = word(data, 4)? as usize;
        if header < HEADER {
            return Err(ProbeError::Btf("header too short"));
        }
        let section = |at: usize| -> Result<&'a [u8], ProbeError> {
            let start = header + word(data, at)? as usize;
            let end = start + word(data, at + 4)? as usize;
            data.get(Range { start, end })
                .ok_or(ProbeError::Btf("section outside the data"))
        };
        let mut btf = Self {
            types: section(8)?,
            strings: section(16)?,
            starts: Vec::new(),
        };
        btf.index()?;
        Ok(btf)
    }

    fn index(&mut self) -> Result<(), ProbeError> {
        let mut at = 0;
        while at < self.types.len() {
            let start = u32::try_from(at).map_err(|_| ProbeError::Btf("type section too long"))?;
            let ty = self.at(at)?;
            let (kind, len) = (ty.kind(), ty.len());
            at += 12 + tail_bytes(kind, len)?;
            self.starts.push(start);
        }
        Ok(())
    }

    fn at(&self, at: usize) -> Result<Type<'a>, ProbeError> {
        let rest = self.types.get(at + 12..).ok_or(ProbeError::Btf("type cut off"))?;
        Ok(Type {
            name: word(self.types, at)?,
            info: word(self.types, at + 4)?,
            size_or_type: word(self.types, at + 8)?,
            rest,
        })
    }

    fn by_id(&self, id: u32) -> Option<Type<'a>> {
        let start = *self.starts.get(usize::try_from(id).ok()?.checked_sub(1)?)?;
        self.at(start as usize).ok()
    }

    fn name(&self, offset: u32) -> &'a str {
        let bytes = self.strings.get(offset as usize..).unwrap_or_default();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(0);
        std::str::from_utf8(&bytes[..end]).unwrap_or_default()
    }

    /// Finds complete structures and typedefs by name, in one pass over the types.
    pub fn find(&self, names: &[&'static str]) -> HashMap<&'static str, u32> {
        let mut found = HashMap::new();
        for id in 1..=u32::try_from(self.starts.len()).unwrap_or(u32::MAX) {
            let Some(ty) = self.by_id(id) else { break };
            if !matches!(ty.kind(), KIND_STRUCT | KIND_TYPEDEF) {
                continue;
            }
            let name = self.name(ty.name);
            if let Some(wanted) = names.iter().find(|n| **n == name) {
                found.entry(*wanted).or_insert(id);
            }
        }
        found
    }

    /// Byte offset of a field of structure `id`, and the field's type; looks into unnamed members too.
    pub fn field(&self, id: u32, name: &str) -> Option<(u32, u32)> {
        self.field_within(id, name, 0)
    }

    fn field_within(&self, id: u32, name: &str, depth: usize) -> Option<(u32, u32)> {
        let ty = self.by_id(self.strip(id)?)?;
        if depth > MAX_DEPTH || !matches!(ty.kind(), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for n in 0..ty.len() {
            let member = n * 12;
            let member_name = self.name(word(ty.rest, member).ok()?);
            let member_type = word(ty.rest, member + 4).ok()?;
            let raw = word(ty.rest, member + 8).ok()?;
            let bits = if ty.has_bitfields() {
                raw & 0x00ff_ffff
            } else {
                raw
            };
            if member_name == name {
                return bits.is_multiple_of(8).then_some((bits / 8, member_type));
            }
            if member_name.is_empty()
                && let Some((inner, found)) = self.field_within(member_type, name, depth + 1)
            {
                return Some((bits / 8 + inner, found));
            }
        }
        None
    }

    /// True if parameter `n` of the function that typedef `id` points to is a pointer.
    pub fn parameter_is_pointer(&self, id: u32, n: usize) -> Option<bool> {
        let pointer = self.by_id(self.strip(id)?)?;
        let proto = self.by_id(self.strip(pointer.size_or_type)?)?;
        if pointer.kind() != KIND_PTR || proto.kind() != KIND_FUNC_PROTO || n >= proto.len() {
            return None;
        }
        let parameter = self.by_id(self.strip(word(proto.rest, n * 8 + 4).ok()?)?)?;
        Some(parameter.kind() == KIND_PTR)
    }

    /// Follows typedefs and qualifiers.
    fn strip(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_CHAIN {
            let ty = self.by_id(id)?;
            match ty.kind() {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = ty.size_or_type
                }
                _ => return Some(id),
            }
        }
        None
    }
}

/// Bytes that follow the 12 common ones of a type record.
fn tail_bytes(kind: u32, len: usize) -> Result<usize, ProbeError> {
    Ok(match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * len,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * len,
        1..=KIND_ENUM64 => 0,
        _ => return Err(ProbeError::Btf("unknown kind of type")),
    })
}

fn word(data: &[u8], at: usize) -> Result<u32, ProbeError> {
    let bytes = data.get(at..).and_then(<[u8]>::first_chunk::<4>);
    bytes
        .map(|b| u32::from_ne_bytes(*b))
        .ok_or(ProbeError::Btf("cut off"))
}

#[cfg(test)]
#[path = "btf_tests.rs"]
mod tests;
