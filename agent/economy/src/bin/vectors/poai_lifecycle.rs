//! `poai_lifecycle.json`: the life of jobs step by step, and everything that is refused on the way.

use r1_core::{EthAddress, U256};
use r1_economy::poai::{PoaiRefusal, permission};
use serde_json::Value;

use crate::{
    poai_world::{CSP, DELEGATE, OPERATOR, STRANGER, World, nodes_of, oracle, written},
    report::{Report, amount, field, integer},
};

type Outcome = Result<(), String>;

/// The length of the jobs that no row describes, epochs.
const EPOCHS: u64 = 30;

fn ours(refusal: PoaiRefusal) -> String {
    format!("refused: {refusal}")
}

/// An oracle, a pool, an escrow, the beginning of epoch 1.
fn world() -> Result<World, String> {
    let million = U256::from(1_000_000_000_000_000_000_000_000_u128);
    let mut world = World::new(1, million * U256::from(3), U256::from(1_500_000_000_000_u64))?;
    world.epoch(1);
    world.deploy(&CSP).map_err(ours)?;
    Ok(world)
}

fn node(n: u8) -> EthAddress {
    EthAddress::new([0xA0 + n; 20])
}

fn same_job(world: &World, id: u64, theirs: &Value) -> Outcome {
    let job = written(world.poai.job(id).map_err(ours)?);
    if job == *theirs {
        Ok(())
    } else {
        Err(format!("{job}, the contracts gave {theirs}"))
    }
}

fn same(name: &str, ours: U256, theirs: &Value) -> Outcome {
    let theirs = amount(theirs)?;
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{name} is {ours}, the contracts gave {theirs}"))
    }
}

/// The first job: created, started late, extended twice. One outcome per row.
fn first_life(life: &Value, report: &mut Report) -> Outcome {
    let request = field(life, "request")?;
    let job = field(request, "job")?;
    let mut world = world()?;
    let requested = integer(field(request, "epoch")?)?;
    world.epoch(requested);
    let job_type = u8::try_from(integer(field(job, "jobType")?)?).map_err(|_| "job type above 255")?;
    let (last, nodes) = (
        integer(field(job, "lastExecutionEpoch")?)?,
        integer(field(job, "numberOfNodesRequested")?)?,
    );
    let id = world.create(&CSP, job_type, last, nodes).map_err(ours)?;
    report.row("request", same_job(&world, id, job));

    let Some(started) = life.get("started_4_epochs_late") else {
        return Ok(());
    };
    let (epoch, job) = (integer(field(started, "epoch")?)?, field(started, "job")?);
    world.epoch(epoch);
    world.agree(id, &nodes_of(job)?).map_err(ours)?;
    report.row("started_4_epochs_late", same_job(&world, id, job));

    if let Some(row) = life.get("extend_duration_10") {
        let job = field(row, "job")?;
        let cost = world
            .extend_duration(&CSP, id, integer(field(job, "lastExecutionEpoch")?)?)
            .map_err(ours)?;
        report.row(
            "extend_duration_10",
            same("cost", cost, field(row, "cost")?).and_then(|()| same_job(&world, id, job)),
        );
    }
    if let Some(row) = life.get("extend_nodes_to_3_at_epoch_plus9") {
        let job = field(row, "job")?;
        world.epoch(requested + 9);
        let cost = world
            .extend_nodes(&CSP, id, integer(field(job, "numberOfNodesRequested")?)?)
            .map_err(ours)?;
        let outcome = same("cost", cost, field(row, "cost")?).and_then(|()| same_job(&world, id, job));
        report.row("extend_nodes_to_3_at_epoch_plus9", outcome);
    }
    Ok(())
}

fn redeem(row: &Value) -> Outcome {
    let mut world = world()?;
    let id = world.create(&CSP, 1, 1 + EPOCHS, 2).map_err(ours)?;
    world.wait(3_600);
    let before = world.usdc(&CSP);
    world.redeem(&CSP, id).map_err(ours)?;
    same("refund", world.usdc(&CSP) - before, field(row, "refund")?)?;
    match world.poai.job(id) {
        Err(_) => Ok(()),
        Ok(job) => Err(format!("the job is still there: {job:?}")),
    }
}

fn delegate(row: &Value) -> Outcome {
    let mut world = world()?;
    let bits = permission::CREATE | permission::REDEEM;
    world.poai.delegate(&CSP, &DELEGATE, bits).map_err(ours)?;
    let id = world.create(&DELEGATE, 1, 1 + EPOCHS, 1).map_err(ours)?;
    world.wait(3_600);
    let before = world.usdc(&DELEGATE);
    world.redeem(&DELEGATE, id).map_err(ours)?;
    same(
        "refund",
        world.usdc(&DELEGATE) - before,
        field(row, "refundGoesToCaller")?,
    )
}

