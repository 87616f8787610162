//! Which node belongs to which licence.

use std::{fmt, str::FromStr};

use r1_core::EthAddress;
use serde::{Deserialize, Serialize};

use crate::table::Table;

/// A licence of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LicenceRef {
    /// A node deed (ND).
    Nd(u64),
    /// A master node deed (MND); number 1 is the genesis node deed (GND).
    Mnd(u64),
}

impl fmt::Display for LicenceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nd(id) => write!(f, "ND {id}"),
            Self::Mnd(1) => f.write_str("GND"),
            Self::Mnd(id) => write!(f, "MND {id}"),
        }
    }
}

/// The text names no licence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("licence {0:?} is neither a number (ND), nor nd-NUMBER, mnd-NUMBER or gnd")]
pub struct LicenceRefError(String);

impl FromStr for LicenceRef {
    type Err = LicenceRefError;

    /// Reads `7` and `nd-7` (ND), `mnd-2` and `gnd` (MND 1); case and a blank instead of the dash do not matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || LicenceRefError(text.chars().take(40).collect());
        let lower = text.trim().to_ascii_lowercase().replace(' ', "-");
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| refuse());
        match lower.split_once('-') {
            Some(("nd", digits)) => number(digits).map(Self::Nd),
            Some(("mnd", digits)) => number(digits).map(Self::Mnd),
            None if lower == "gnd" => Ok(Self::Mnd(1)),
            _ => number(&lower).map(Self::Nd),
        }
    }
}

impl LicenceRef {
    /// The name that commands and calls take: `nd-7`, `mnd-2`, `gnd`.
    pub fn handle(&self) -> String {
        match self {
            Self::Nd(id) => format!("nd-{id}"),
            Self::Mnd(1) => "gnd".to_owned(),
            Self::Mnd(id) => format!("mnd-{id}"),
        }
    }

    /// Its number among those of its kind.
    pub fn number(&self) -> u64 {
        match self {
            Self::Nd(id) | Self::Mnd(id) => *id,
        }
    }
}

impl From<u64> for LicenceRef {
    /// A bare number is a node deed.
    fn from(id: u64) -> Self {
        Self::Nd(id)
    }
}

/// The linked nodes: a node belongs to one licence, of one kind.
pub type Links = Table<EthAddress, LicenceRef>;

/// When something happens: from the agreed block, never from a local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// ms since 1970-01-01 UTC.
    pub timestamp_ms: u64,
    /// The epoch that contains it.
    pub epoch: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_named_by_its_kind_and_number() {
        for (text, licence) in [
            ("7", LicenceRef::Nd(7)),
            ("nd-7", LicenceRef::Nd(7)),
            ("MND 2", LicenceRef::Mnd(2)),
            ("gnd", LicenceRef::Mnd(1)),
        ] {
            assert_eq!(text.parse(), Ok(licence));
            assert_eq!(licence.to_string().parse(), Ok(licence));
            assert_eq!(licence.handle().parse(), Ok(licence));
        }
        for bad in ["", "-1", "xnd-1", "nd-", "mnd"] {
            assert!(bad.parse::<LicenceRef>().is_err(), "{bad}");
        }
    }
}
