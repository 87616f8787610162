//! `poai_allocation.json`: allocations of jobs with a real pool, and a close.

use r1_core::U256;
use r1_economy::poai::Escrow;
use serde_json::Value;

use crate::{
    poai_world::{CSP, World, nodes_of, read, written},
    report::{Report, amount, field, integer, list},
};

/// The one job of the world.
const JOB: u64 = 1;

/// Reserves as (R1, USDC).
fn reserves(row: &Value, name: &str) -> Result<(U256, U256), String> {
    let [first, second] = list(field(row, name)?)?.as_slice() else {
        return Err(format!("{name} has not two amounts"));
    };
    let (first, second) = (amount(first)?, amount(second)?);
    let r1_first = field(row, "r1IsToken0")?
        .as_bool()
        .ok_or("r1IsToken0 is no boolean")?;
    Ok(if r1_first {
        (first, second)
    } else {
        (second, first)
    })
}

fn world(row: &Value, before: &Value) -> Result<World, String> {
    let (r1, usdc) = if row.get("reservesBefore").is_some() {
        reserves(row, "reservesBefore")?
    } else {
        (U256::from(u64::MAX), U256::from(u64::MAX))
    };
    let mut world = World::new(5, r1, usdc)?;
    let job = read(before)?;
    let escrow = Escrow {
        deposited: job.balance,
        ..Escrow::default()
    };
    world
        .bank
        .issue_usdc(&r1_economy::bank::holder::ESCROW, job.balance)
        .map_err(|error| error.to_string())?;
    world.poai.escrows.insert(CSP, escrow);
    world.poai.jobs.insert(JOB, job);
    world.poai.active.insert((CSP, JOB), ());
    Ok(world)
}

fn split(row: &Value) -> Result<(), String> {
    let (before, after) = (field(row, "before")?, field(row, "after")?);
    let mut world = world(row, before)?;
    let last = world
        .poai
        .job(JOB)
        .map_err(|refusal| refusal.to_string())?
        .last_allocated_epoch;
    world.epoch(last + integer(field(row, "epochsAllocatedAtOnce")?)? + 1);
    let supply = world.bank.totals.r1;
    let allocated = world.allocate().map_err(|refusal| refusal.to_string())?;
    let job = written(world.poai.job(JOB).map_err(|refusal| refusal.to_string())?);
    if job != *after {
        return Err(format!("{job}, the contracts gave {after}"));
    }
    for node in nodes_of(after)? {
        same("perNodeReward", world.poai.claimable(&node), row)?;
    }
    same("burnedUsdc", allocated.burned_usdc, row)?;
    same("escrowUsdcDelta", allocated.burned_usdc, row)?;
    same("burnedR1", allocated.burned_r1, row)?;
    same("r1SupplyDelta", supply - world.bank.totals.r1, row)?;
    let epoch = integer(field(row, "adoptionVolumeEpoch")?)?;
    same("adoptionVolumeDelta", world.adoption.volume_at(epoch), row)?;
    let ours = (world.pool.reserves.r1, world.pool.reserves.usdc);
    let theirs = reserves(row, "reservesAfter")?;
    if ours != theirs {
        return Err(format!("reserves {ours:?}, the contracts gave {theirs:?}"));
    }
    Ok(())
}

fn same(name: &str, ours: U256, row: &Value) -> Result<(), String> {
    let theirs = amount(field(row, name)?)?;
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{name} is {ours}, the contracts gave {theirs}"))
    }
}

fn close(row: &Value) -> Result<(), String> {
    let after = field(row, "after")?;
    let mut before = after.clone();
    before["balance"] = field(row, "balanceBefore")?.clone();
    let mut world = world(row, &before)?;
    let node = r1_core::EthAddress::new([0xA0; 20]);
    if let Some(job) = world.poai.jobs.get_mut(&JOB) {
        job.active_nodes = vec![node];
    }
    world.epoch(integer(field(after, "lastExecutionEpoch")?)?);
    world.agree(JOB, &[]).map_err(|refusal| refusal.to_string())?;
    let job = written(world.poai.job(JOB).map_err(|refusal| refusal.to_string())?);
    if job != *after {
        return Err(format!("{job}, the contracts gave {after}"));
    }
    let closed = world.poai.jobs.iter().filter(|(_, job)| job.closed).count();
    same("activeJobs", U256::from(world.poai.active_of(&CSP).len()), row)?;
    same("closedJobs", U256::from(closed), row)
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    match field(value, "splits").and_then(list) {
        Ok(rows) => {
            for row in rows {
                let what = row.get("case").and_then(Value::as_str);
                let outcome = match what {
                    None => split(row),
                    Some(case) if case.starts_with("close") => close(row),
                    Some(case) => Err(format!("case {case:?} is unknown")),
                };
                report.row(row.get("case").unwrap_or(&row["jobType"]), outcome);
            }
        }
        Err(why) => report.fail(why),
    }
}
