//! Reed-Solomon over the leaves of an object: any `data` of `data + parity` pieces give it back.
//!
//! A stripe is up to `data` leaf blocks, padded with zeros to the longest and to an even length, and `parity` blocks
//! computed of them (raw CIDv1). Piece i of an object is block i of every stripe; blocks that are no leaves belong to
//! the first `parity + 1` pieces each. The [`Manifest`] names all of them and is kept with every piece.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{MAX_PIECES, wire};
use crate::{
    Block, Cid, MAX_BLOCK,
    cid::{BlockError, RAW, v1, verify},
};

/// Pieces needed, by default.
pub const DATA: u8 = 10;
/// Pieces that may be lost, by default.
pub const PARITY: u8 = 4;
/// Version of the manifest, its first byte.
pub const VERSION: u8 = 1;
/// Longest manifest, bytes: one block. A stripe of 14 names takes some 550 bytes, so it is enough for about 9 GiB in
/// leaves of 256 KiB; larger objects are kept as whole copies or imported with larger leaves.
pub const MAX_MANIFEST: usize = MAX_BLOCK;
/// Most stripes that are read; shorter than any name allows in [`MAX_MANIFEST`] bytes.
const MAX_STRIPES: usize = MAX_MANIFEST / 36;
/// Most blocks in a list of a manifest.
const MAX_NAMES: usize = MAX_MANIFEST / 36;

/// A leaf and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The block.
    #[serde(with = "wire::name")]
    pub cid: Cid,
    /// Its bytes, 1 to [`MAX_BLOCK`].
    pub bytes: u32,
}

/// Blocks that are encoded together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stripe {
    /// The leaves in the order of the object, at least one; the last stripe may have fewer than `data`.
    #[serde(deserialize_with = "wire::list::deserialize::<_, _, 32>")]
    pub leaves: Vec<Leaf>,
    /// The parity blocks, as many as the manifest says.
    #[serde(
        serialize_with = "wire::names::serialize",
        deserialize_with = "wire::names::deserialize::<_, 32>"
    )]
    pub parity: Vec<Cid>,
}

/// Which block belongs to which piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The object.
    #[serde(with = "wire::name")]
    pub root: Cid,
    /// Leaves in a stripe.
    pub data: u8,
    /// Parity blocks of a stripe.
    pub parity: u8,
    /// Blocks that are no leaves.
    #[serde(
        serialize_with = "wire::names::serialize",
        deserialize_with = "wire::names::deserialize::<_, MAX_NAMES>"
    )]
    pub interior: Vec<Cid>,
    /// The stripes in the order of the object.
    #[serde(deserialize_with = "wire::list::deserialize::<_, _, MAX_STRIPES>")]
    pub stripes: Vec<Stripe>,
}

