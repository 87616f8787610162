//! The ledger's rules as a pure state machine: no I/O, no floats, no clock.
//!
//! A block is applied in two steps: [`State::close_epoch`] credits the availability that the oracles agreed on,
//! [`State::apply`] executes one signed transaction. Both either change the state completely or refuse and leave
//! it as it was. Equal inputs give an equal [`State::hash`].
//!
//! These are the first rooms: node-deed (ND) licences, linking, Proof-of-Availability credit and claim. Master
//! node deeds, sales, escrow and burn join them as modules beside [`licence`](Licence) and [`reward`].

pub mod adoption;
pub mod availability;
pub mod bank;
pub mod controller;
pub mod deeds;
pub mod fixed;
mod licence;
mod links;
pub mod merkle;
pub mod message;
pub mod mnd;
mod network;
mod params;
pub mod poai;
pub mod pool;
pub mod release;
pub mod reward;
pub mod sale;
mod signature;
mod state;
pub mod table;
mod transaction;

pub use licence::Licence;
pub use links::{LicenceRef, Links, Moment};
pub use network::{
    AdoptionParams, Allocation, JobParams, JobPrice, MndParams, Mode, NdParams, NetworkParams, ParamsError,
    Tier,
};
pub use params::Params;
pub use signature::{SIGNATURE_BYTES, sign_digest};
pub use state::{
    BlockContext, LicenceView, Receipt, Refusal, State,
    roots::{RecordProof, RestoreError, Roots, StoredRecord},
};
pub use transaction::{
    Action, DecodeError, MAX_TRANSACTION_BYTES, Signature, SignedTransaction, Transaction, link_consent,
};
