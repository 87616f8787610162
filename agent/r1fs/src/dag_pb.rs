//! dag-pb nodes: links, then data (the order on the wire is that of the DAG-PB specification).
//!
//! Read are also nodes whose data comes first, as others do; links on both sides of it and fields of a link in another
//! order than the specification's are refused.

use bytes::{Bytes, BytesMut};

use crate::{Cid, MAX_BLOCK};

/// Most links of one node. Kubo writes 174, its widest profile 1024; a block of 2 MiB has no room for more than this.
pub const MAX_LINKS: usize = 50_000;
/// Longest CID in a link, bytes.
const MAX_CID: usize = 128 + 16;

/// A link to another block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it points to.
    pub cid: Cid,
    /// Its name; empty inside files.
    pub name: String,
    /// Bytes of the block and all below it, as its maker says; nothing checks it.
    pub tsize: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its links, in the order on the wire.
    pub links: Vec<Link>,
    /// Its data; UnixFS keeps its own message there.
    pub data: Option<Bytes>,
}

/// Why bytes are not a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a dag-pb node: {0}")]
pub struct DagPbError(pub &'static str);

impl Node {
    /// Reads a node; its data shares the block's memory.
    ///
    /// # Errors
    /// [`DagPbError`] says what is wrong.
    pub fn decode(block: &Bytes) -> Result<Self, DagPbError> {
        let mut node = Self::default();
        let mut links_end = false;
        fields(block, |field| match field {
            (2, Value::Bytes(_)) if links_end => Err(DagPbError("links on both sides of the data")),
            (2, Value::Bytes(range)) => {
                if node.links.len() >= MAX_LINKS {
                    return Err(DagPbError("too many links"));
                }
                node.links.push(link(&block[range])?);
                Ok(())
            }
            (1, Value::Bytes(range)) if node.data.is_none() => {
                node.data = Some(block.slice(range));
                links_end = !node.links.is_empty();
                Ok(())
            }
            _ => Err(DagPbError("a field that a node has not got, or has once only")),
        })?;
        Ok(node)
    }

    /// Writes the node.
    pub fn encode(&self) -> Bytes {
        let mut out =
            BytesMut::with_capacity(64 * self.links.len() + self.data.as_ref().map_or(0, Bytes::len) + 16);
        let mut inner = BytesMut::with_capacity(96);
        for link in &self.links {
            inner.clear();
            put_bytes(&mut inner, 1, &link.cid.to_bytes());
            put_bytes(&mut inner, 2, link.name.as_bytes());
            put_number(&mut inner, 3, link.tsize);
            put_bytes(&mut out, 2, &inner);
        }
        if let Some(data) = &self.data {
            put_bytes(&mut out, 1, data);
        }
        out.freeze()
    }
}

fn link(bytes: &[u8]) -> Result<Link, DagPbError> {
    let (mut cid, mut name, mut tsize) = (None, None, None);
    fields(bytes, |field| match field {
        (1, Value::Bytes(_)) if name.is_some() || tsize.is_some() => {
            Err(DagPbError("a link's CID after its name or size"))
        }
        (1, Value::Bytes(range)) if cid.is_none() && range.len() <= MAX_CID => {
            let parsed = Cid::try_from(&bytes[range]);
            cid = Some(parsed.map_err(|_| DagPbError("a link without a sound CID"))?);
            Ok(())
        }
        (2, Value::Bytes(_)) if tsize.is_some() => Err(DagPbError("a link's name after its size")),
        (2, Value::Bytes(range)) if name.is_none() => {
            let text = std::str::from_utf8(&bytes[range]);
            name = Some(
                text.map_err(|_| DagPbError("a name that is not UTF-8"))?
                    .to_owned(),
            );
            Ok(())
        }
        (3, Value::Number(number)) if tsize.is_none() => {
            tsize = Some(number);
            Ok(())
        }
        _ => Err(DagPbError("a field that a link has not got, or has once only")),
    })?;
    Ok(Link {
        cid: cid.ok_or(DagPbError("a link without a CID"))?,
        name: name.unwrap_or_default(),
        tsize: tsize.unwrap_or(0),
    })
}

/// The value of a protobuf field.
pub(crate) enum Value {
    /// A varint.
    Number(u64),
    /// Where its bytes are.
    Bytes(std::ops::Range<usize>),
}

/// Calls `each` with every field of a protobuf message: only varints and bytes, which is all that IPFS's messages have.
pub(crate) fn fields(
    bytes: &[u8],
    mut each: impl FnMut((u64, Value)) -> Result<(), DagPbError>,
) -> Result<(), DagPbError> {
    if bytes.len() > 2 * MAX_BLOCK {
        return Err(DagPbError("longer than a block can be"));
    }
    let mut at = 0;
    while at < bytes.len() {
        let tag = varint(bytes, &mut at)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(bytes, &mut at)?),
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).unwrap_or(usize::MAX);
                let end = at.checked_add(length).filter(|end| *end <= bytes.len());
                let end = end.ok_or(DagPbError("a field that ends after the message"))?;
                Value::Bytes(std::mem::replace(&mut at, end)..end)
            }
            _ => return Err(DagPbError("a field of an unknown wire type")),
        };
        each((tag >> 3, value))?;
    }
    Ok(())
}

pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, DagPbError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(DagPbError("a number that is cut off"))?;
        *at += 1;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DagPbError("a number beyond 64 bits"))
}

pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.extend_from_slice(&[(value & 0x7f) as u8 | 0x80]);
        value >>= 7;
    }
    out.extend_from_slice(&[value as u8]);
}

pub(crate) fn put_number(out: &mut BytesMut, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

pub(crate) fn put_bytes(out: &mut BytesMut, field: u64, value: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cid::{RAW, v0, v1};

    fn arbitrary_link() -> impl Strategy<Value = Link> {
        (any::<[u8; 4]>(), "[a-zé]{0,8}", any::<u64>(), any::<bool>()).prop_map(|(seed, name, tsize, old)| {
            Link {
                cid: if old { v0(&seed) } else { v1(RAW, &seed) },
                name,
                tsize,
            }
        })
    }

    proptest! {
        #[test]
        fn a_node_survives_the_round_trip(
            links in proptest::collection::vec(arbitrary_link(), 0..8),
            data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64)),
        ) {
            let node = Node { links, data: data.map(Bytes::from) };
            prop_assert_eq!(Node::decode(&node.encode()).unwrap(), node);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Node::decode(&bytes.into());
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fault = |bytes: &[u8]| Node::decode(&Bytes::copy_from_slice(bytes)).unwrap_err().0;
        assert!(fault(&[0x0a, 5, 1]).contains("ends after"));
        assert!(fault(&[0x12, 0]).contains("without a CID"));
        assert!(fault(&[0x0d]).contains("wire type"));
        assert!(fault(&[0x0a]).contains("cut off"));
        assert!(fault(&[0x0a, 0, 0x0a, 0]).contains("once only"));
        assert!(fault(&[0xff; 11]).contains("64 bits"));
        assert!(fault(&[0x12, 4, 0x18, 1, 0x0a, 0]).contains("after its name or size"));
        assert!(fault(&[0x12, 4, 0x18, 1, 0x12, 0]).contains("after its size"));
        let link = Link {
            cid: v0(b"x"),
            name: String::new(),
            tsize: 1,
        };
        let node = Node {
            links: vec![link],
            data: Some(Bytes::new()),
        };
        let one = node.encode();
        assert!(fault(&[&one[..], &one[..one.len() - 2]].concat()).contains("both sides"));
    }
}
