//! Our form for large files: segments that are opened one by one, so that a part of a file costs only its segments.
//!
//! `magic (11) ‖ version (1) ‖ salt (32) ‖ segment size (u32) ‖ metadata length (u32)`, integers big-endian, then
//! [metadata ‖ content] cut into segments, each an AES-256-GCM message with its tag. The key is
//! `HKDF-SHA256(sha256(secret), salt, header)`, so a header with any other byte opens nothing. A segment's nonce is a
//! prefix from the same derivation, its number (u32) and a byte that is 1 for the last one (the STREAM construction):
//! segments that are missing, exchanged or appended are found.
//!
//! The header has no total length, because a content is sealed while it comes: the object's length, which its CID
//! vouches for, and the last segment's mark say it.

mod layout;

use std::ops::Range;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};

use self::layout::Layout;
use super::{
    Key, SealError,
    gcm::{NONCE, Nonce, TAG, stream},
    name::{self, MAX_META},
};

/// Contents of so many bytes and more are sealed in segments: 64 MiB. Smaller ones take upstream's form, which upstream's
/// nodes can open, and reading them twice is cheap.
pub const SEGMENTED_FROM: u64 = 64 << 20;
/// The first bytes, in the place of upstream's nonce. A random nonce equals them and the version once in 2^96 objects.
pub const MAGIC: &[u8; 11] = b"\x89r1fs-seal\n";
/// The version of the form that is written and read.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER: usize = MAGIC.len() + 1 + SALT + 8;
/// Bytes of a salt.
pub const SALT: usize = 32;
/// Bytes of a sealed segment; the first one is shorter by the header. So each segment is one leaf of the file's DAG,
/// whose leaves have 256 KiB: opening it takes one block.
pub const SEGMENT: u32 = 256 << 10;
/// Segment sizes that are read.
pub const SEGMENT_RANGE: std::ops::RangeInclusive<u32> = (64 << 10)..=(1 << 20);

/// Makes the keys of objects under one secret differ: random, or see [`salt_from_integer`].
pub type Salt = [u8; SALT];

/// The salt of a reproducible object.
///
/// As with upstream's nonces, two contents sealed under one secret with one seed and name share their key stream:
/// who has both objects learns where and how they differ.
pub fn salt_from_integer(seed: i64, filename: &str) -> Salt {
    Sha256::new()
        .chain_update(MAGIC)
        .chain_update([VERSION])
        .chain_update(seed.to_be_bytes())
        .chain_update(filename)
        .finalize()
        .into()
}

/// What seals and opens the segments of one object.
#[derive(Debug, Clone)]
struct Segments {
    key: Key,
    prefix: [u8; NONCE - 5],
}

impl Segments {
    fn new(key: &Key, header: &[u8; HEADER]) -> Self {
        let salt = &header[MAGIC.len() + 1..][..SALT];
        let derived = Hkdf::<Sha256>::new(Some(salt), key.bytes());
        let mut segments = Self {
            key: Key::zero(),
            prefix: [0; NONCE - 5],
        };
        let expand = |info: &[u8], out: &mut [u8]| {
            derived
                .expand_multi_info(&[header, info], out)
                .expect("HKDF-SHA256 gives up to 8160 bytes");
        };
        expand(b"key", segments.key.bytes_mut());
        expand(b"nonce", &mut segments.prefix);
        segments
    }

    fn nonce(&self, segment: u32, last: bool) -> Nonce {
        let mut nonce = [0; NONCE];
        let (prefix, rest) = nonce.split_at_mut(self.prefix.len());
        prefix.copy_from_slice(&self.prefix);
        rest[..4].copy_from_slice(&segment.to_be_bytes());
        rest[4] = last.into();
        nonce
    }

    fn seal(&self, segment: u32, last: bool, mut message: BytesMut) -> Bytes {
        let mut stream = stream::Stream::new(&self.key, self.nonce(segment, last));
        stream.encrypt(&mut message);
        let length = message.len() as u64;
        message.put_slice(&stream.tag(length));
        message.freeze()
    }

    /// Decrypts in place; bytes that are refused stay encrypted.
    fn open(&self, segment: u32, last: bool, mut sealed: BytesMut) -> Result<BytesMut, SealError> {
        let length = sealed.len().checked_sub(TAG).ok_or(SealError::Refused)?;
        let tag = sealed.split_off(length);
        let nonce = self.nonce(segment, last);
        let mut stream = stream::Stream::new(&self.key, nonce);
        stream.hash(&sealed);
        if !stream.accepts(length as u64, &tag) {
            return Err(SealError::Refused);
        }
        stream::decrypt(&self.key, nonce, 0, &mut sealed);
        Ok(sealed)
    }
}

/// Seals a content that comes in pieces. Holds at most one segment.
pub struct SegmentSealer {
    segments: Segments,
    number: u32,
    /// Message bytes of the current segment, and how many it takes.
    message: BytesMut,
    room: usize,
}

impl SegmentSealer {
    /// Begins an object. The second value are its first bytes; the sealed segments follow.
    ///
    /// # Errors
    /// [`SealError::Name`] for a name that no file can have.
    pub fn new(key: &Key, salt: &Salt, filename: &str) -> Result<(Self, Bytes), SealError> {
        let meta = name::to_meta(filename)?;
        let mut header = [0; HEADER];
        let mut rest = &mut header[..];
        rest.put_slice(MAGIC);
        rest.put_u8(VERSION);
        rest.put_slice(salt);
        rest.put_u32(SEGMENT);
        rest.put_u32(u32::try_from(meta.len()).expect("a file name is short"));
        let room = SEGMENT as usize - HEADER - TAG;
        let mut sealer = Self {
            segments: Segments::new(key, &header),
            number: 0,
            message: BytesMut::with_capacity(room + TAG),
            room,
        };
        sealer.message.put_slice(meta.as_bytes());
        Ok((sealer, Bytes::copy_from_slice(&header)))
    }

