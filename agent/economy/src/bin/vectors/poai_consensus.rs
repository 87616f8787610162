//! `poai_consensus.json`: sequences of submissions of n oracles, through the decision and through real submissions.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Mode,
    poai::consensus::{Decision, decide},
};
use serde_json::Value;

use crate::{
    poai_world::{CSP, World, oracle},
    report::{Report, field, integer, list},
};

fn row(case: &Value) -> Result<(), String> {
    let oracles = integer(field(case, "oracles")?)?;
    let count = usize::try_from(oracles).map_err(|_| "too many oracles")?;
    let sequence = field(case, "sequence")?
        .as_str()
        .ok_or("sequence is not a text")?;
    let needed = |name: &str, ours: u64| match case.get(name).map(integer).transpose()? {
        Some(theirs) if theirs != ours => Err(format!("{name} is {ours}, the contracts gave {theirs}")),
        _ => Ok(()),
    };
    needed("submissionsNeeded", oracles / 2 + 1)?;
    needed("agreementNeeded", oracles / 3 + 1)?;
    let letters: Vec<u8> = sequence.bytes().collect();
    let (mut reached, mut splits) = (None, Vec::new());
    for end in 1..=letters.len() {
        let sets: Vec<_> = letters[..end].iter().map(|letter| [*letter; 32]).collect();
        match decide(Mode::Compat, count, &sets) {
            Decision::Waiting => {}
            Decision::Split => splits.push(end as u64),
            Decision::Agreed { first, votes } => {
                reached = Some((end as u64, char::from(letters[first]).to_string(), votes as u64));
                break;
            }
        }
    }
    let theirs = match case.get("reached").filter(|reached| reached.is_object()) {
        Some(theirs) => Some((
            integer(field(theirs, "afterSubmissions")?)?,
            field(theirs, "nodes")?.as_str().unwrap_or_default().to_owned(),
            integer(field(theirs, "participants")?)?,
        )),
        None => None,
    };
    if reached != theirs {
        return Err(format!("{reached:?}, the contracts gave {theirs:?}"));
    }
    let attempts: Vec<u64> = match case.get("attemptsWithoutConsensusAt") {
        Some(attempts) => list(attempts)?.iter().map(integer).collect::<Result<_, _>>()?,
        None => splits.clone(),
    };
    if splits != attempts {
        return Err(format!(
            "attempts without consensus {splits:?}, the contracts gave {attempts:?}"
        ));
    }
    really(oracles, &letters, theirs.map(|(end, _, _)| end))
}

/// The same with real submissions for a job.
fn really(oracles: u64, letters: &[u8], end: Option<u64>) -> Result<(), String> {
    let oracles = u8::try_from(oracles).map_err(|_| "too many oracles")?;
    let mut world = World::new(oracles, U256::from(1_000_000), U256::from(1_000_000))?;
    world.epoch(1);
    let refused = |refusal: r1_economy::poai::PoaiRefusal| refusal.to_string();
    world.deploy(&CSP).map_err(refused)?;
    let job = world.create(&CSP, 1, 31, 1).map_err(refused)?;
    for (index, letter) in letters.iter().enumerate() {
        let who = oracle(u8::try_from(index).map_err(|_| "too many submissions")?);
        let agreed = world
            .submit(&who, job, &[EthAddress::new([*letter; 20])])
            .map_err(refused)?;
        let submissions = index as u64 + 1;
        if agreed != (Some(submissions) == end) {
            return Err(format!("after {submissions} real submissions agreed is {agreed}"));
        }
        if agreed {
            break;
        }
    }
    Ok(())
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    match field(value, "cases").and_then(list) {
        Ok(cases) => {
            for case in cases {
                report.row(case, row(case));
            }
        }
        Err(why) => report.fail(why),
    }
}
