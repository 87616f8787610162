//! Upstream's form: the whole file is one AES-256-GCM message.
//!
//! `nonce (12) ‖ metadata length (u32, big-endian) ‖ ciphertext of [metadata ‖ content] ‖ tag (16)`, without
//! additional data. The length of the metadata is therefore not authenticated; [`super::name`] says why a changed
//! one is found nevertheless.
//!
//! The tag stands behind the last byte, and no byte is given out before it was compared: an object is read twice,
//! by a [`TagCheck`] and then, any part of it, by the [`Opener`] that the check gives. Memory is that of the caller's
//! pieces. The two passes must see the same bytes; content addressing sees to that.

pub(super) mod stream;

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};

use self::stream::Stream;
use super::{
    Key, SealError,
    name::{self, MAX_META},
};

/// The 12 bytes that make messages under the same key differ. Never the same for two contents under one secret.
pub type Nonce = [u8; 12];
/// The 16 bytes that authenticate a message.
pub type Tag = [u8; TAG];

/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 16;
/// Bytes before the ciphertext.
pub const HEADER: usize = NONCE + 4;
/// Most bytes of one message: where GCM's 32-bit counter ends (NIST SP 800-38D), 64 GiB - 32.
pub const MAX_MESSAGE: u64 = (1 << 36) - 32;

/// Seals a content that comes in pieces.
pub struct Sealer {
    stream: Stream,
    sealed: u64,
}

impl Sealer {
    /// Begins an object. The second value are its first bytes; the sealed pieces and the tag follow.
    ///
    /// # Errors
    /// [`SealError::Name`] for a name that no file can have.
    pub fn new(key: &Key, nonce: Nonce, filename: &str) -> Result<(Self, Bytes), SealError> {
        let meta = name::to_meta(filename)?;
        let mut header = BytesMut::with_capacity(HEADER + meta.len());
        header.put_slice(&nonce);
        header.put_u32(u32::try_from(meta.len()).expect("a file name is short"));
        header.put_slice(meta.as_bytes());
        let mut stream = Stream::new(key, nonce);
        stream.encrypt(&mut header[HEADER..]);
        let sealed = meta.len() as u64;
        Ok((Self { stream, sealed }, header.freeze()))
    }

    /// Encrypts the next piece in place. Pieces may have any length; the object does not depend on it.
    ///
    /// # Errors
    /// [`SealError::TooLong`] if the message exceeds [`MAX_MESSAGE`]; the piece is left as it is.
    pub fn update(&mut self, piece: &mut [u8]) -> Result<(), SealError> {
        self.sealed = grown(self.sealed, piece.len())?;
        self.stream.encrypt(piece);
        Ok(())
    }

    /// Ends the object: its last bytes.
    pub fn finish(self) -> Tag {
        self.stream.tag(self.sealed)
    }
}

fn grown(length: u64, by: usize) -> Result<u64, SealError> {
    Some(length + by as u64)
        .filter(|length| *length <= MAX_MESSAGE)
        .ok_or(SealError::TooLong { most: MAX_MESSAGE })
}

/// The first pass over an object: is it what somebody with the secret sealed?
pub struct TagCheck {
    stream: Stream,
    key: Key,
    nonce: Nonce,
    /// Length of metadata and content together.
    message: u64,
    seen: u64,
    meta_length: u32,
    /// Ciphertext of the metadata, as far as it came.
    meta: BytesMut,
    tag: Vec<u8>,
}

impl TagCheck {
    /// Begins with an object's first bytes and its whole length.
    ///
    /// # Errors
    /// [`SealError`] where no object can have these.
    pub fn new(key: &Key, header: &[u8; HEADER], object: u64) -> Result<Self, SealError> {
        let least = (HEADER + TAG) as u64;
        let message = object
            .checked_sub(least)
            .ok_or(SealError::TooShort { bytes: object, least })?;
        if message > MAX_MESSAGE {
            let most = MAX_MESSAGE + least;
            return Err(SealError::TooLong { most });
        }
        let (nonce, length) = header.split_at(NONCE);
        let nonce = nonce.try_into().expect("split there");
        let meta_length = u32::from_be_bytes(length.try_into().expect("split there"));
        let most = message.min(MAX_META as u64);
        if u64::from(meta_length) > most {
            return Err(SealError::MetaLength {
                bytes: meta_length,
                most,
            });
        }
        Ok(Self {
            stream: Stream::new(key, nonce),
            key: key.clone(),
            nonce,
            message,
            seen: 0,
            meta_length,
            meta: BytesMut::new(),
            tag: Vec::with_capacity(TAG),
        })
    }

    /// Takes the object's next bytes, the ones behind the header first.
    ///
    /// # Errors
    /// [`SealError::Refused`] if there are more than were announced.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), SealError> {
        let left = usize::try_from(self.message - self.seen).unwrap_or(usize::MAX);
        let (body, tag) = piece.split_at(left.min(piece.len()));
        if self.tag.len() + tag.len() > TAG {
            return Err(SealError::Refused);
        }
        self.stream.hash(body);
        self.tag.extend_from_slice(tag);
        let missing = self.meta_length as usize - self.meta.len();
        self.meta.extend_from_slice(&body[..missing.min(body.len())]);
        self.seen += body.len() as u64;
        Ok(())
    }

    /// Compares the tags, in constant time.
    ///
    /// # Errors
    /// [`SealError::Refused`] for another secret, changed bytes, and bytes that are missing;
    /// [`SealError::Meta`] if what was sealed has no metadata.
    pub fn finish(mut self) -> Result<Opener, SealError> {
        if self.seen != self.message || !self.stream.accepts(self.message, &self.tag) {
            return Err(SealError::Refused);
        }
        stream::decrypt(&self.key, self.nonce, 0, &mut self.meta);
        Ok(Opener {
            filename: name::from_meta(&self.meta)?,
            key: self.key,
            nonce: self.nonce,
            meta_length: self.meta_length,
            size: self.message - u64::from(self.meta_length),
        })
    }
}

/// An object that was found authentic: any part of it can be decrypted.
#[derive(Debug, Clone)]
pub struct Opener {
    filename: String,
    key: Key,
    nonce: Nonce,
    meta_length: u32,
    size: u64,
}

impl Opener {
    /// The file's name.
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// Length of the content, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The object's bytes that hold a part of the content. The part is cut at the content's end.
    pub fn object_range(&self, content: Range<u64>) -> Range<u64> {
        let before = HEADER as u64 + u64::from(self.meta_length);
        let end = content.end.min(self.size);
        before + content.start.min(end)..before + end
    }

    /// Decrypts in place bytes that begin `at` bytes behind the content's beginning.
    pub fn decrypt(&self, at: u64, piece: &mut [u8]) {
        stream::decrypt(&self.key, self.nonce, u64::from(self.meta_length) + at, piece);
    }
}

#[cfg(test)]
mod tests;