/// Why something cannot be encoded or rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// Not a manifest, or one that contradicts itself.
    #[error("erasure manifest: {0}")]
    Manifest(String),
    /// A stripe with no leaf, too many, an empty one or one that is too large.
    #[error(
        "stripe of {leaves} leaves, the longest of {longest} bytes: at most {data} of 1 to {MAX_BLOCK} are allowed"
    )]
    Stripe {
        /// Leaves given.
        leaves: usize,
        /// Bytes of the longest.
        longest: usize,
        /// Leaves allowed.
        data: u8,
    },
    /// Too few blocks of a stripe.
    #[error("stripe of {first}: {present} blocks are here, {wanted} are needed")]
    TooFew {
        /// Its first leaf.
        first: Box<Cid>,
        /// Blocks that are here.
        present: usize,
        /// Blocks needed.
        wanted: usize,
    },
    /// A block that was given or rebuilt is not the one named.
    #[error("stripe: {0}")]
    Block(#[from] Box<BlockError>),
    /// The code refuses.
    #[error("stripe: {0}")]
    Code(#[from] reed_solomon_simd::Error),
}

/// Computes the parity blocks of up to `data` leaves.
///
/// # Errors
/// [`ErasureError::Stripe`] if there is no leaf, too many, or one is empty or too large.
pub fn encode_stripe(leaves: &[Block], data: u8, parity: u8) -> Result<(Stripe, Vec<Block>), ErasureError> {
    let longest = leaves.iter().map(|leaf| leaf.data.len()).max().unwrap_or(0);
    let empty = leaves.iter().any(|leaf| leaf.data.is_empty());
    if leaves.is_empty() || leaves.len() > usize::from(data) || empty || longest > MAX_BLOCK {
        return Err(ErasureError::Stripe {
            leaves: leaves.len(),
            longest,
            data,
        });
    }
    let padded = leaves
        .iter()
        .map(|leaf| pad(&leaf.data, longest.next_multiple_of(2)));
    let blocks: Vec<_> = reed_solomon_simd::encode(leaves.len(), usize::from(parity), padded)?
        .into_iter()
        .map(|data| Block {
            cid: v1(RAW, &data),
            data: Bytes::from(data),
        })
        .collect();
    let leaves = leaves.iter().map(|leaf| Leaf {
        cid: leaf.cid,
        bytes: u32::try_from(leaf.data.len()).expect("a block has at most 2 MiB"),
    });
    let stripe = Stripe {
        leaves: leaves.collect(),
        parity: blocks.iter().map(|block| block.cid).collect(),
    };
    Ok((stripe, blocks))
}

fn pad(data: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = Vec::with_capacity(bytes);
    padded.extend_from_slice(data);
    padded.resize(bytes, 0);
    padded
}

/// Rebuilds the blocks of a stripe that are absent: leaves first, then parity. `present[i]` is block i of the stripe,
/// leaves first. Every block, given or rebuilt, is checked against its name.
///
/// # Errors
/// [`ErasureError::TooFew`] if fewer blocks than leaves are here, [`ErasureError::Block`] if one is a wrong one.
pub fn reconstruct_stripe(stripe: &Stripe, present: &[Option<Bytes>]) -> Result<Vec<Block>, ErasureError> {
    let count = stripe.leaves.len();
    let names: Vec<Cid> = stripe.names().collect();
    let here = present.iter().take(names.len()).flatten().count();
    let longest = stripe
        .leaves
        .iter()
        .map(|leaf| leaf.bytes as usize)
        .max()
        .unwrap_or(0);
    let Some(first) = stripe
        .leaves
        .first()
        .filter(|_| here >= count && longest <= MAX_BLOCK)
    else {
        return Err(ErasureError::TooFew {
            first: Box::new(names.first().copied().unwrap_or_else(|| v1(RAW, b""))),
            present: here,
            wanted: count,
        });
    };
    let (shard, given) = (longest.next_multiple_of(2), |index: usize| {
        present.get(index).and_then(Option::as_ref)
    });
    let (mut leaves, mut parity) = (Vec::new(), Vec::new());
    for (index, cid) in names.iter().enumerate() {
        let Some(data) = given(index) else { continue };
        verify(cid, data).map_err(Box::new)?;
        if index < count {
            check_length(first, data.len() == stripe.leaves[index].bytes as usize)?;
            leaves.push((index, pad(data, shard)));
        } else {
            check_length(first, data.len() == shard)?;
            parity.push((index - count, data.clone()));
        }
    }
    let rebuilt = if leaves.len() == count {
        Default::default()
    } else {
        reed_solomon_simd::decode(count, stripe.parity.len(), leaves.clone(), parity)?
    };
    let mut whole: Vec<Vec<u8>> = vec![Vec::new(); count];
    for (index, data) in leaves.into_iter().chain(rebuilt) {
        whole[index] = data;
    }
    let mut missing = Vec::new();
    for (index, leaf) in stripe
        .leaves
        .iter()
        .enumerate()
        .filter(|(index, _)| given(*index).is_none())
    {
        missing.push((leaf.cid, whole[index][..leaf.bytes as usize].to_vec()));
    }
    if (count..names.len()).any(|index| given(index).is_none()) {
        let again = reed_solomon_simd::encode(count, stripe.parity.len(), &whole)?;
        let absent = again
            .into_iter()
            .enumerate()
            .filter(|(index, _)| given(count + index).is_none());
        missing.extend(absent.map(|(index, data)| (stripe.parity[index], data)));
    }
    missing
        .into_iter()
        .map(|(cid, data)| checked(cid, data))
        .collect()
}

fn check_length(first: &Leaf, fits: bool) -> Result<(), ErasureError> {
    fits.then_some(()).ok_or_else(|| {
        ErasureError::Manifest(format!(
            "the stripe of {} names another length than its block has",
            first.cid
        ))
    })
}

fn checked(cid: Cid, data: Vec<u8>) -> Result<Block, ErasureError> {
    verify(&cid, &data).map_err(Box::new)?;
    Ok(Block {
        cid,
        data: Bytes::from(data),
    })
}

impl Stripe {
    /// Its blocks: leaves, then parity.
    pub fn names(&self) -> impl Iterator<Item = Cid> {
        self.leaves
            .iter()
            .map(|leaf| leaf.cid)
            .chain(self.parity.iter().copied())
    }

    /// The block that belongs to a piece; none if the stripe has fewer leaves.
    fn of_piece(&self, piece: u8, data: u8) -> Option<Cid> {
        match piece.checked_sub(data) {
            None => self.leaves.get(usize::from(piece)).map(|leaf| leaf.cid),
            Some(parity) => self.parity.get(usize::from(parity)).copied(),
        }
    }
}

impl Manifest {
    /// The blocks of a piece, the manifest itself not included: block `piece` of every stripe, and for the first
    /// `parity + 1` pieces what is no leaf.
    pub fn blocks_of(&self, piece: u8) -> Vec<Cid> {
        let interior = if piece <= self.parity {
            &self.interior[..]
        } else {
            &[]
        };
        let striped = self
            .stripes
            .iter()
            .filter_map(|stripe| stripe.of_piece(piece, self.data));
        interior.iter().copied().chain(striped).collect()
    }

    /// As a block (raw CIDv1).
    ///
    /// # Errors
    /// [`ErasureError::Manifest`] if it contradicts itself or is longer than a block.
    pub fn encode(&self) -> Result<Block, ErasureError> {
        self.check()?;
        let bytes = postcard::to_extend(self, vec![VERSION])
            .map_err(|error| ErasureError::Manifest(error.to_string()))?;
        if bytes.len() > MAX_MANIFEST {
            return Err(ErasureError::Manifest(format!(
                "{} needs {} bytes, at most {MAX_MANIFEST} are allowed",
                self.root,
                bytes.len()
            )));
        }
        Ok(Block {
            cid: v1(RAW, &bytes),
            data: Bytes::from(bytes),
        })
    }

    /// From bytes, which may be hostile.
    ///
    /// # Errors
    /// [`ErasureError::Manifest`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ErasureError> {
        let refuse = |what: String| Err(ErasureError::Manifest(what));
        if bytes.len() > MAX_MANIFEST {
            return refuse(format!(
                "{} bytes, at most {MAX_MANIFEST} are allowed",
                bytes.len()
            ));
        }
        let Some((&VERSION, body)) = bytes.split_first() else {
            return refuse(format!("version {:?} is not known", bytes.first()));
        };
        let (manifest, rest): (Self, _) =
            postcard::take_from_bytes(body).map_err(|error| ErasureError::Manifest(error.to_string()))?;
        if !rest.is_empty() {
            return refuse(format!("{} bytes behind its end", rest.len()));
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ErasureError> {
        let (data, parity) = (usize::from(self.data), usize::from(self.parity));
        let fits = data > 0 && parity > 0 && data + parity <= usize::from(MAX_PIECES);
        let last = self.stripes.len().saturating_sub(1);
        let stripe_fits = |(index, stripe): (usize, &Stripe)| {
            let full = stripe.leaves.len() == data || (index == last && !stripe.leaves.is_empty());
            let lengths = stripe
                .leaves
                .iter()
                .all(|leaf| (1..=MAX_BLOCK).contains(&(leaf.bytes as usize)));
            full && stripe.leaves.len() <= data && stripe.parity.len() == parity && lengths
        };
        let names = self.interior.len() <= MAX_NAMES && self.stripes.len() <= MAX_STRIPES;
        if fits && names && !self.stripes.is_empty() && self.stripes.iter().enumerate().all(stripe_fits) {
            Ok(())
        } else {
            Err(ErasureError::Manifest(format!(
                "that of {} contradicts itself",
                self.root
            )))
        }
    }
}

#[cfg(test)]
mod tests;