    /// Takes the next piece and gives each segment that is complete. Pieces may have any length.
    ///
    /// # Errors
    /// [`SealError::TooLong`] above 2^32 segments, a petabyte.
    pub fn push(&mut self, mut piece: &[u8], mut give: impl FnMut(Bytes)) -> Result<(), SealError> {
        while !piece.is_empty() {
            // A full segment waits for the next byte: only then it is known not to be the last one.
            if self.message.len() == self.room {
                give(self.next()?);
            }
            let taken = piece.len().min(self.room - self.message.len());
            self.message.put_slice(&piece[..taken]);
            piece = &piece[taken..];
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Bytes, SealError> {
        let number = self.number;
        self.number = number.checked_add(1).ok_or(SealError::TooLong {
            most: layout::MAX_SEGMENTS * u64::from(SEGMENT),
        })?;
        self.room = SEGMENT as usize - TAG;
        let following = BytesMut::with_capacity(self.room + TAG);
        let message = std::mem::replace(&mut self.message, following);
        Ok(self.segments.seal(number, false, message))
    }

    /// The last segment.
    pub fn finish(self) -> Bytes {
        self.segments.seal(self.number, true, self.message)
    }
}

/// The beginning of reading: says which segments tell the name and the length.
#[derive(Debug)]
pub struct Probe {
    segments: Segments,
    layout: Layout,
    meta_length: u32,
}

impl Probe {
    /// Begins with an object's first bytes and its whole length.
    ///
    /// # Errors
    /// [`SealError`] where no object can have these.
    pub fn new(key: &Key, header: &[u8; HEADER], object: u64) -> Result<Self, SealError> {
        let mut rest = &header[..];
        if !rest.starts_with(MAGIC) {
            return Err(SealError::Header("not in segments".into()));
        }
        rest.advance(MAGIC.len());
        let version = rest.get_u8();
        if version != VERSION {
            return Err(SealError::Header(format!("version {version} is not known")));
        }
        rest.advance(SALT);
        let layout = Layout::new(rest.get_u32(), object)?;
        let meta_length = rest.get_u32();
        let most = layout.message_range(0).end.min(MAX_META as u64);
        if u64::from(meta_length) > most {
            return Err(SealError::MetaLength {
                bytes: meta_length,
                most,
            });
        }
        Ok(Self {
            segments: Segments::new(key, header),
            layout,
            meta_length,
        })
    }

    /// Where the first segment is in the object.
    pub fn first(&self) -> Range<u64> {
        self.layout.object_range(0)
    }

    /// Where the last segment is in the object; it may be the first one.
    pub fn last(&self) -> Range<u64> {
        self.layout.object_range(self.layout.count() - 1)
    }

    /// Opens both ends; the object's name and length are authentic then.
    ///
    /// # Errors
    /// [`SealError::Refused`] for another secret and changed or missing bytes; [`SealError::Meta`] if what was
    /// sealed has no metadata.
    pub fn finish(self, first: &[u8], last: &[u8]) -> Result<SegmentReader, SealError> {
        let final_number = self.layout.count() - 1;
        self.segments.open(final_number, true, last.into())?;
        let message = self.segments.open(0, final_number == 0, first.into())?;
        let meta = message
            .get(..self.meta_length as usize)
            .ok_or(SealError::Refused)?;
        Ok(SegmentReader {
            filename: name::from_meta(meta)?,
            size: self.layout.message() - u64::from(self.meta_length),
            segments: self.segments,
            layout: self.layout,
            meta_length: self.meta_length.into(),
        })
    }
}

/// An object whose ends were found authentic. Each segment is checked when it is opened.
#[derive(Debug, Clone)]
pub struct SegmentReader {
    filename: String,
    size: u64,
    segments: Segments,
    layout: Layout,
    meta_length: u64,
}

impl SegmentReader {
    /// The file's name.
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// Length of the content, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The segments that hold a part of the content. The part is cut at the content's end.
    pub fn segments(&self, content: Range<u64>) -> Range<u32> {
        let end = content.end.min(self.size);
        if content.start >= end {
            return 0..0;
        }
        let segment_of = |at| self.layout.segment_of(self.meta_length + at);
        segment_of(content.start)..segment_of(end - 1) + 1
    }

    /// Where a segment of [`SegmentReader::segments`] is in the object.
    pub fn object_range(&self, segment: u32) -> Range<u64> {
        self.layout.object_range(segment)
    }

    /// Opens a segment and gives what it holds of a part of the content.
    ///
    /// # Errors
    /// [`SealError::Refused`] if these are not this segment's bytes.
    pub fn open(&self, segment: u32, sealed: BytesMut, content: &Range<u64>) -> Result<Bytes, SealError> {
        if segment >= self.layout.count() {
            return Err(SealError::Refused);
        }
        let last = segment + 1 == self.layout.count();
        let message = self.segments.open(segment, last, sealed)?.freeze();
        let place = self.layout.message_range(segment);
        if message.len() as u64 != place.end - place.start {
            return Err(SealError::Refused);
        }
        let end = content.end.min(self.size);
        let inside = |at: u64| (self.meta_length + at).clamp(place.start, place.end) - place.start;
        let (from, to) = (inside(content.start.min(end)), inside(end));
        let index = |at: u64| usize::try_from(at).expect("within a segment");
        Ok(message.slice(index(from)..index(to)))
    }
}

#[cfg(test)]
mod tests;
