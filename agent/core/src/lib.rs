//! Pure data that every room of r1-agent shares: addresses, epochs, genesis and the on-disk records of
//! containers. No I/O, no clock, no randomness.

mod address;
mod container;
mod epoch;
mod genesis;

pub use address::{AddressError, EthAddress, NodeAddress};
pub use alloy_primitives::U256;
pub use container::{ContainerStatus, ExitRecord, ShimReply, ShimRequest, ShimState};
pub use epoch::{EpochClock, EpochError};
pub use genesis::{Genesis, GenesisError, GenesisLicence, GenesisOracle};
