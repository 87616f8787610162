//! Which node belongs to which licence.

use std::fmt;

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
