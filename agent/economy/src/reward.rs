//! Proof-of-Availability rewards of ND licences.

use std::fmt;

use r1_core::{U256, format_r1};

use crate::Params;

/// Availability of a node that was there for the whole epoch.
const FULL: u64 = 255;

/// Credit of one epoch: `floor(nd_reward_per_epoch * availability / 255)`, wei.
pub fn nd_epoch_credit(params: &Params, availability: u8) -> U256 {
    // At most 2^61 * 2^8: far below 2^256.
    params.nd_reward_per_epoch * U256::from(availability) / U256::from(FULL)
}

/// What a claim pays: `min(pending, cap - claimed)`, wei; `pending` is the sum of the epochs' credits.
pub fn nd_claimable(params: &Params, pending: U256, claimed: U256) -> U256 {
    pending.min(params.nd_cap.saturating_sub(claimed))
}

/// One line of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The epoch.
    pub epoch: u64,
    /// The node's availability in it.
    pub availability: u8,
    /// What it earns, wei.
    pub credit: U256,
    /// Sum of the credits up to here, wei; not capped.
    pub sum: U256,
}

/// How a claim comes about, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The epochs, in the order given.
    pub lines: Vec<Line>,
    /// What the licence can still mint: cap less claimed, wei.
    pub room: U256,
    /// What a claim pays: the sum or the room, whichever is less, wei.
    pub pays: U256,
}

/// Explains what a licence earns for some epochs with its node's availability in each, after it has minted
/// `claimed`. Over all epochs since the last claim, `pays` is what [`State::apply`](crate::State::apply) mints.
pub fn explain(params: &Params, claimed: U256, epochs: impl IntoIterator<Item = (u64, u8)>) -> Explanation {
    let mut sum = U256::ZERO;
    let line = |(epoch, availability)| {
        let credit = nd_epoch_credit(params, availability);
        sum = sum.saturating_add(credit);
        Line {
            epoch,
            availability,
            credit,
            sum,
        }
    };
    let lines = epochs.into_iter().map(line).collect();
    let room = params.nd_cap.saturating_sub(claimed);
    Explanation {
        lines,
        room,
        pays: sum.min(room),
    }
}

impl fmt::Display for Explanation {
    /// One text line per epoch and one for the result.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line {
            epoch,
            availability,
            credit,
            sum,
        } in &self.lines
        {
            let (credit, sum) = (format_r1(*credit), format_r1(*sum));
            writeln!(
                f,
                "epoch {epoch}: availability {availability}/255 earns {credit} R1, together {sum} R1"
            )?;
        }
        let limited = self.lines.last().is_some_and(|line| line.sum > self.room);
        let reason = if limited {
            " (the rest is above the licence's cap)"
        } else {
            ""
        };
        write!(
            f,
            "a claim pays {} R1 of at most {} R1{reason}",
            format_r1(self.pays),
            format_r1(self.room)
        )
    }
}

#[cfg(test)]
mod tests;
