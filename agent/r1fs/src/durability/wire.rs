//! How names, bytes and lists look in messages: bounded before anything is allocated.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::{Cid, cid::digest_of};

/// A name on the wire.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Name(#[serde(with = "name")] Cid);

/// The name of a block or an object: a CID with sha2-256, nothing behind it.
pub(super) mod name {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&cid.to_bytes())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        let mut bytes = <&[u8]>::deserialize(deserializer)?;
        let cid = Cid::read_bytes(&mut bytes).map_err(D::Error::custom)?;
        if bytes.is_empty() && digest_of(&cid).is_some() {
            Ok(cid)
        } else {
            Err(D::Error::custom("not a CID with sha2-256"))
        }
    }
}

/// Up to `MAX` names.
pub(super) mod names {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(cids.iter().copied().map(Name))
    }

    pub(crate) fn deserialize<'de, D, const MAX: usize>(deserializer: D) -> Result<Vec<Cid>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let names: Vec<Name> = list::deserialize::<D, Name, MAX>(deserializer)?;
        Ok(names.into_iter().map(|Name(cid)| cid).collect())
    }
}

/// A list of at most `MAX` entries; a longer one is refused at the first entry too many.
pub(super) mod list {
    use super::*;

    struct Bounded<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    pub(crate) fn deserialize<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
    }
}

/// Bytes that may be absent.
pub(super) mod optional_bytes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(<Option<&[u8]>>::deserialize(deserializer)?.map(Bytes::copy_from_slice))
    }
}

/// A signature of 64 bytes, as two halves.
pub(super) mod signature {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(signature: &[u8; 64], serializer: S) -> Result<S::Ok, S::Error> {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&signature[..32]);
        s.copy_from_slice(&signature[32..]);
        (r, s).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
        let (r, s) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        Ok(signature)
    }
}