/// A job of two nodes of which one ran it, closed.
fn underfilled(active: &EthAddress) -> Result<(World, u64), String> {
    let mut world = world()?;
    let id = world.create(&CSP, 1, 1 + EPOCHS, 2).map_err(ours)?;
    world.agree(id, &[*active]).map_err(ours)?;
    world.epoch(1 + EPOCHS);
    world.allocate().map_err(ours)?;
    Ok((world, id))
}

fn close(row: &Value) -> Outcome {
    let before = field(row, "beforeClose")?;
    let active = nodes_of(before)?.first().copied().ok_or("no node is active")?;
    let (mut world, id) = underfilled(&active)?;
    same_job(&world, id, before)?;
    let held = world.usdc(&CSP);
    world.agree(id, &[]).map_err(ours)?;
    same("cspRefund", world.usdc(&CSP) - held, field(row, "cspRefund")?)?;
    same_job(&world, id, field(row, "afterClose")?)
}

fn extend_closed(row: &Value) -> Outcome {
    let job = field(row, "job")?;
    let (mut world, id) = underfilled(&node(1))?;
    world.agree(id, &[]).map_err(ours)?;
    let charged = world
        .extend_duration(&CSP, id, integer(field(job, "lastExecutionEpoch")?)?)
        .map_err(ours)?;
    same("charged", charged, field(row, "charged")?)?;
    same_job(&world, id, job)
}

fn late_extension(row: &Value) -> Outcome {
    let job = field(row, "job")?;
    let active = nodes_of(job)?;
    let mut world = world()?;
    let ended = integer(field(row, "endedAt")?)?;
    let id = world.create(&CSP, 1, ended, 1).map_err(ours)?;
    world.agree(id, &active).map_err(ours)?;
    world.epoch(ended);
    world.allocate().map_err(ours)?;
    let first = active.first().copied().ok_or("no node is active")?;
    let before = world.poai.claimable(&first);
    world.epoch(integer(field(row, "extendedAtEpoch")?)?);
    let charged = world
        .extend_duration(&CSP, id, integer(field(row, "newLast")?)?)
        .map_err(ours)?;
    same("charged", charged, field(row, "charged")?)?;
    world.allocate().map_err(ours)?;
    same(
        "paidAtOnceToNode",
        world.poai.claimable(&first) - before,
        field(row, "paidAtOnceToNode")?,
    )?;
    same_job(&world, id, job)
}

/// A world with a job that runs on a node since this moment.
fn running() -> Result<(World, u64), String> {
    let mut world = world()?;
    let id = world.create(&CSP, 1, 1 + EPOCHS, 1).map_err(ours)?;
    world.agree(id, &[node(1)]).map_err(ours)?;
    Ok((world, id))
}

/// Three oracles, of which the first has submitted.
fn submitted() -> Result<(World, u64), String> {
    let mut world = world()?;
    world.people.oracles = (0..3).map(oracle).collect();
    let id = world.create(&CSP, 1, 1 + EPOCHS, 1).map_err(ours)?;
    world.submit(&oracle(0), id, &[node(1)]).map_err(ours)?;
    Ok((world, id))
}

type Provoked = Result<Result<(), PoaiRefusal>, String>;

fn provoke_creation(case: &str) -> Option<Provoked> {
    let create = |sender: EthAddress, job_type, last, nodes| {
        let mut world = world()?;
        world.epoch(10);
        Ok(world.create(&sender, job_type, last, nodes).map(|_| ()))
    };
    Some(match case {
        "deployEscrow_without_oracle_node" => world().map(|mut world| world.deploy(&STRANGER)),
        "deployEscrow_twice" => world().map(|mut world| world.deploy(&CSP)),
        "create_deprecated_type_10" => create(CSP, 10, 10 + EPOCHS, 1),
        "create_invalid_type_41" => create(CSP, 41, 10 + EPOCHS, 1),
        "create_29_epochs" => create(CSP, 1, 10 + 29, 1),
        "create_30_epochs" => create(CSP, 1, 10 + 30, 1),
        "create_zero_nodes" => create(CSP, 1, 10 + EPOCHS, 0),
        "create_past" => create(CSP, 1, 9, 1),
        "create_not_owner" => create(STRANGER, 1, 10 + EPOCHS, 1),
        _ => return None,
    })
}

