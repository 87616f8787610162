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

pub use error::SealError;
pub use key::Key;
