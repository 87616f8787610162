//! Random sequences against the rooms of the economy together: bank, pool, sale, node deeds, master node deeds, jobs
//! and adoption, in both modes, without signatures. After every step the invariants hold, and what is refused changes
//! nothing.

#![no_main]

#[path = "rooms/invariants.rs"]
mod invariants;
#[path = "rooms/jobs.rs"]
mod jobs;
#[path = "rooms/rooms.rs"]
mod rooms;
#[path = "rooms/step.rs"]
mod step;

use libfuzzer_sys::fuzz_target;
use r1_economy::Mode;

/// Steps of one sequence that are run.
const MAX_STEPS: usize = 64;

fuzz_target!(|input: (bool, Vec<step::Step>)| {
    let (strict, steps) = input;
    let mode = if strict { Mode::Strict } else { Mode::Compat };
    let mut rooms = rooms::Rooms::new(mode);
    for step in steps.iter().take(MAX_STEPS) {
        let before = rooms.clone();
        rooms.begin();
        if step::run(&mut rooms, step) {
            rooms.commit();
        } else {
            rooms.rollback();
            assert!(rooms == before, "a refused {step:?} changed something");
        }
        invariants::check(&rooms);
        invariants::grows(&before, &rooms);
    }
});
