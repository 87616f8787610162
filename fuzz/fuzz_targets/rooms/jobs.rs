//! What can happen to escrows and jobs.

use std::rc::Rc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use r1_core::{EthAddress, U256};
use r1_economy::{
    Links,
    deeds::NodeDeeds,
    poai::{JobRequest, PoaiContext, Registry},
};

use crate::rooms::{Rooms, account, node};

/// Oracles: the nodes 1, 2 and 3.
const ORACLES: u8 = 3;

/// One thing that happens.
#[derive(Debug, Clone, Arbitrary)]
pub enum JobStep {
    /// An escrow for an account.
    Deploy { who: u8 },
    /// A delegate gets these rights.
    Delegate { who: u8, to: u8, permissions: u8 },
    /// A job is created in somebody's escrow.
    Create {
        who: u8,
        escrow: u8,
        job_type: u8,
        epochs: u8,
        nodes: u8,
    },
    /// An oracle submits nodes, as bits.
    Submit { oracle: u8, job: u8, nodes: u8 },
    /// A job is to last longer.
    Longer { who: u8, job: u8, epochs: u8 },
    /// A job gets more nodes.
    Wider { who: u8, job: u8, nodes: u8 },
    /// A job is taken back.
    Redeem { who: u8, job: u8 },
    /// Epochs that are over are allocated, of one escrow or of all.
    Allocate { escrow: u8, all: bool },
    /// Somebody claims for a node.
    Claim { who: u8, node: u8 },
}

/// What the other rooms know.
struct Known<'a> {
    deeds: &'a NodeDeeds,
    links: &'a Links,
}

impl Registry for Known<'_> {
    fn is_oracle(&self, account: &EthAddress) -> bool {
        (1..=ORACLES).any(|number| node(number) == *account)
    }

    fn oracles(&self) -> usize {
        usize::from(ORACLES)
    }

    fn owns_oracle_node(&self, wallet: &EthAddress) -> bool {
        *wallet != account(3)
    }

    fn deed_owner(&self, node: &EthAddress) -> Option<EthAddress> {
        self.deeds.deed_of(self.links, node).map(|(_, deed)| deed.owner)
    }
}

/// Runs it; false if it was refused.
pub fn run(rooms: &mut Rooms, step: &JobStep) -> bool {
    let params = Rc::clone(&rooms.params);
    let registry = Known {
        deeds: &rooms.deeds,
        links: &rooms.links,
    };
    let context = PoaiContext {
        jobs: &params.jobs,
        mode: params.mode,
        at: rooms.now,
        registry: &registry,
    };
    let (poai, bank, pool, adoption) = (
        &mut rooms.poai,
        &mut rooms.bank,
        &mut rooms.pool,
        &mut rooms.adoption,
    );
    let id = |job: u8| u64::from(job % 8);
    let epoch = rooms.now.epoch;
    match *step {
        JobStep::Deploy { who } => poai.deploy(&context, &account(who)).is_ok(),
        JobStep::Delegate { who, to, permissions } => {
            poai.delegate(&account(who), &account(to), permissions).is_ok()
        }
        JobStep::Create {
            who,
            escrow,
            job_type,
            epochs,
            nodes,
        } => {
            let prices = &params.jobs.prices;
            let request = JobRequest {
                job_type: prices[usize::from(job_type) % prices.len()].id,
                last_execution_epoch: epoch + u64::from(epochs),
                nodes: u64::from(nodes % 5),
            };
            let created = poai.create_jobs(&context, &account(who), &account(escrow), &[request], bank);
            created.is_ok()
        }
        JobStep::Submit { oracle, job, nodes } => {
            let bits = (0..8).filter(|bit| nodes & (1 << bit) != 0);
            let nodes: Vec<EthAddress> = bits.map(node).collect();
            let set = (id(job), nodes.as_slice());
            poai.submit(&context, &node(oracle), set, (bank, pool, adoption))
                .is_ok()
        }
        JobStep::Longer { who, job, epochs } => {
            let last = epoch + u64::from(epochs);
            poai.extend_duration(&context, &account(who), id(job), last, bank)
                .is_ok()
        }
        JobStep::Wider { who, job, nodes } => {
            let nodes = u64::from(nodes % 8);
            poai.extend_nodes(&context, &account(who), id(job), nodes, bank)
                .is_ok()
        }
        JobStep::Redeem { who, job } => poai.redeem(&context, &account(who), id(job), bank).is_ok(),
        JobStep::Allocate { all: true, .. } => poai.allocate_all(&context, bank, pool, adoption).is_ok(),
        JobStep::Allocate { escrow, .. } => poai
            .allocate(&context, &account(escrow), bank, pool, adoption)
            .is_ok(),
        JobStep::Claim { who, node: number } => {
            let wanted = (&[node(number)][..], U256::ZERO);
            poai.claim(&context, &account(who), wanted, bank, pool).is_ok()
        }
    }
}
