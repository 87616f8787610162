//! What must hold after every step besides what [`State::audit`] looks at: what only grows, and that receipts say what
//! happened.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Action, Effect, EpochClosed, OwnerAction, Receipt, State,
    bank::{Asset, Totals},
    pool::Reserves,
};

/// The figures before a step.
pub struct Figures {
    totals: Totals,
    pool: Reserves,
    licences: u64,
    next_epoch: u64,
    r1: U256,
    usdc: U256,
}

impl Figures {
    /// Of the whole ledger, and of who acts.
    pub fn of(state: &State, sender: Option<&EthAddress>) -> Self {
        let view = state.economy();
        let held = |asset| sender.map_or(U256::ZERO, |sender| state.balance_of(asset, sender));
        Self {
            totals: view.totals,
            pool: view.pool,
            licences: view.licences.0,
            next_epoch: view.next_epoch,
            r1: held(Asset::R1),
            usdc: held(Asset::Usdc),
        }
    }
}

fn minted(totals: &Totals) -> U256 {
    totals.minted_genesis + totals.minted_nd + totals.minted_mnd + totals.minted_gnd
}

/// Looks at the whole ledger.
pub fn check(before: &Figures, state: &State) {
    state.audit().unwrap_or_else(|broken| panic!("{broken}"));
    let (old, new) = (&before.totals, state.totals());
    let growing = [
        (old.minted_nd, new.minted_nd),
        (old.minted_mnd, new.minted_mnd),
        (old.minted_gnd, new.minted_gnd),
        (old.burned_sale, new.burned_sale),
        (old.burned_job, new.burned_job),
        (old.burned_voluntary, new.burned_voluntary),
        (old.usdc, new.usdc),
    ];
    assert!(
        growing.iter().all(|(old, new)| old <= new),
        "a sum of all time shrank: {old:?}, {new:?}"
    );
    assert_eq!(old.minted_genesis, new.minted_genesis, "minted at genesis");
    assert!(
        before.next_epoch <= state.next_epoch(),
        "epochs were opened again"
    );
    let pool = state.economy().pool;
    if before.pool.shares == pool.shares {
        let product = |pool: &Reserves| pool.r1 * pool.usdc;
        assert!(product(&before.pool) <= product(&pool), "the pool lost to a swap");
    }
}

/// What the close of an epoch says it did.
pub fn epoch(before: &Figures, state: &State, closed: &EpochClosed) {
    let (old, new) = (&before.totals, state.totals());
    assert_eq!(state.next_epoch(), before.next_epoch + 1);
    assert_eq!(minted(old), minted(new), "the close of an epoch mints nothing");
    assert_eq!(
        new.burned_job - old.burned_job,
        closed.allocated.burned_r1,
        "burned for jobs"
    );
}

/// What a receipt says is what happened, and nothing else was minted or burned.
pub fn receipt(before: &Figures, state: &State, action: &Action, receipt: &Receipt) {
    let (old, new) = (&before.totals, state.totals());
    assert_eq!(
        minted(new) - minted(old),
        receipt.minted(),
        "{action:?}: minted, by the receipt"
    );
    let (mut sale, mut job, mut voluntary, mut usdc) = (U256::ZERO, U256::ZERO, U256::ZERO, U256::ZERO);
    let view = state.economy();
    let (r1_now, usdc_now) = (
        state.balance_of(Asset::R1, &receipt.sender),
        state.balance_of(Asset::Usdc, &receipt.sender),
    );
    match (action, &receipt.effect) {
        (Action::Burn { amount, .. }, _) => voluntary = *amount,
        (Action::Owner(OwnerAction::IssueUsdc { amount, .. }), _) => usdc = *amount,
        (_, Effect::Bought(bought)) => {
            sale = bought.burned;
            assert_eq!(view.licences.0 - before.licences, bought.count, "licences bought");
            assert!(before.r1 - r1_now <= bought.paid, "paid for licences");
        }
        (_, Effect::Allocated(all)) => job = all.burned_r1,
        // Strict: the epochs before were allocated.
        (_, Effect::Agreed(Some(_))) => job = new.burned_job - old.burned_job,
        (_, Effect::Paid { r1, .. }) => assert_eq!(r1_now - before.r1, *r1, "paid to nodes"),
        (Action::Swap { asset, amount, .. }, Effect::Swapped(out)) => {
            let (paid, got) = match asset {
                Asset::R1 => (before.r1 - r1_now, usdc_now - before.usdc),
                Asset::Usdc => (before.usdc - usdc_now, r1_now - before.r1),
            };
            assert_eq!((paid, got), (*amount, *out), "swapped");
        }
        (_, Effect::Cost(cost)) => assert_eq!(before.usdc - usdc_now, *cost, "paid for a job"),
        (_, Effect::Provided(provided)) => {
            assert_eq!(before.r1 - r1_now, provided.used.r1, "provided");
            assert_eq!(
                view.pool.shares - before.pool.shares,
                provided.shares,
                "LP tokens made"
            );
        }
        (_, Effect::Withdrawn(out)) => {
            assert_eq!(r1_now - before.r1, out.r1, "withdrawn");
            assert_eq!(usdc_now - before.usdc, out.usdc, "withdrawn");
        }
        _ => {}
    }
    assert_eq!(
        new.burned_sale - old.burned_sale,
        sale,
        "{action:?}: burned by sales"
    );
    assert_eq!(new.burned_job - old.burned_job, job, "{action:?}: burned by jobs");
    assert_eq!(
        new.burned_voluntary - old.burned_voluntary,
        voluntary,
        "{action:?}: burned by holders"
    );
    assert_eq!(new.usdc - old.usdc, usdc, "{action:?}: USDC brought in");
}
