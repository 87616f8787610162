//! Random sequences of transactions and epochs against the ledger's rules. After every step the invariants hold, what
//! is refused changes nothing, and the same steps on a second state give the same root.

#![no_main]

#[path = "economy/invariants.rs"]
mod invariants;
#[path = "economy/world.rs"]
mod world;

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use r1_economy::{BlockContext, State};

use crate::world::World;

/// Steps of one sequence that are run: a failure in fewer is easier to read, and every input ends soon.
const MAX_STEPS: usize = 64;

/// One thing that happens.
#[derive(Debug, Clone, Arbitrary)]
enum Step {
    /// Time goes on, at most some epochs.
    Wait { epochs: u8, ms: u16 },
    /// The next epoch is closed with these availabilities, wallet by wallet.
    CloseEpoch {
        availability: [u8; world::WALLETS],
        faulty: bool,
    },
    /// A wallet links a licence to a node that has agreed to `agreed`'s request.
    Link {
        who: u8,
        licence: u8,
        node: u8,
        agreed: u8,
    },
    /// A wallet unlinks a licence.
    Unlink { who: u8, licence: u8 },
    /// A wallet claims.
    Claim { who: u8, licence: u8 },
    /// A wallet sends whatever these bytes decode to: reaches actions that have no step of their own.
    Any { who: u8, bytes: Vec<u8> },
}

fuzz_target!(|steps: Vec<Step>| {
    let world = World::get();
    let steps = &steps[..steps.len().min(MAX_STEPS)];
    let mut state = State::genesis(&world.genesis).expect("the genesis is sound");
    let root = run(world, &mut state, steps, true);
    let mut again = State::genesis(&world.genesis).expect("the genesis is sound");
    assert_eq!(
        run(world, &mut again, steps, false),
        root,
        "a replay gives another root"
    );
    invariants::restored(world, state);
});

/// Runs the steps; looks at the invariants after each if `checked`.
fn run(world: &World, state: &mut State, steps: &[Step], checked: bool) -> [u8; 32] {
    let mut now = BlockContext {
        timestamp_ms: 0,
        epoch: 0,
    };
    for step in steps {
        let before = checked.then(|| state.root());
        let done = run_one(world, state, &mut now, step);
        if let (false, Some(before)) = (done, before) {
            assert_eq!(state.root(), before, "a refused {step:?} changed the state");
        }
        if checked {
            invariants::check(state);
        }
    }
    state.root()
}

/// Runs one step; false if the ledger refused.
fn run_one(world: &World, state: &mut State, now: &mut BlockContext, step: &Step) -> bool {
    let action = match step {
        Step::Wait { epochs, ms } => {
            let ahead = u64::from(epochs % 4) * world::EPOCH_MS + u64::from(*ms);
            now.timestamp_ms += ahead;
            now.epoch = now.timestamp_ms / world::EPOCH_MS;
            return true;
        }
        Step::CloseEpoch { availability, faulty } => {
            let epoch = state.next_epoch();
            let table = world.availability(availability);
            return state.close_epoch(epoch, &table, *faulty).is_ok();
        }
        Step::Link {
            who,
            licence,
            node,
            agreed,
        } => (*who, world.link(*who, *licence, *node, *agreed)),
        Step::Unlink { who, licence } => (*who, world::unlink(*licence)),
        Step::Claim { who, licence } => (*who, world::claim(*licence)),
        Step::Any { who, bytes } => match postcard::from_bytes(bytes) {
            Ok(action) => (*who, action),
            Err(_) => return false,
        },
    };
    let (who, action) = action;
    let sender = world.wallet(who).eth;
    let transaction = world::transaction(state.nonce(&sender), action);
    state.apply_as(*now, sender, &transaction).is_ok()
}
