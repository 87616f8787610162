//! Node and EVM addresses, both computed from one secp256k1 public key.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

/// The prefix of a node address.
const PREFIX: &str = "0xai_";
/// The prefix older networks used; accepted on input, never printed.
const LEGACY_PREFIX: &str = "aixp_";

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text of a node address is not a prefix and 44 characters of URL-safe base64.
    #[error("node address {0:?} is not 0xai_ and 44 characters of url-safe base64")]
    Node(String),
    /// The text of an EVM address is not `0x` and 40 hexadecimal digits.
    #[error("evm address {0:?} is not 0x and 40 hexadecimal digits")]
    Eth(String),
}

/// A node's name: `0xai_` and the URL-safe base64 of its 33-byte compressed secp256k1 point.
///
/// Construction checks the length and the parity byte only; that the point lies on the curve is checked by
/// `r1-identity` where a key is made of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress([u8; 33]);

impl NodeAddress {
    /// The address of a compressed public key (parity byte 2 or 3, then X), or `None` for another parity byte.
    pub fn from_compressed(point: [u8; 33]) -> Option<Self> {
        matches!(point[0], 2 | 3).then_some(Self(point))
    }

    /// The 33-byte compressed public key.
    pub fn as_compressed(&self) -> &[u8; 33] {
        &self.0
    }

    /// The 44 characters behind the prefix: the form that upstream's maps use as a key.
    pub fn without_prefix(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.without_prefix())
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || AddressError::Node(text.chars().take(64).collect());
        let body = text
            .strip_prefix(PREFIX)
            .or_else(|| text.strip_prefix(LEGACY_PREFIX))
            .ok_or_else(refuse)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| refuse())?;
        let point = <[u8; 33]>::try_from(bytes).map_err(|_| refuse())?;
        Self::from_compressed(point).ok_or_else(refuse)
    }
}

/// An EVM address: the last 20 bytes of keccak256 of the uncompressed point; shown with its EIP-55 checksum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EthAddress([u8; 20]);

impl EthAddress {
    /// An address of its 20 bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The address of an uncompressed point without its 0x04 prefix (X then Y, 64 bytes).
    pub fn from_uncompressed(xy: &[u8; 64]) -> Self {
        let digest = Keccak256::digest(xy);
        let mut out = [0; 20];
        out.copy_from_slice(&digest[12..]);
        Self(out)
    }

    /// The 20 bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for EthAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = hex::encode(self.0);
        let digest = Keccak256::digest(lower.as_bytes());
        f.write_str("0x")?;
        for (index, character) in lower.chars().enumerate() {
            let nibble = digest[index / 2] >> (if index % 2 == 0 { 4 } else { 0 }) & 0xf;
            write!(
                f,
                "{}",
                if nibble >= 8 {
                    character.to_ascii_uppercase()
                } else {
                    character
                }
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for EthAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EthAddress {
    type Err = AddressError;

    /// Parses `0x` and 40 hexadecimal digits of any case; the checksum is not demanded.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || AddressError::Eth(text.chars().take(64).collect());
        let digits = text.strip_prefix("0x").ok_or_else(refuse)?;
        let bytes = hex::decode(digits).map_err(|_| refuse())?;
        <[u8; 20]>::try_from(bytes).map(Self).map_err(|_| refuse())
    }
}

/// Text where people read it (JSON, TOML), bytes where machines do (postcard).
macro_rules! serde_as_text_or_bytes {
    ($type:ty, $bytes:ty, $to_bytes:expr, $from_bytes:expr) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                let to_bytes: fn(&$type) -> $bytes = $to_bytes;
                to_bytes(self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    return text.parse().map_err(serde::de::Error::custom);
                }
                let from_bytes: fn($bytes) -> Option<$type> = $from_bytes;
                from_bytes(<$bytes>::deserialize(deserializer)?)
                    .ok_or_else(|| serde::de::Error::custom("a compressed point begins with 2 or 3"))
            }
        }
    };
}

serde_as_text_or_bytes!(
    NodeAddress,
    (u8, [u8; 32]),
    |address| {
        let mut x = [0; 32];
        x.copy_from_slice(&address.0[1..]);
        (address.0[0], x)
    },
    |(parity, x)| {
        let mut point = [parity; 33];
        point[1..].copy_from_slice(&x);
        NodeAddress::from_compressed(point)
    }
);
serde_as_text_or_bytes!(EthAddress, [u8; 20], |address| address.0, |bytes| Some(
    EthAddress(bytes)
));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_address_survives_a_round_trip_and_the_legacy_prefix() {
        let text = "0xai_AjcIThkOqrPlp35-S8czHUOV-y4mnhksnLs8NGjTbmty";
        let address: NodeAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(
            text.replace("0xai_", "aixp_").parse::<NodeAddress>().unwrap(),
            address
        );
    }

    #[test]
    fn what_is_not_an_address_is_refused_by_name() {
        for text in [
            "",
            "0xai_",
            "0xai_AAAA",
            "0xai_/////////////////////////////////////////////",
        ] {
            let error = text.parse::<NodeAddress>().unwrap_err();
            assert!(error.to_string().contains("node address"), "{error}");
        }
        assert!("0x12".parse::<EthAddress>().is_err());
    }

    #[test]
    fn an_evm_address_shows_its_checksum() {
        let address: EthAddress = "0x13dc6ee23d45d1e4bf0bdbdf58bfdf24bb077e69".parse().unwrap();
        assert_eq!(address.to_string(), "0x13Dc6Ee23D45D1e4bF0BDBDf58BFdF24bB077e69");
    }
}
