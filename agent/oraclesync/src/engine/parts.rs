//! Proposal parts: what the engine does not authenticate is authenticated here.

use arc_malachitebft_app_channel::app::{
    engine::util::streaming::StreamContent,
    types::{
        ProposedValue,
        streaming::{StreamId, StreamMessage},
    },
};
use arc_malachitebft_core_types::{Round, Validity};
use bytes::Bytes;

use super::context::{Address, Height, OracleContext, Part, ValueId};
use crate::{
    ValidatorSet,
    digest::{Domain, Hash, keccak},
    key::{OracleKey, verify},
};

/// Parts are kept for the next height and this many behind it, as the engine keeps votes.
const HEIGHT_WINDOW: u64 = 9;
/// Parts are kept for this many rounds ahead of ours.
const ROUND_WINDOW: u32 = 128;
/// An honest proposer has one payload in a round; one more is kept to have the contradiction.
pub const MAX_PARTS_PER_ROUND: usize = 2;

/// Makes the part that carries a payload.
pub fn sign_part(domain: &Domain, key: &OracleKey, height: u64, round: u32, payload: Bytes) -> Part {
    let signature = key.sign(&domain.part(height, Some(round), &keccak(&payload)));
    Part {
        height,
        round,
        proposer: key.eth(),
        payload,
        signature,
    }
}

/// Checks that a part is for a height and round that may matter, and that the proposer of that round signed it.
/// Returns the payload's hash.
///
/// # Errors
/// What is wrong with it.
pub fn check_part(
    domain: &Domain,
    set: &ValidatorSet,
    tip: u64,
    round_now: u32,
    part: &Part,
) -> Result<Hash, &'static str> {
    if part.height <= tip || part.height > tip.saturating_add(1 + HEIGHT_WINDOW) {
        return Err("height is outside the window");
    }
    let round_now = if part.height == tip + 1 { round_now } else { 0 };
    if part.round > round_now.saturating_add(ROUND_WINDOW) {
        return Err("round is too far ahead");
    }
    let proposer = set.proposer(part.height, part.round).ok_or("the set is empty")?;
    if proposer.eth != part.proposer {
        return Err("not its turn to propose");
    }
    let id = keccak(&part.payload);
    if verify(
        &proposer.key,
        &domain.part(part.height, Some(part.round), &id),
        &part.signature,
    ) {
        Ok(id)
    } else {
        Err("signature is wrong")
    }
}

/// What the engine is told about a payload.
pub fn proposed_value(
    height: u64,
    round: u32,
    proposer: Address,
    id: Hash,
    valid: bool,
) -> ProposedValue<OracleContext> {
    ProposedValue {
        height: Height(height),
        round: Round::new(round),
        valid_round: Round::Nil,
        proposer,
        value: ValueId(id),
        validity: Validity::from_bool(valid),
    }
}

/// A part as the one message of a stream of its own.
pub fn stream(part: Part) -> StreamMessage<Part> {
    let mut id = Vec::with_capacity(12);
    id.extend_from_slice(&part.height.to_be_bytes());
    id.extend_from_slice(&part.round.to_be_bytes());
    StreamMessage::new(StreamId::new(id.into()), 0, StreamContent::Data(part))
}

#[cfg(test)]
mod tests;
