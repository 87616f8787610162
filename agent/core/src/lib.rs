//! Pure data that every room of r1-agent shares: addresses, amounts, canonical JSON, epochs, genesis and the
//! on-disk records of containers. No I/O, no clock, no randomness.

mod address;
mod amount;
mod canonical;
mod container;
mod epoch;
mod genesis;
mod hex;

pub use self::hex::{Hex, HexError, hex_text};
pub use address::{AddressError, EthAddress, NodeAddress};
pub use alloy_primitives::{U256, U512};
pub use amount::{AmountError, format_r1, parse_wei, wei};
pub use canonical::{
    CanonicalError, CanonicalLimits, FloatForm, canonical_json, canonical_value, python_float,
};
pub use container::{ContainerStatus, ExitRecord, ShimReply, ShimRequest, ShimState};
pub use epoch::{EpochClock, EpochError};
pub use genesis::{Genesis, GenesisError, GenesisLicence, GenesisOracle};
