//! What must hold after every step, whatever the steps were.

use r1_economy::State;

use crate::world::World;

/// Looks at the whole state.
pub fn check(state: &State) {
    state.audit().unwrap_or_else(|broken| panic!("{broken}"));
}

/// What is stored makes the same state again.
pub fn restored(world: &World, mut state: State) {
    let mut stored = State::empty(&world.genesis).expect("the genesis is sound");
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
