//! The ledger's rules as a pure state machine: no I/O, no floats, no clock.
//!
//! A block is applied in two steps: [`State::close_epoch`] credits the availability that the oracles agreed on,
//! [`State::apply`] executes one signed transaction. Both either change the state completely or refuse and leave
//! it as it was. Equal inputs give an equal [`State::root`].
//!
//! The rules live in rooms, each with its own refusals: [`bank`] (balances, mint, burn), [`deeds`] (ND), [`mnd`] (MND and
//! GND) with [`release`] and [`adoption`], [`sale`], [`pool`], [`poai`] (jobs and their escrows), [`controller`] and
//! [`message`] (oracles' signatures), [`gratitude`] (burns with attribution). [`State`] holds them together, and
//! [`NetworkParams`] every constant. [`Mode::Compat`] follows the contracts bit by bit, [`Mode::Strict`] mends their
//! measured flaws.

mod action;
pub mod adoption;
pub mod availability;
pub mod bank;
pub mod controller;
pub mod deeds;
pub mod fixed;
pub mod gratitude;
mod links;
pub mod merkle;
pub mod message;
pub mod mnd;
mod network;
pub mod poai;
pub mod pool;
pub mod release;
pub mod reward;
pub mod sale;
mod signature;
pub mod simulate;
mod state;
pub mod table;
mod transaction;

pub use action::{Action, LinkMany, OwnerAction, Purchase, SignedClaim};
pub use links::{LicenceRef, LicenceRefError, Links, Moment};
pub use network::{
    AdoptionParams, Allocation, JobParams, JobPrice, MndParams, Mode, NdParams, NetworkParams, ParamsError,
    Tier,
};
pub use signature::{SIGNATURE_BYTES, sign_digest};
pub use state::{
    BlockContext, Effect, EpochClosed, EpochSummary, GenesisRefusal, Receipt, Refusal, RewardExplanation,
    State,
    audit::Broken,
    roots::{RecordProof, RestoreError, Roots, StoredRecord},
    views::{EconomyView, LicenceView, WalletView, kind},
};
pub use transaction::{
    DecodeError, MAX_TRANSACTION_BYTES, Signature, SignedTransaction, Transaction, link_consent,
};
