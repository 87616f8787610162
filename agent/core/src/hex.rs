//! Bytes as people and JSON documents write them: `0x` and two small hexadecimal digits for each.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that are shown and read as `0x…`. `T` is a vector or an array of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hex<T>(pub T);

/// Why a text is not bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// It does not begin with `0x`, or has an odd number of digits or other characters.
    #[error("not 0x and pairs of hexadecimal digits")]
    Digits,
    /// It is not as long as what is expected.
    #[error("{0} bytes, which is not the length expected")]
    Length(usize),
}

impl<T: AsRef<[u8]>> fmt::Display for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl<T: TryFrom<Vec<u8>>> FromStr for Hex<T> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let digits = text.strip_prefix("0x").ok_or(HexError::Digits)?;
        let bytes = hex::decode(digits).map_err(|_| HexError::Digits)?;
        let len = bytes.len();
        T::try_from(bytes).map(Self).map_err(|_| HexError::Length(len))
    }
}

impl<T: AsRef<[u8]>> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: TryFrom<Vec<u8>>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Serde of bytes in a record: text as of [`Hex`] where people read it, bytes with their length where machines do. Use as
/// `#[serde(with = "r1_core::hex_text")]`.
pub mod hex_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Hex;

    /// Writes the bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: AsRef<[u8]>, S: Serializer>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Hex(bytes.as_ref()).serialize(serializer)
        } else {
            serializer.serialize_bytes(bytes.as_ref())
        }
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the deserializer, texts that [`Hex`] refuses, and a number of bytes that `T` does not take.
    pub fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        if deserializer.is_human_readable() {
            return Hex::deserialize(deserializer).map(|Hex(bytes)| bytes);
        }
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        let length = bytes.len();
        T::try_from(bytes).map_err(|_| de::Error::custom(super::HexError::Length(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back_and_nothing_else_is_read() {
        for bytes in [vec![], vec![0], vec![1, 0xab, 0xff]] {
            let text = Hex(&bytes).to_string();
            assert_eq!(text.parse(), Ok(Hex(bytes.clone())));
            let json = serde_json::to_string(&Hex(&bytes)).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Hex<Vec<u8>>>(&json).unwrap(), Hex(bytes));
        }
        for bad in ["", "00", "0x0", "0xzz", "0x 00"] {
            assert_eq!(bad.parse::<Hex<Vec<u8>>>(), Err(HexError::Digits), "{bad}");
        }
        assert_eq!("0x0102".parse(), Ok(Hex([1u8, 2])));
        assert_eq!("0x01".parse::<Hex<[u8; 2]>>(), Err(HexError::Length(1)));
    }
}
