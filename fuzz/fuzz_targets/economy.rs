//! Random sequences of all actions, and of epochs that close, against the whole ledger, in strict and in compat mode.
//!
//! After every step the audit passes, nothing that only grows has shrunk, what is refused has changed nothing, and what
//! a receipt says is what happened. Steps that are taken back leave the root as it was. A state that is stored and read
//! again at any time goes on as if nothing had been, and the same steps on a second state give the same root.

#![no_main]

#[path = "economy/act.rs"]
mod act;
#[path = "economy/invariants.rs"]
mod invariants;
#[path = "economy/jobs.rs"]
mod jobs;
#[path = "economy/licences.rs"]
mod licences;
#[path = "economy/money.rs"]
mod money;
#[path = "economy/script.rs"]
mod script;
#[path = "economy/settled.rs"]
mod settled;
#[path = "economy/sign.rs"]
mod sign;
#[path = "economy/stage.rs"]
mod stage;
#[path = "economy/tally.rs"]
mod tally;
#[path = "economy/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

use crate::{
    script::{Kind, Script},
    stage::Stage,
    world::World,
};

fuzz_target!(|script: Script| {
    let world = World::get(script.mode);
    let mut stage = Stage::new(world, script.fresh, true);
    let mut kept = Vec::new();
    let mut open = 0;
    for step in &script.steps {
        match step.kind {
            // Blocks and trials do not nest: the ledger opens one block at a time.
            Kind::Block | Kind::Trial if open == 0 => {
                open = 1 + usize::from(step.a % 8);
                stage.open(step.kind == Kind::Trial);
            }
            Kind::Block | Kind::Trial => {}
            Kind::Restart => stage.restart(),
            _ => {
                stage.play(step);
                if !stage.is_trial() {
                    kept.push(step);
                }
                open = open.saturating_sub(1);
                if open == 0 {
                    stage.close();
                }
            }
        }
    }
    stage.close();
    stage.restored();
    tally::turn();

    let mut again = Stage::new(world, script.fresh, false);
    kept.into_iter().for_each(|step| again.play(step));
    assert_eq!(again.root(), stage.root(), "a replay gives another root");
});
