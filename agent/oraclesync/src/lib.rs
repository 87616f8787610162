//! BFT agreement of the oracles: blocks, certificates, light client.
//!
//! The pure parts need no engine: [`Block`], [`SignedTable`] and [`Certificate`] with their bounded encodings, the
//! [`median`] of an epoch, [`Follower`] for those who only follow, [`StateProof`] for those who want to know one thing. The feature `engine` (on unless it is turned off) adds
//! the rest: `spawn` runs the agreement itself over an `Application` that builds and applies the payloads, and a `Store`
//! keeps what was decided. Without it nothing but hashing, signatures and encodings is linked.

#[cfg(feature = "engine")]
mod application;
mod block;
mod certificate;
mod digest;
#[cfg(feature = "engine")]
mod engine;
mod key;
mod light;
mod median;
#[cfg(feature = "engine")]
mod metrics;
#[cfg(feature = "engine")]
mod pacing;
mod state_proof;
#[cfg(feature = "engine")]
mod store;
mod table;
mod wire;

#[cfg(feature = "engine")]
pub use application::{Application, Refusal};
pub use block::{Block, BlockError, DecidedBlock, EpochClose, Tip};
pub use certificate::{Certificate, CertificateError, Oracle, ValidatorSet};
pub use digest::{Domain, Hash, keccak, network_hash};
#[cfg(feature = "engine")]
pub use engine::{Config, Decided, EngineError, Handle, Timing, spawn};
pub use key::{KeyError, OracleKey, Signature, verify};
pub use light::{Follower, LightError};
pub use median::{Outcome, is_quorum, median};
#[cfg(feature = "engine")]
pub use metrics::Metrics;
pub use state_proof::{StateProof, StateProofError};
#[cfg(feature = "engine")]
pub use store::{MAX_DECIDED_BYTES_PER_ANSWER, MAX_DECIDED_PER_ANSWER, Store, StoreError};
pub use table::{SignedTable, TableBody};
pub use wire::{
    DecodeError, MAX_BLOCK_BYTES, MAX_DECIDED_BYTES, MAX_ORACLES, MAX_TABLE_BYTES, MAX_TABLE_NODES,
    MAX_TX_BYTES, MAX_TXS, VERSION,
};
