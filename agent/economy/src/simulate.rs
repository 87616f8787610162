//! The rules run forward: what becomes of supply, price and an operator's income over years, if licences sell, jobs run and
//! nodes are available as planned.
//!
//! It drives the real ledger under strict rules, transaction by transaction and epoch by epoch, an epoch being a day. It is
//! deterministic: the same plan gives the same figures. The figures follow from the plan, which is nobody's forecast.
//!
//! What people do is assumed: buyers of licences bring USDC and buy the R1 from the pool, operators claim in turn and sell a
//! share of what they claimed, holders of master node deeds and of the genesis node deed sell nothing.

mod market;
mod world;

use r1_core::U256;
use serde::Serialize;

use self::world::World;
use crate::{
    NetworkParams,
    bank::Totals,
    poai::{self, PoaiRefusal},
    pool::Reserves,
    state::{GenesisRefusal, Refusal, audit::Broken},
};

/// Epochs of a year.
pub const YEAR: u64 = 365;
/// Node deeds that every simulation has: the oracle's and the operator's.
const GENESIS_LICENCES: u64 = 2;

/// What is assumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// How long, years; 1 to 10.
    pub years: u64,
    /// Node deeds sold by the end, day by day alike; 0 to 46,222.
    pub licences: u64,
    /// Node deeds that others hold from genesis on and nobody bought; 0 to 46,222 together with those sold.
    pub licences_at_start: u64,
    /// Master node deeds, among which the budget is divided, each within its own cap; 0 to 499.
    pub mnds: u64,
    /// Jobs running at the end, growing day by day alike; 0 to 10,000. Each has one node.
    pub jobs: u64,
    /// Type of the jobs; one that is offered.
    pub job_type: u8,
    /// Mean availability of nodes, 0 to 255; a day's lies up to 8 around it.
    pub availability: u8,
    /// Share of what they claim that operators sell at once, percent.
    pub sell_percent: u64,
    /// Epochs between two claims of a licence; 1 to 365. Licences take turns.
    pub claim_every: u64,
    /// Epochs between two samples; 1 to 365.
    pub sample_every: u64,
    /// R1 in the pool at the start, whole; 1,000 to 50,000,000.
    pub pool_r1: u64,
    /// USDC in the pool at the start, whole; 1,000 to 50,000,000.
    pub pool_usdc: u64,
    /// Seed of what varies from day to day.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            years: 5,
            licences: 8_000,
            licences_at_start: 0,
            mnds: 20,
            jobs: 500,
            job_type: 4,
            availability: 245,
            sell_percent: 50,
            claim_every: 30,
            sample_every: 7,
            pool_r1: 3_000_000,
            pool_usdc: 1_500_000,
            seed: 1,
        }
    }
}

