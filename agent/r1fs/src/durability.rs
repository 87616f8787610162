//! Who keeps copies of an object, and what the members say to each other about it. Decisions only: no I/O, no clock.
//!
//! [`placement`] ranks the members for an object; [`message`] is what they send; [`Record`] and [`Tombstone`] are
//! what they remember; [`erasure`] makes and rebuilds pieces; [`keeper`] is the core of one node.

pub mod erasure;
pub mod keeper;
pub mod message;
pub mod placement;
mod record;
mod wire;

pub use erasure::{ErasureError, Manifest};
pub use keeper::{Cause, Config, Effect, Figures, Input, Keeper, Safety};
pub use message::{Answer, Holding, MessageError, Request};
pub use placement::{Member, choose, rank};
pub use record::{MAX_FACTOR, MAX_PIECES, Record, RecordError, Scheme, Tombstone, TombstoneError};
