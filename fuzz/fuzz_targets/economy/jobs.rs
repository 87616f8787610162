//! Escrows and jobs.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Action,
    poai::{Job, JobRequest},
};

use crate::{
    act::{Hand, part, pick},
    script::Kind,
};

/// Types of jobs: cheap, dear, no longer offered, none.
const TYPES: [u8; 6] = [1, 53, 6, 40, 10, 99];

/// The action, if it is one of these.
pub fn action(hand: &Hand<'_>, kind: Kind) -> Option<(EthAddress, Action)> {
    Some(match kind {
        Kind::DeployEscrow => (deployer(hand), Action::DeployEscrow),
        Kind::Delegate => delegate(hand),
        Kind::CreateJobs => create(hand),
        Kind::ExtendDuration => {
            let (job, details) = job(hand, |job| !job.closed)?;
            let longer = u64::from(hand.step.b % 5);
            let last_execution_epoch = details.map_or(longer, |job| job.last_execution_epoch + longer);
            let action = Action::ExtendDuration {
                job,
                last_execution_epoch: if hand.fault(3) {
                    u64::MAX - longer
                } else {
                    last_execution_epoch
                },
            };
            (tenant(hand, details), action)
        }
        Kind::ExtendNodes => {
            let (job, details) = job(hand, |job| !job.closed)?;
            let more = u64::from(hand.step.b % 4);
            let nodes = details.map_or(more, |job| job.nodes_requested + more);
            let nodes = if hand.fault(3) { u64::MAX } else { nodes };
            (tenant(hand, details), Action::ExtendNodes { job, nodes })
        }
        Kind::Redeem => {
            let (job, details) = job(hand, |job| !job.started)?;
            (tenant(hand, details), Action::Redeem { job })
        }
        Kind::SubmitNodes => submit(hand)?,
        Kind::Allocate => {
            let escrows: Vec<EthAddress> = hand.state.escrows().map(|(owner, _)| *owner).collect();
            let escrow = *pick(&escrows, hand.step.a)
                .filter(|_| !hand.fault(3))
                .unwrap_or(&hand.who().eth);
            (hand.who().eth, Action::Allocate { escrow })
        }
        Kind::ClaimJobs => claim(hand),
        _ => return None,
    })
}

/// The owner of a licence that works for an oracle, if there is one without an escrow.
fn deployer(hand: &Hand<'_>) -> EthAddress {
    let oracles = hand.world.oracles();
    let owners: Vec<EthAddress> = hand
        .state
        .licences()
        .filter(|view| oracles.iter().any(|oracle| view.node_address == Some(oracle.eth)))
        .map(|view| view.owner)
        .filter(|owner| hand.state.escrow_of(owner).is_none())
        .collect();
    let right = pick(&owners, hand.step.a).copied();
    hand.sender(right.unwrap_or(hand.who().eth))
}

fn delegate(hand: &Hand<'_>) -> (EthAddress, Action) {
    let escrows: Vec<EthAddress> = hand.state.escrows().map(|(owner, _)| *owner).collect();
    let owner = pick(&escrows, hand.step.a).copied().unwrap_or(hand.who().eth);
    let action = Action::Delegate {
        delegate: hand.account(hand.step.b),
        permissions: hand.step.c % 20,
    };
    (hand.sender(owner), action)
}

/// Up to three jobs.
fn create(hand: &Hand<'_>) -> (EthAddress, Action) {
    let step = hand.step;
    let acting: Vec<EthAddress> = hand
        .world
        .wallets()
        .iter()
        .map(|wallet| wallet.eth)
        .filter(|account| hand.state.escrow_of(account).is_some())
        .collect();
    let sender = pick(&acting, step.who).copied().unwrap_or(hand.who().eth);
    let request = |number: u8| JobRequest {
        job_type: TYPES[usize::from(step.b.wrapping_add(number)) % if hand.fault(3) { 6 } else { 4 }],
        last_execution_epoch: match step.fault() {
            Some(4) => u64::MAX,
            Some(5) => hand.now.epoch + u64::from(step.c % 3),
            _ => hand.now.epoch + 2 + u64::from(step.c % 8),
        },
        nodes: match step.fault() {
            Some(6) => u64::MAX,
            Some(7) => 0,
            _ => 1 + u64::from(step.b / 64),
        },
    };
    let requests = (0..1 + step.a % 3).map(request).collect();
    (hand.sender(sender), Action::CreateJobs(requests))
}