/// Why there is nothing to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// A figure of the plan is out of its range.
    #[error("{field} of {value}: it must be {least} to {most}")]
    Plan {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// Least.
        least: u64,
        /// Most.
        most: u64,
    },
    /// No such job is offered.
    #[error("job-type: {0}")]
    JobType(#[from] PoaiRefusal),
    /// The rules refuse the network's constants.
    #[error(transparent)]
    Genesis(#[from] GenesisRefusal),
    /// The ledger refuses what the plan needs.
    #[error("epoch {epoch}: {action}: {refusal}")]
    Refused {
        /// When.
        epoch: u64,
        /// What was tried.
        action: &'static str,
        /// Why it is refused.
        refusal: Box<Refusal>,
    },
    /// A promise of the ledger does not hold: a defect of the rules.
    #[error("epoch {epoch}: {broken}")]
    Broken {
        /// When.
        epoch: u64,
        /// Which.
        broken: Broken,
    },
    /// A key or an amount that cannot be.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// What one operator with one licence and one job earned per day since the sample before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Income {
    /// Proof of Availability, R1 wei.
    pub poa: U256,
    /// The same at the pool's price, micro-USDC.
    pub poa_usdc: U256,
    /// Proof of AI, micro-USDC.
    pub poai_usdc: U256,
    /// The R1 that its claims bought, wei; what is not claimed counts at the pool's quote.
    pub poai: U256,
}

/// The ledger after some epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Epochs closed since genesis, days.
    pub epoch: u64,
    /// Minted by source, burned by cause, wei.
    pub totals: Totals,
    /// Withheld from master node deeds, wei.
    pub withheld: U256,
    /// USDC per R1, 18 decimals.
    pub price: U256,
    /// The pool's reserves, wei and micro-USDC.
    pub pool: Reserves,
    /// Adoption, 0 to 65535.
    pub adoption: u16,
    /// Node deeds sold; besides there are those of the genesis, the oracle's and the operator's.
    pub sold: u64,
    /// Jobs that run.
    pub jobs: u64,
    /// An operator's income per day; nothing at genesis.
    pub income: Income,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    /// What was assumed.
    pub plan: Plan,
    /// The ledger at genesis, from time to time, and after the last epoch.
    pub samples: Vec<Sample>,
    /// Most R1 that may exist, wei.
    pub cap: U256,
    /// Most R1 that one node deed can mint in its life, wei.
    pub licence_cap: U256,
    /// Days on which no licence was sold because the price had moved too far since the last sale.
    pub days_without_sale: u64,
}

impl Plan {
    /// Looks at every figure.
    ///
    /// # Errors
    /// [`SimulationError::Plan`] for the first one out of its range, [`SimulationError::JobType`].
    pub fn check(&self) -> Result<(), SimulationError> {
        let network = NetworkParams::preset("local").map_err(GenesisRefusal::from)?;
        let licences = network.nd.max_supply.saturating_sub(GENESIS_LICENCES);
        let left = licences.saturating_sub(self.licences);
        let ranges = [
            ("years", self.years, 1, 10),
            ("licences", self.licences, 0, licences),
            ("licences-at-start", self.licences_at_start, 0, left),
            ("mnds", self.mnds, 0, 499),
            ("jobs", self.jobs, 0, 10_000),
            ("sell-percent", self.sell_percent, 0, 100),
            ("claim-every", self.claim_every, 1, YEAR),
            ("sample-every", self.sample_every, 1, YEAR),
            ("pool-r1", self.pool_r1, 1_000, 50_000_000),
            ("pool-usdc", self.pool_usdc, 1_000, 50_000_000),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(SimulationError::Plan {
                    field,
                    value,
                    least,
                    most,
                });
            }
        }
        poai::price(&network.jobs, self.job_type)?;
        Ok(())
    }

    /// Epochs in all.
    pub fn epochs(&self) -> u64 {
        self.years * YEAR
    }

    /// What has grown to `end` by the end of an epoch, if it grows day by day alike.
    fn grown(&self, end: u64, epoch: u64) -> u64 {
        // At most 2^16 times 2^12.
        end * (epoch + 1) / self.epochs()
    }
}

/// Runs a plan; `progress` is told each epoch that is over.
///
/// # Errors
/// A [`SimulationError`].
pub fn simulate(plan: &Plan, progress: &mut dyn FnMut(u64)) -> Result<Simulation, SimulationError> {
    plan.check()?;
    let mut world = World::new(plan)?;
    world.audit(0)?;
    let mut samples = vec![world.sample(0)?];
    for epoch in 0..plan.epochs() {
        world.day(epoch)?;
        let closed = epoch + 1;
        world.audit(closed)?;
        if closed.is_multiple_of(plan.sample_every) || closed == plan.epochs() {
            samples.push(world.sample(closed)?);
        }
        progress(epoch);
    }
    Ok(Simulation {
        plan: plan.clone(),
        samples,
        cap: world.cap(),
        licence_cap: world.licence_cap(),
        days_without_sale: world.days_without_sale(),
    })
}

#[cfg(test)]
mod tests;
