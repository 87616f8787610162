//! Proof of AI: jobs are paid in advance into an escrow, oracles agree on which nodes run them, every epoch pays the nodes
//! and burns a share, and operators are paid in R1 that is bought with the USDC.

pub mod consensus;
mod escrow;
mod refusal;
mod settle;

use r1_core::{EthAddress, U256};
use serde::{Deserialize, Serialize};

pub use refusal::PoaiRefusal;
pub use settle::Allocated;

use crate::{
    JobParams, Mode, Moment,
    merkle::Hash,
    table::{Journal, Table, Var},
};

/// What a delegate may do in an escrow, as bits.
pub mod permission {
    /// Create jobs.
    pub const CREATE: u8 = 1;
    /// Make jobs last longer.
    pub const EXTEND_DURATION: u8 = 1 << 1;
    /// Give jobs more nodes.
    pub const EXTEND_NODES: u8 = 1 << 2;
    /// Take back jobs that were not started.
    pub const REDEEM: u8 = 1 << 3;
}

/// One escrow, by its owner. All sums in micro-USDC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escrow {
    /// Paid in.
    #[serde(with = "r1_core::wei")]
    pub deposited: U256,
    /// Claimed by nodes.
    #[serde(with = "r1_core::wei")]
    pub paid: U256,
    /// Used to buy the R1 that was burned.
    #[serde(with = "r1_core::wei")]
    pub burned: U256,
    /// Given back.
    #[serde(with = "r1_core::wei")]
    pub refunded: U256,
}

impl Escrow {
    /// What it holds; `None` if more left it than came in, which the rules exclude.
    pub fn balance(&self) -> Option<U256> {
        let left = [self.paid, self.burned, self.refunded];
        left.iter()
            .try_fold(self.deposited, |sum, out| sum.checked_sub(*out))
    }
}

/// One job. The fields are those of the contract's job details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The escrow that pays, by its owner.
    pub escrow: EthAddress,
    /// Its type.
    pub job_type: u8,
    /// Price per node and epoch, micro-USDC.
    #[serde(with = "r1_core::wei")]
    pub price: U256,
    /// First epoch that is no longer run.
    pub last_execution_epoch: u64,
    /// Nodes asked for.
    pub nodes_requested: u64,
    /// Paid in and not allocated yet, micro-USDC.
    #[serde(with = "r1_core::wei")]
    pub balance: U256,
    /// Last epoch that was allocated.
    pub last_allocated_epoch: u64,
    /// The nodes that run it, sorted.
    pub active_nodes: Vec<EthAddress>,
    /// When it was created, ms since 1970-01-01 UTC.
    pub requested_at_ms: u64,
    /// The epoch in which it was created.
    pub requested_epoch: u64,
    /// True once nodes were agreed on.
    pub started: bool,
    /// True once it was closed.
    pub closed: bool,
    /// When its nodes were last agreed on, ms since 1970-01-01 UTC; 0 if never.
    pub agreed_at_ms: u64,
}

/// What a job shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    /// Its type.
    pub job_type: u8,
    /// First epoch that is no longer run.
    pub last_execution_epoch: u64,
    /// How many nodes.
    pub nodes: u64,
}

/// A set of nodes that an oracle submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The oracle.
    pub oracle: EthAddress,
    /// Name of the set.
    pub hash: Hash,
    /// The nodes.
    pub nodes: Vec<EthAddress>,
}

/// What a delegate may do, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The escrow, by its owner.
    pub escrow: EthAddress,
    /// [`permission`] bits.
    pub permissions: u8,
}

/// Who is an oracle and whose a node is: what the other rooms know.
pub trait Registry {
    /// True for an oracle.
    fn is_oracle(&self, account: &EthAddress) -> bool;
    /// How many oracles there are.
    fn oracles(&self) -> usize;
    /// True if the wallet owns a licence that is linked to an oracle.
    fn owns_oracle_node(&self, wallet: &EthAddress) -> bool;
    /// The owner of the node deed that a node is linked to.
    fn deed_owner(&self, node: &EthAddress) -> Option<EthAddress>;
}

/// The rules and the moment in which something is asked.
#[derive(Clone, Copy)]
pub struct PoaiContext<'a> {
    /// Prices and times.
    pub jobs: &'a JobParams,
    /// Compat or strict.
    pub mode: Mode,
    /// When.
    pub at: Moment,
    /// The other rooms.
    pub registry: &'a dyn Registry,
}

