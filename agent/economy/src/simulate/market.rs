//! What is bought and sold: licences, jobs, and R1 itself.

use r1_core::{EthAddress, U256};

use super::{
    SimulationError,
    world::{Earned, R1, USDC, World, next_random},
};
use crate::{
    Action, Effect, OwnerAction, Purchase, Refusal, Signature,
    bank::Asset,
    message,
    poai::JobRequest,
    pool::{Exchange as _, amount_out},
    sale::{SaleRefusal, licence_price},
};

/// How long a job is paid for, epochs.
const JOB_EPOCHS: u64 = 90;
/// An order costs at most this part of the pool's USDC, or is of one licence: a large one would move the price more than
/// the sale allows.
const PART_OF_POOL: u64 = 200;
/// Most nodes in one claim of job earnings.
const NODES_PER_CLAIM: usize = 100;

/// What the market remembers.
#[derive(Debug, Default)]
pub(super) struct Market {
    /// Jobs that run, each with its last epoch and its node's number.
    jobs: Vec<(u64, u64, usize)>,
    /// Paid to the operator for jobs so far.
    pub(super) operator_paid: Earned,
    pub(super) days_without_sale: u64,
}

/// USDC that buys so much R1 from reserves, with a little to spare; `None` if they do not have it.
fn usdc_for(r1: U256, reserve_r1: U256, reserve_usdc: U256) -> Option<U256> {
    let left = reserve_r1.checked_sub(r1).filter(|left| !left.is_zero())?;
    let usdc = reserve_usdc.checked_mul(r1)?.checked_mul(U256::from(1_004))?;
    let usdc = usdc.checked_div(left.checked_mul(U256::from(1_000))?)?;
    let usdc = usdc.checked_add(U256::from(USDC))?;
    (amount_out(usdc, reserve_usdc, reserve_r1).ok()? >= r1).then_some(usdc)
}

