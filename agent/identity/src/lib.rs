//! Secp256k1 keys, signed envelopes and encryption of a Ratio1 node, byte-compatible with the published SDKs.
//!
//! [`NodeKey`] is the one secret of a node; [`PublicKey`] is what a [`NodeAddress`](r1_core::NodeAddress) names.
//! [`envelope`] signs and verifies JSON messages, [`encryption`] seals text for one or many nodes, and
//! [`NodeKey::sign_digest`] and [`NodeKey::sign_personal`] sign what the agreement and the ledger need.
//!
//! Nothing here prints a secret: `Debug` shows the address only, secret bytes are zeroed when dropped.

pub mod encryption;
pub mod envelope;
mod key;
mod key_file;
mod personal;
mod public;
mod token;

pub use key::{KeyError, NodeKey};
pub use key_file::KeyFileError;
pub use personal::{PERSONAL_SIGNATURE_BYTES, personal_digest, recover_personal};
pub use public::{DIGEST_SIGNATURE_BYTES, PublicKey, SignatureError};
pub use token::r1_token;
