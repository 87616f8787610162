//! A block run on a state: by who builds it, who judges it and who applies it, in the same way.

use std::collections::BTreeMap;

use r1_core::EpochClock;
use r1_economy::{BlockContext, Receipt, SignedTransaction, State};
use r1_oraclesync::{Block, Outcome, ValidatorSet};

use super::LedgerError;

/// What a block did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// One receipt per transaction.
    pub receipts: Vec<Receipt>,
    /// The epoch it closed, with the outcome.
    pub closed: Option<(u64, Outcome)>,
}

/// Runs a block on a state, without storing anything: used to check and to apply blocks alike. The caller has set a
/// savepoint and takes it back if the block is refused or was only tried.
///
/// # Errors
/// [`LedgerError`] for a refused epoch or transaction, or if the state is not the one that the block names.
pub fn execute(
    state: &mut State,
    clock: &EpochClock,
    set: &ValidatorSet,
    block: &Block,
) -> Result<Executed, LedgerError> {
    let executed = run(state, clock, set, block)?;
    let found = state.root();
    if found != block.state_root {
        return Err(LedgerError::StateRoot {
            height: block.height,
            found,
            named: block.state_root,
        });
    }
    Ok(executed)
}

/// Runs a block that is being built, whose state root is not known yet.
///
/// # Errors
/// [`LedgerError`] for a refused epoch or transaction.
pub fn run(
    state: &mut State,
    clock: &EpochClock,
    set: &ValidatorSet,
    block: &Block,
) -> Result<Executed, LedgerError> {
    let height = block.height;
    let closed = block
        .epoch_close
        .as_ref()
        .map(|close| (close.epoch, close.outcome(set)));
    if let Some((epoch, outcome)) = &closed {
        let (availability, faulty) = match outcome {
            Outcome::Agreed(availability) => (availability.clone(), false),
            Outcome::Faulty => (BTreeMap::new(), true),
        };
        let closed = state
            .close_epoch(*epoch, &availability, faulty)
            .map_err(|refusal| LedgerError::EpochClose { height, refusal })?;
        for (escrow, refusal) in closed.failed {
            tracing::debug!(%escrow, epoch, %refusal, "escrow is not allocated; it is tried again at the next close");
        }
    }
    let context = context(clock, block.timestamp_ms);
    let mut receipts = Vec::with_capacity(block.txs.len());
    for (index, bytes) in block.txs.iter().enumerate() {
        let signed = SignedTransaction::decode(bytes).map_err(|error| LedgerError::Malformed {
            height,
            index,
            error,
        })?;
        let receipt = state
            .apply(context, &signed)
            .map_err(|refusal| LedgerError::Transaction {
                height,
                index,
                refusal,
            })?;
        receipts.push(receipt);
    }
    Ok(Executed { receipts, closed })
}

/// What transactions of a block stamped `timestamp_ms` see. Before genesis counts as epoch 0.
pub fn context(clock: &EpochClock, timestamp_ms: u64) -> BlockContext {
    BlockContext {
        timestamp_ms,
        epoch: clock.epoch_at(timestamp_ms).unwrap_or(0),
    }
}
