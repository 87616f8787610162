//! What the agreement needs of the application that builds and applies payloads.

use crate::block::DecidedBlock;

/// Why the application refuses something: one line that names the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

/// Builds, judges and applies payloads. Every method is called from the agreement's own thread, one at a time,
/// and must return in milliseconds: votes wait for it.
pub trait Application: Send + 'static {
    /// The last height that [`Application::apply`] has made durable. Later decided blocks are applied again when
    /// the agreement starts.
    fn applied(&self) -> u64;

    /// True if there is something to decide at this height now. Asked after each [`crate::Handle::hint_work`] and
    /// once per [`crate::Timing::poll`] while nothing is being decided.
    fn has_work(&mut self, height: u64, now_ms: u64) -> bool {
        self.propose(height, now_ms).is_some()
    }

    /// The payload to propose at this height, at most [`crate::MAX_BLOCK_BYTES`]; `None` if there is nothing to
    /// decide. `now_ms` is milliseconds since 1970-01-01 UTC.
    fn propose(&mut self, height: u64, now_ms: u64) -> Option<Vec<u8>>;

    /// Judges a payload at a height. Must depend only on the decided blocks before it, on the payload and on
    /// `now_ms`. A payload with nothing to decide, or whose epoch is still open at `now_ms`, must be refused.
    /// `now_ms` is `None` for a payload that more than two thirds have decided already: rules that depend on the
    /// clock do not apply to it.
    ///
    /// # Errors
    /// Why the payload is invalid.
    fn validate(&mut self, height: u64, payload: &[u8], now_ms: Option<u64>) -> Result<(), Refusal>;

    /// Applies a decided block; it is already durable in the store. `decide_ms` is how long the decision took
    /// here, `None` for a block that was replayed at the start or fetched from a peer.
    ///
    /// # Errors
    /// Any error ends the agreement: this node can no longer follow it.
    fn apply(&mut self, block: &DecidedBlock, decide_ms: Option<u64>) -> Result<(), Refusal>;
}
