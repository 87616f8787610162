//! Sealed objects: what is stored of a file is encrypted and authenticated, so that any peer can hold it.
//!
//! Two forms exist, told apart by their first 12 bytes ([`Form::of`]): [`gcm`], upstream's, one AES-256-GCM message
//! of the whole file; and [`segments`], ours for large files, of which any part can be opened by itself.
//! [`nonce`] makes objects reproducible, [`name`] holds the file's name that each object carries.
//!
//! Everything here is pure: bytes in, bytes out, memory bounded by one piece or segment.

pub mod error;
pub mod gcm;
pub mod key;
pub mod name;
pub mod nonce;
pub mod segments;

pub use error::SealError;
pub use key::Key;

/// How an object is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One message: [`gcm`].
    Whole,
    /// In segments: [`segments`].
    Segments,
}

impl Form {
    /// The form of an object with these first bytes. A version of the segments that is not known counts as
    /// segments, so that reading it names the version.
    pub fn of(first: &[u8; gcm::NONCE]) -> Self {
        if first.starts_with(segments::MAGIC) {
            Self::Segments
        } else {
            Self::Whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_told_apart() {
        let (_, header) = segments::SegmentSealer::new(&Key::of_secret(None), &[0; 32], "a").unwrap();
        assert_eq!(Form::of(header.first_chunk().unwrap()), Form::Segments);
        let (_, header) = gcm::Sealer::new(&Key::of_secret(None), [0x89; 12], "a").unwrap();
        assert_eq!(Form::of(header.first_chunk().unwrap()), Form::Whole);
    }
}