/// One of the jobs that `fits`; now and then one that does not, or does not exist. `None` before the first job.
fn job<'a>(hand: &Hand<'a>, fits: impl Fn(&Job) -> bool) -> Option<(u64, Option<&'a Job>)> {
    let all: Vec<(u64, &Job)> = hand.state.jobs().collect();
    let fitting: Vec<_> = all.iter().filter(|(_, job)| fits(job)).copied().collect();
    let found = match hand.step.fault() {
        Some(1) => return Some((u64::from(hand.step.a), None)),
        Some(2) => pick(&all, hand.step.a),
        _ => pick(&fitting, hand.step.a).or_else(|| pick(&all, hand.step.a)),
    };
    found.map(|(id, job)| (*id, Some(*job)))
}

/// The owner of a job's escrow, or one of its delegates.
fn tenant(hand: &Hand<'_>, job: Option<&Job>) -> EthAddress {
    let Some(job) = job else { return hand.who().eth };
    let delegates = hand.state.delegates(&job.escrow);
    let delegate = pick(&delegates, hand.step.who).filter(|_| hand.step.c.is_multiple_of(2));
    hand.sender(delegate.map_or(job.escrow, |(delegate, _)| *delegate))
}

/// An oracle says which nodes run a job: mostly all say the same, and none when it is over.
fn submit(hand: &Hand<'_>) -> Option<(EthAddress, Action)> {
    let step = hand.step;
    let epoch = hand.now.epoch;
    let (id, details) = job(hand, |job| !job.closed)?;
    let done = hand.state.submissions(id, epoch);
    let oracles = hand.world.oracles();
    let next = oracles
        .iter()
        .map(|wallet| wallet.eth)
        .find(|oracle| done.iter().all(|(other, _)| other != oracle));
    let over = details.is_some_and(|job| job.last_execution_epoch <= epoch);
    let nodes = match (step.b, done.first()) {
        // What the first one said.
        (0..200, Some((_, nodes))) => nodes.clone(),
        (0..240, _) if over => Vec::new(),
        _ => {
            let count = details.map_or(1, |job| job.nodes_requested.min(6));
            let wallets = hand.world.wallets().iter().cycle().skip(usize::from(step.c % 6));
            let count = usize::try_from(count).unwrap_or(1) + usize::from(hand.fault(3));
            let mut nodes: Vec<EthAddress> = wallets.take(count).map(|wallet| wallet.eth).collect();
            // Upstream's oracles sort; nobody makes them.
            if !hand.fault(4) {
                nodes.sort_unstable();
            }
            nodes
        }
    };
    let oracle = next.unwrap_or(oracles[0].eth);
    Some((hand.sender(oracle), Action::SubmitNodes { job: id, nodes }))
}

/// The owner of a node that earned something takes it; now and then of all its nodes.
fn claim(hand: &Hand<'_>) -> (EthAddress, Action) {
    let earned = |node: &EthAddress| hand.state.job_earnings(node);
    let linked = hand
        .state
        .licences()
        .filter_map(|view| Some((view.owner, view.node_address?)));
    let linked: Vec<(EthAddress, EthAddress)> = linked.collect();
    let due: Vec<_> = linked
        .iter()
        .filter(|(_, node)| !earned(node).is_zero())
        .collect();
    let Some((owner, node)) = pick(&due, hand.step.a).copied().copied() else {
        let nodes = vec![hand.world.wallet(hand.step.b).eth];
        let min_out = U256::ZERO;
        return (hand.who().eth, Action::ClaimJobs { nodes, min_out });
    };
    let nodes = if hand.step.b.is_multiple_of(4) {
        let own = linked.iter().filter(|(other, _)| *other == owner);
        own.map(|(_, node)| *node).collect()
    } else {
        vec![node]
    };
    let quote = hand.state.least_out(earned(&node), 0).unwrap_or_default();
    let min_out = if hand.fault(3) {
        part(quote, 253)
    } else {
        U256::ZERO
    };
    (hand.sender(owner), Action::ClaimJobs { nodes, min_out })
}
