//! Proof-of-Availability rewards of ND licences.

use std::fmt;

use r1_core::{U256, format_r1};

use crate::{
    NdParams,
    deeds::{nd_credit, nd_room},
};

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
pub fn explain(nd: &NdParams, claimed: U256, epochs: impl IntoIterator<Item = (u64, u8)>) -> Explanation {
    let mut sum = U256::ZERO;
    let line = |(epoch, availability)| {
        let credit = nd_credit(nd, availability);
        sum = sum.saturating_add(credit);
        Line {
            epoch,
            availability,
            credit,
            sum,
        }
    };
    let lines = epochs.into_iter().map(line).collect();
    let room = nd_room(nd, claimed);
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
