//! Jobs in escrows, a hundred each: created, given to a node, and allocated for the epochs that are over.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Mode, Moment, NetworkParams,
    adoption::Adoption,
    bank::{Bank, Mint},
    poai::{JobRequest, Poai, PoaiContext, Registry},
    pool::{Amounts, Exchange as _, Pool},
    table::Journal,
};

use crate::{Result, measure::Meter};

/// Jobs of one escrow.
const JOBS_PER_ESCROW: u64 = 100;
/// Epochs that one allocation pays.
const EPOCHS: u64 = 2;

/// A network with one oracle, in which everybody may open an escrow.
struct OneOracle(EthAddress);

impl Registry for OneOracle {
    fn is_oracle(&self, account: &EthAddress) -> bool {
        *account == self.0
    }

    fn oracles(&self) -> usize {
        1
    }

    fn owns_oracle_node(&self, _: &EthAddress) -> bool {
        true
    }

    fn deed_owner(&self, node: &EthAddress) -> Option<EthAddress> {
        Some(*node)
    }
}

fn address(kind: u8, id: u64) -> EthAddress {
    let mut bytes = [kind; 20];
    bytes[..8].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    EthAddress::new(bytes)
}

/// The rooms that jobs touch.
struct Rooms {
    params: NetworkParams,
    registry: OneOracle,
    poai: Poai,
    bank: Bank,
    pool: Pool,
    adoption: Adoption,
}

impl Rooms {
    fn new() -> Result<Self> {
        let params = NetworkParams::preset("local")?;
        let mut bank = Bank::new(params.r1_cap);
        let (mut pool, rich) = (Pool::default(), address(1, 0));
        let (r1, usdc) = (
            U256::from(10).pow(U256::from(25)),
            U256::from(10).pow(U256::from(15)),
        );
        bank.mint(&rich, r1, Mint::Genesis)?;
        bank.issue_usdc(&rich, usdc)?;
        pool.add_liquidity(&mut bank, &rich, Amounts { r1, usdc }, Amounts::default(), &rich)?;
        Ok(Self {
            params,
            registry: OneOracle(address(2, 0)),
            poai: Poai::default(),
            bank,
            pool,
            adoption: Adoption::default(),
        })
    }

    /// Runs one transaction's worth of changes in an epoch.
    fn transact<T>(
        &mut self,
        epoch: u64,
        change: impl FnOnce(&PoaiContext, &mut Poai, (&mut Bank, &mut Pool, &mut Adoption)) -> Result<T>,
    ) -> Result<T> {
        let context = PoaiContext {
            jobs: &self.params.jobs,
            mode: Mode::Strict,
            at: Moment {
                timestamp_ms: 1 + epoch * 86_400_000,
                epoch,
            },
            registry: &self.registry,
        };
        let (poai, bank, pool, adoption) =
            (&mut self.poai, &mut self.bank, &mut self.pool, &mut self.adoption);
        let each: [&mut dyn Journal; 4] = [poai, bank, pool, adoption];
        each.into_iter().for_each(Journal::begin);
        let (poai, bank, pool, adoption) =
            (&mut self.poai, &mut self.bank, &mut self.pool, &mut self.adoption);
        // What is refused ends the measurement, so nothing is taken back.
        let done = change(&context, poai, (bank, pool, adoption))?;
        let each: [&mut dyn Journal; 4] =
            [&mut self.poai, &mut self.bank, &mut self.pool, &mut self.adoption];
        each.into_iter().for_each(Journal::commit);
        Ok(done)
    }
}

/// Measures `count` jobs.
pub fn measure(count: u64, meter: &mut Meter) -> Result<()> {
    let mut rooms = Rooms::new()?;
    let escrows = count.div_ceil(JOBS_PER_ESCROW);
    let count = escrows * JOBS_PER_ESCROW;
    meter.step("jobs created", count, || create(&mut rooms, escrows))?;
    meter.step("jobs given to a node", count, || {
        let oracle = rooms.registry.0;
        for id in 1..=count {
            rooms.transact(1, |context, poai, (bank, pool, adoption)| {
                let node = [address(4, id % 1000)];
                Ok(poai.submit(context, &oracle, (id, &node), (bank, pool, adoption))?)
            })?;
        }
        Ok(())
    })?;
    let paid = meter.step("jobs allocated", count, || {
        let mut paid = U256::ZERO;
        for escrow in 0..escrows {
            paid += rooms.transact(1 + EPOCHS, |context, poai, (bank, pool, adoption)| {
                let one = poai.allocate(context, &address(3, escrow), bank, pool, adoption)?;
                Ok(one.gross())
            })?;
        }
        Ok(paid)
    })?;
    if paid.is_zero() {
        return Err("no job was paid".into());
    }
    Ok(())
}

fn create(rooms: &mut Rooms, escrows: u64) -> Result<()> {
    let prices = &rooms.params.jobs.prices;
    let job_type = prices
        .iter()
        .find(|price| price.usdc.is_some())
        .ok_or("no job type")?
        .id;
    let request = JobRequest {
        job_type,
        last_execution_epoch: 60,
        nodes: 1,
    };
    let requests = vec![request; usize::try_from(JOBS_PER_ESCROW)?];
    for escrow in 0..escrows {
        let owner = address(3, escrow);
        rooms.transact(0, |context, poai, (bank, _, _)| {
            bank.issue_usdc(&owner, U256::from(10).pow(U256::from(13)))?;
            poai.deploy(context, &owner)?;
            Ok(poai.create_jobs(context, &owner, &owner, &requests, bank)?)
        })?;
    }
    Ok(())
}
