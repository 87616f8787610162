//! Keys of sealed objects.

use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// The secret of objects that were added without one: they are no secret to anybody who knows their name.
pub const DEFAULT_SECRET: &str = "ratio1";

/// The key of an object: the sha2-256 of its secret's UTF-8 bytes, as upstream makes it. Wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// The key of a secret; no secret and the empty one stand for [`DEFAULT_SECRET`].
    pub fn of_secret(secret: Option<&str>) -> Self {
        let secret = secret
            .filter(|secret| !secret.is_empty())
            .unwrap_or(DEFAULT_SECRET);
        let mut digest = Sha256::digest(secret.as_bytes());
        let key = Self(Zeroizing::new(digest.into()));
        digest.zeroize();
        key
    }

    /// Room for a key that is derived.
    pub(super) fn zero() -> Self {
        Self(Zeroizing::new([0; 32]))
    }

    /// Where a derived key is written.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_the_default_secret() {
        let default = Key::of_secret(Some(DEFAULT_SECRET));
        assert_eq!(Key::of_secret(None).bytes(), default.bytes());
        assert_eq!(Key::of_secret(Some("")).bytes(), default.bytes());
        assert_ne!(Key::of_secret(Some("x")).bytes(), default.bytes());
        assert!(!format!("{default:?}").contains("ratio1"));
    }
}
