//! Documents that prove one record of the ledger: a node makes them, anybody who has the genesis checks them without a
//! network.
//!
//! A [`Document`] is a decided block with its certificate, and the way from a record of the state to the root of the state
//! that the block names. [`Document::verify`] says what is [`Proven`], or the first thing that is wrong.

mod check;
mod document;
mod prove;
mod subject;

pub use check::{Fact, ProofError, Proven};
pub use document::{Document, Evidence, FORMAT};
pub use prove::Missing;
pub use subject::Subject;
