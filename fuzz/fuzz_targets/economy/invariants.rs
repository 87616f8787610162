//! What must hold after every step, whatever the steps were.

use r1_core::U256;
use r1_economy::State;

use crate::world::World;

/// Most R1 that may ever exist, wei: 161,803,398 R1.
const CAP: u128 = 161_803_398_000_000_000_000_000_000;

/// Looks at the whole state.
pub fn check(state: &State) {
    let supply = state.supply();
    assert!(supply <= U256::from(CAP), "supply {supply} above the cap");
    assert_eq!(state.sum_of_balances(), supply, "the balances are not the supply");
    let mut claimed = U256::ZERO;
    for view in state.licences() {
        let licence = &view.licence;
        assert!(
            licence.claimed <= view.assigned,
            "licence {}: {} minted of at most {}",
            view.id,
            licence.claimed,
            view.assigned
        );
        assert!(
            view.claimable <= view.assigned - licence.claimed,
            "licence {} could claim more than is left",
            view.id
        );
        if let Some(node) = &licence.node {
            assert_eq!(
                state.licence_of(node),
                Some(view.id),
                "node {node} is registered otherwise"
            );
        }
        claimed = claimed
            .checked_add(licence.claimed)
            .expect("claims are below the cap");
    }
    assert_eq!(claimed, supply, "minted is not claimed");
}

/// What is stored makes the same state again.
pub fn restored(world: &World, mut state: State) {
    let mut stored = State::empty(&world.genesis);
    for (table, key, slot) in state.changes() {
        // Records that came and went again were never stored.
        if let Some(slot) = slot {
            stored
                .restore(table, &key, &slot)
                .expect("what is stored is restored");
        }
    }
    assert_eq!(stored.root(), state.root(), "the restored state has another root");
}