impl World {
    /// Sells as many licences as the plan has sold by the end of the epoch.
    pub(super) fn sell_licences(&mut self, epoch: u64) -> Result<(), SimulationError> {
        let target = self.plan.grown(self.plan.licences, epoch);
        while self.sold() < target {
            let wanted = target - self.sold();
            if !self.sell(epoch, wanted)? {
                self.market.days_without_sale += 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sells licences of one tier; false if the price has moved too far since the last sale.
    fn sell(&mut self, epoch: u64, wanted: u64) -> Result<bool, SimulationError> {
        let progress = *self.state.sale().progress;
        let tier = self.state.sale().tier(&self.state.params().nd);
        let tier = tier.map_err(|refusal| refused(epoch, "buy", refusal))?;
        let lot = self.state.pool().reserves.usdc / U256::from(PART_OF_POOL * USDC) / U256::from(tier.usd);
        let lot = u64::try_from(lot).unwrap_or(u64::MAX).max(1);
        let count = wanted.min(tier.units - progress.sold).min(lot);
        let price = self
            .state
            .pool()
            .price()
            .map_err(|refusal| refused(epoch, "price", refusal))?;
        let unit = licence_price(tier.usd, price).map_err(|refusal| refused(epoch, "price", refusal))?;
        // Buying R1 first makes the licences cheaper in R1, so this is enough.
        self.buy_r1(epoch, self.others, unit.saturating_mul(U256::from(count)))?;
        let order = self.order(count, progress.tier, unit);
        match self.send(epoch, self.others, Action::Buy(order)) {
            Ok(Effect::Bought(bought)) => {
                for id in bought.first..bought.first + bought.count {
                    self.link_deed(epoch, self.others, id)?;
                }
                Ok(true)
            }
            Err(SimulationError::Refused { refusal, .. })
                if matches!(*refusal, Refusal::Sale(SaleRefusal::PriceMoved { .. })) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        }
    }

    /// An order that the oracle has approved.
    fn order(&self, count: u64, tier: u64, max_price: U256) -> Purchase {
        let mut invoice = [0; 32];
        invoice[24..].copy_from_slice(&(self.nodes.len() as u64).to_be_bytes());
        let (limit, vat) = (U256::from(u64::MAX), U256::ZERO);
        let compat = message::buy(&self.others, &invoice, limit, vat);
        let nonce = self.state.nonce(&self.others);
        let digest = message::buy_strict(self.state.params().chain_id, nonce, &compat).hash();
        Purchase {
            count,
            tier,
            max_price,
            invoice,
            usd_limit: limit,
            vat_bp: vat,
            approval: Signature(self.owner.sign_personal(&digest)),
        }
    }

    /// Brings USDC in from outside and buys R1 with it.
    fn buy_r1(&mut self, epoch: u64, who: EthAddress, r1: U256) -> Result<(), SimulationError> {
        if r1.is_zero() {
            return Ok(());
        }
        let reserves = *self.state.pool().reserves;
        let usdc = usdc_for(r1, reserves.r1, reserves.usdc).ok_or(SimulationError::Range("pool"))?;
        self.issue(epoch, who, usdc)?;
        let swap = Action::Swap {
            asset: Asset::Usdc,
            amount: usdc,
            min_out: r1,
        };
        self.send(epoch, who, swap).map(|_| ())
    }

    fn issue(&mut self, epoch: u64, to: EthAddress, amount: U256) -> Result<(), SimulationError> {
        let issue = OwnerAction::IssueUsdc { to, amount };
        let owner = self.owner.eth_address();
        self.send(epoch, owner, Action::Owner(issue)).map(|_| ())
    }

    /// Ends the jobs that are over, and starts as many as the plan has by the end of the epoch.
    pub(super) fn keep_jobs(&mut self, epoch: u64) -> Result<(), SimulationError> {
        let owner = self.owner.eth_address();
        // No job starts in epoch 0.
        if epoch == 0 {
            return Ok(());
        }
        let (over, running): (Vec<_>, Vec<_>) =
            self.market.jobs.iter().partition(|(_, last, _)| *last <= epoch);
        self.market.jobs = running;
        for (job, ..) in over {
            let nodes = Vec::new();
            self.send(epoch, owner, Action::SubmitNodes { job, nodes })?;
        }
        let target = usize::try_from(self.plan.grown(self.plan.jobs, epoch)).unwrap_or(usize::MAX);
        while self.market.jobs.len() < target {
            self.start_job(epoch)?;
        }
        Ok(())
    }

    fn start_job(&mut self, epoch: u64) -> Result<(), SimulationError> {
        let owner = self.owner.eth_address();
        let job_type = self.plan.job_type;
        let price = crate::poai::price(&self.state.params().jobs, job_type)
            .map_err(|refusal| refused(epoch, "job", refusal))?;
        self.issue(epoch, owner, price * U256::from(JOB_EPOCHS))?;
        let last = epoch + JOB_EPOCHS;
        let request = JobRequest {
            job_type,
            last_execution_epoch: last,
            nodes: 1,
        };
        let Effect::Created(ids) = self.send(epoch, owner, Action::CreateJobs(vec![request]))? else {
            return Err(SimulationError::Range("job"));
        };
        // The operator always has one job as soon as there are any; the others are spread at random.
        let taken = self.market.jobs.iter().any(|(.., node)| *node == 0);
        let node = if taken { self.random_node() } else { 0 };
        let nodes = vec![self.nodes[node].address];
        for job in ids {
            let nodes = nodes.clone();
            self.send(epoch, owner, Action::SubmitNodes { job, nodes })?;
            self.market.jobs.push((job, last, node));
        }
        Ok(())
    }

    /// One of the other operators' nodes; the operator's own while it is alone.
    fn random_node(&mut self) -> usize {
        let others = self.nodes.len() as u64 - 1;
        match next_random(self.random()).checked_rem(others) {
            Some(number) => usize::try_from(number + 1).unwrap_or(0),
            None => 0,
        }
    }

    /// Takes what nodes earned with jobs; returns the R1 it bought, wei.
    pub(super) fn claim_jobs(
        &mut self,
        epoch: u64,
        who: EthAddress,
        nodes: &[usize],
    ) -> Result<U256, SimulationError> {
        let addresses = nodes.iter().map(|node| self.nodes[*node].address);
        let due: Vec<EthAddress> = addresses
            .filter(|node| !self.state.job_earnings(node).is_zero())
            .collect();
        let mut bought = U256::ZERO;
        for group in due.chunks(NODES_PER_CLAIM) {
            let claim = Action::ClaimJobs {
                nodes: group.to_vec(),
                min_out: U256::ZERO,
            };
            let Effect::Paid { usdc, r1 } = self.send(epoch, who, claim)? else {
                continue;
            };
            bought = bought.saturating_add(r1);
            if who == self.operator {
                let paid = &mut self.market.operator_paid;
                paid.poai_usdc = paid.poai_usdc.saturating_add(usdc);
                paid.poai = paid.poai.saturating_add(r1);
            }
        }
        Ok(bought)
    }

    /// An operator sells its share of what it claimed.
    pub(super) fn sell_rewards(
        &mut self,
        epoch: u64,
        who: EthAddress,
        claimed: U256,
    ) -> Result<(), SimulationError> {
        let amount = claimed / U256::from(100) * U256::from(self.plan.sell_percent);
        // Less than an R1 is not worth a swap.
        if amount < U256::from(R1) {
            return Ok(());
        }
        let swap = Action::Swap {
            asset: Asset::R1,
            amount,
            min_out: U256::ZERO,
        };
        self.send(epoch, who, swap).map(|_| ())
    }
}

fn refused(epoch: u64, action: &'static str, refusal: impl Into<Refusal>) -> SimulationError {
    SimulationError::Refused {
        epoch,
        action,
        refusal: Box::new(refusal.into()),
    }
}