fn provoke_change(case: &str) -> Option<Provoked> {
    let act = |world: Result<(World, u64), String>,
               act: &dyn Fn(&mut World, u64) -> Result<(), PoaiRefusal>| {
        world.map(|(mut world, id)| act(&mut world, id))
    };
    let idle = || {
        let mut world = world()?;
        let id = world.create(&CSP, 1, 1 + EPOCHS, 1).map_err(ours)?;
        Ok::<_, String>((world, id))
    };
    Some(match case {
        "claim_by_non_owner" => act(running(), &|world, _| {
            world.people.nodes.insert(node(1), OPERATOR);
            world.claim(&STRANGER, &[node(1)]).map(|_| ())
        }),
        "claim_unlinked_node" => act(running(), &|world, _| {
            world.claim(&OPERATOR, &[node(9)]).map(|_| ())
        }),
        "redeem_started" => act(running(), &|world, id| {
            world.wait(3_600);
            world.redeem(&CSP, id).map(|_| ())
        }),
        "extend_nodes_lower" => act(running(), &|world, id| {
            world.extend_nodes(&CSP, id, 1).map(|_| ())
        }),
        "extend_duration_same" => act(running(), &|world, id| {
            world.extend_duration(&CSP, id, 1 + EPOCHS).map(|_| ())
        }),
        "redeem_before_1h" => act(idle(), &|world, id| {
            world.wait(3_599);
            world.redeem(&CSP, id).map(|_| ())
        }),
        "delegate_extend_without_bit" => act(running(), &|world, id| {
            world
                .poai
                .delegate(&CSP, &DELEGATE, permission::CREATE | permission::REDEEM)?;
            world.extend_duration(&DELEGATE, id, 50).map(|_| ())
        }),
        "redeem_while_unvalidated" => act(submitted(), &|world, id| {
            world.wait(3_600);
            world.redeem(&CSP, id).map(|_| ())
        }),
        _ => return None,
    })
}

fn provoke_submission(case: &str) -> Option<Provoked> {
    let again = |seconds: u64, who: u8| {
        running().map(|(mut world, id)| {
            world.wait(seconds);
            world.submit(&oracle(0), id, &[node(who)]).map(|_| ())
        })
    };
    Some(match case {
        "submit_twice" => {
            submitted().map(|(mut world, id)| world.submit(&oracle(0), id, &[node(1)]).map(|_| ()))
        }
        "submit_not_oracle" => {
            running().map(|(mut world, id)| world.submit(&STRANGER, id, &[node(1)]).map(|_| ()))
        }
        "submit_unknown_job" => {
            world().map(|mut world| world.submit(&oracle(0), 999, &[node(1)]).map(|_| ()))
        }
        "submit_in_cooldown" => again(1, 2),
        "submit_same_nodes_in_cooldown_is_noop" => again(1, 1),
        "submit_cooldown_299s" => again(299, 2),
        "submit_cooldown_301s" => again(301, 2),
        _ => return None,
    })
}

fn error_case(case: &str, theirs: &Value) -> Outcome {
    let provoked = provoke_creation(case)
        .or_else(|| provoke_change(case))
        .or_else(|| provoke_submission(case))
        .ok_or("this case is unknown")?;
    let ours = match provoked? {
        Ok(()) => "ok".to_owned(),
        Err(refusal) => format!("REVERT: {}", refusal.revert()),
    };
    if theirs.as_str() == Some(&ours) {
        Ok(())
    } else {
        Err(format!("{ours}, the contracts said {theirs}"))
    }
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    if let Some(life) = value.get("life") {
        if let Err(why) = first_life(life, report) {
            report.fail(format_args!("life of a job: {why}"));
        }
        for (name, row) in life.as_object().into_iter().flatten() {
            let outcome = match name.as_str() {
                "request"
                | "started_4_epochs_late"
                | "extend_duration_10"
                | "extend_nodes_to_3_at_epoch_plus9" => {
                    continue;
                }
                "redeem_at_1h" => redeem(row),
                "delegate_permissions_1001" => delegate(row),
                "underfilled_job_2_requested_1_active_closed" => close(row),
                "extend_duration_on_closed_job" => extend_closed(row),
                "late_extension_is_retroactive" => late_extension(row),
                _ => Err("this step is unknown".to_owned()),
            };
            report.row(name, outcome);
        }
    }
    for (case, theirs) in value
        .get("errors")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        report.row(case, error_case(case, theirs));
    }
}