/// All escrows and jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Poai {
    /// Escrows by owner.
    pub escrows: Table<EthAddress, Escrow>,
    /// Jobs by number, from 1.
    pub jobs: Table<u64, Job>,
    /// Jobs that are not closed, by escrow.
    pub active: Table<(EthAddress, u64), ()>,
    /// Delegates.
    pub delegates: Table<EthAddress, Delegation>,
    /// What nodes may claim, by node and escrow, micro-USDC.
    pub wallets: Table<(EthAddress, EthAddress), U256>,
    /// Sets submitted, by job, epoch and order.
    pub proposals: Table<(u64, u64, u32), Proposal>,
    /// The highest job number given out.
    pub last_job: Var<u64>,
}

/// Price per node and epoch of a job type, micro-USDC.
///
/// # Errors
/// [`PoaiRefusal::Deprecated`], [`PoaiRefusal::JobType`].
pub fn price(jobs: &JobParams, job_type: u8) -> Result<U256, PoaiRefusal> {
    match jobs.prices.iter().find(|price| price.id == job_type) {
        Some(found) => found
            .usdc
            .map(U256::from)
            .ok_or(PoaiRefusal::Deprecated(job_type)),
        None => Err(PoaiRefusal::JobType(job_type)),
    }
}

/// Splits what a node is due for some epochs into `(node, burned)`: `burned = floor(gross * percent / 100)`.
///
/// # Errors
/// [`PoaiRefusal::Overflow`].
pub fn node_share(jobs: &JobParams, gross: U256) -> Result<(U256, U256), PoaiRefusal> {
    let percent = U256::from(jobs.burn_percent);
    let product = gross.checked_mul(percent).ok_or(PoaiRefusal::Overflow("burn"))?;
    let burned = product / U256::from(100);
    Ok((gross.saturating_sub(burned), burned))
}

impl Poai {
    /// A job that exists.
    ///
    /// # Errors
    /// [`PoaiRefusal::NoJob`].
    pub fn job(&self, id: u64) -> Result<&Job, PoaiRefusal> {
        self.jobs.get(&id).ok_or(PoaiRefusal::NoJob(id))
    }

    fn job_mut(&mut self, id: u64) -> Result<&mut Job, PoaiRefusal> {
        self.jobs.get_mut(&id).ok_or(PoaiRefusal::NoJob(id))
    }

    fn escrow_mut(&mut self, owner: &EthAddress) -> Result<&mut Escrow, PoaiRefusal> {
        self.escrows.get_mut(owner).ok_or(PoaiRefusal::NoEscrow(*owner))
    }

    /// The jobs of an escrow that are not closed.
    pub fn active_of(&self, escrow: &EthAddress) -> Vec<u64> {
        let range = (*escrow, 0)..=(*escrow, u64::MAX);
        self.active.range(range).map(|((_, job), ())| *job).collect()
    }

    /// The escrows that have jobs which are not closed.
    pub fn active_escrows(&self) -> Vec<EthAddress> {
        let mut owners: Vec<EthAddress> = self.active.iter().map(|((owner, _), ())| *owner).collect();
        owners.dedup();
        owners
    }

    /// What a node may claim in all, micro-USDC.
    pub fn claimable(&self, node: &EthAddress) -> U256 {
        let range = (*node, EthAddress::new([0; 20]))..=(*node, EthAddress::new([255; 20]));
        let sums = self.wallets.range(range).map(|(_, usdc)| *usdc);
        sums.fold(U256::ZERO, U256::saturating_add)
    }
}

fn sum(a: U256, b: U256, what: &'static str) -> Result<U256, PoaiRefusal> {
    a.checked_add(b).ok_or(PoaiRefusal::Overflow(what))
}

fn difference(a: U256, b: U256, what: &'static str) -> Result<U256, PoaiRefusal> {
    a.checked_sub(b).ok_or(PoaiRefusal::Overflow(what))
}

impl Poai {
    fn each(&mut self) -> [&mut dyn Journal; 7] {
        [
            &mut self.escrows,
            &mut self.jobs,
            &mut self.active,
            &mut self.delegates,
            &mut self.wallets,
            &mut self.proposals,
            &mut self.last_job,
        ]
    }
}

impl Journal for Poai {
    fn is_open(&self) -> bool {
        self.last_job.is_open()
    }

    fn begin(&mut self) {
        self.each().into_iter().for_each(Journal::begin);
    }

    fn commit(&mut self) {
        self.each().into_iter().for_each(Journal::commit);
    }

    fn rollback(&mut self) {
        self.each().into_iter().for_each(Journal::rollback);
    }
}

#[cfg(test)]
mod tests;
