//! How often each action was taken or refused: with `R1_FUZZ_TALLY=FILE` the figures are in that file, which is written
//! again every some inputs. They show what the sequences reach.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt::{Debug, Write as _},
    fs,
};

use r1_economy::{Action, Mode, OwnerAction};

/// Inputs between two writings of the file.
const EVERY: u64 = 500;

struct Tally {
    file: Option<OsString>,
    inputs: u64,
    counts: BTreeMap<String, u64>,
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::new(Tally {
        file: env::var_os("R1_FUZZ_TALLY"),
        inputs: 0,
        counts: BTreeMap::new(),
    });
}

fn name(action: &Action) -> String {
    let Action::Owner(owner) = action else {
        return action.name().to_owned();
    };
    let name = match owner {
        OwnerAction::AddMnd { .. } => "add_mnd",
        OwnerAction::InitiateMnd { .. } => "initiate_mnd",
        OwnerAction::Ban { .. } => "ban",
        OwnerAction::Unban { .. } => "unban",
        OwnerAction::PauseDeeds { .. } => "pause_deeds",
        OwnerAction::PauseMasters { .. } => "pause_masters",
        OwnerAction::IssueUsdc { .. } => "issue_usdc",
    };
    format!("owner {name}")
}

fn count(key: impl FnOnce() -> String) {
    TALLY.with_borrow_mut(|tally| {
        if tally.file.is_some() {
            *tally.counts.entry(key()).or_default() += 1;
        }
    });
}

/// Counts an action and what came of it.
pub fn action(mode: Mode, action: &Action, outcome: &Result<impl Sized, impl Debug>) {
    count(|| match outcome {
        Ok(_) => format!("{mode:?} {} ok", name(action)),
        Err(refusal) => {
            let words = format!("{refusal:?}");
            // The names of the error's variants, without the figures.
            let why: Vec<&str> = words
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
                .take(2)
                .collect();
            format!("{mode:?} {} refused: {}", name(action), why.join(" "))
        }
    });
}

/// Counts anything else by its name.
pub fn other(mode: Mode, what: &str) {
    count(|| format!("{mode:?} _{what}"));
}

/// An input is done.
pub fn turn() {
    TALLY.with_borrow_mut(|tally| {
        tally.inputs += 1;
        let Some(file) = tally.file.as_ref().filter(|_| tally.inputs % EVERY == 0) else {
            return;
        };
        let mut text = format!("{} inputs\n", tally.inputs);
        for (key, count) in &tally.counts {
            let _ = writeln!(text, "{count:>9} {key}");
        }
        let _ = fs::write(file, text);
    });
}
