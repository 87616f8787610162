//! Limits and figures of a keeper.

use crate::durability::{message::MAX_ROOTS, record::MAX_FACTOR};

/// Limits and times of a keeper; times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long a local add waits for its copies.
    pub ack_timeout_ms: u64,
    /// How often every object is checked.
    pub check_interval_ms: u64,
    /// How soon an object is checked again whose missing share is for another to make; a quarter of it while a local add
    /// waits.
    pub recheck_ms: u64,
    /// A member that did not announce itself for so long is lost.
    pub member_timeout_ms: u64,
    /// How long a question waits for its answer.
    pub ask_timeout_ms: u64,
    /// How long the answer to a store request waits for the share to be here.
    pub reply_wait_ms: u64,
    /// How soon a member that is fetching is asked again.
    pub poll_ms: u64,
    /// A member that is fetching and has not moved for so long is given up.
    pub stall_ms: u64,
    /// How long a node that said that it has an object drops nothing of it. More than `ask_timeout_ms`.
    pub promise_ms: u64,
    /// How long tombstones are kept.
    pub tombstone_ms: u64,
    /// Most tombstones; the oldest are forgotten first.
    pub max_tombstones: usize,
    /// Checks begun in one tick.
    pub checks_per_tick: usize,
    /// Checks under way.
    pub max_checks: usize,
    /// Objects in one question, at most 4096.
    pub question_roots: usize,
    /// Questions to one member under way.
    pub asks_per_member: usize,
    /// Local adds that wait.
    pub max_adds: usize,
    /// Shares that are fetched for others at a time.
    pub max_fetches: usize,
    /// Members asked about an object beyond those that should hold it.
    pub ask_width: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ack_timeout_ms: 30_000,
            check_interval_ms: 60_000,
            recheck_ms: 10_000,
            member_timeout_ms: 15_000,
            ask_timeout_ms: 10_000,
            reply_wait_ms: 5_000,
            poll_ms: 1_000,
            stall_ms: 60_000,
            promise_ms: 12_000,
            tombstone_ms: 30 * 24 * 3_600_000,
            max_tombstones: 200_000,
            checks_per_tick: 2_048,
            max_checks: 16_384,
            question_roots: 1_024,
            asks_per_member: 8,
            max_adds: 1_024,
            max_fetches: 256,
            ask_width: 8,
        }
    }
}

impl Config {
    /// Objects in one question, within what a message takes.
    pub(super) fn question_roots(&self) -> usize {
        self.question_roots.clamp(1, MAX_ROOTS)
    }

    /// Questions to one member that may wait; what comes after is dropped and asked at a later check.
    pub(super) fn max_waiting(&self) -> usize {
        (self.max_checks + self.max_adds).saturating_mul(usize::from(MAX_FACTOR))
    }
}

/// What a keeper has and has done, for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Members known, this node not included.
    pub members: usize,
    /// Objects of which something is held here.
    pub roots: usize,
    /// Objects being checked or repaired.
    pub checks: usize,
    /// Local adds that wait.
    pub adds: usize,
    /// Shares being fetched.
    pub fetches: usize,
    /// Tombstones remembered.
    pub tombstones: usize,
    /// Objects of which something was missing at the last check.
    pub left: usize,
    /// Objects with fewer holders than shares at the last check, for want of members or of answers.
    pub short: usize,
    /// Requests sent.
    pub asked: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// Shares that other members took from here.
    pub placed: u64,
    /// Surplus shares dropped.
    pub dropped: u64,
    /// Store requests refused.
    pub refused: u64,
}
