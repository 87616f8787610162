//! What oracles, everybody and the owners of nodes do: agree on nodes, allocate epochs, claim.

use r1_core::{EthAddress, U256};

use super::{
    Job, Poai, PoaiContext, PoaiRefusal, Proposal,
    consensus::{Decision, decide},
    difference, node_share, sum,
};
use crate::{
    Mode,
    adoption::Adoption,
    bank::{Asset, Bank, Burn, holder},
    message::node_set,
    pool::Exchange,
};

/// What an allocation did. Micro-USDC and R1 wei.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocated {
    /// For nodes.
    pub nodes: U256,
    /// USDC with which R1 was bought to be burned.
    pub burned_usdc: U256,
    /// R1 burned.
    pub burned_r1: U256,
}

impl Allocated {
    /// Both shares together, micro-USDC.
    pub fn gross(&self) -> U256 {
        self.nodes.saturating_add(self.burned_usdc)
    }

    /// The sums of two.
    ///
    /// # Errors
    /// [`PoaiRefusal::Overflow`].
    pub fn plus(&self, other: &Self) -> Result<Self, PoaiRefusal> {
        Ok(Self {
            nodes: sum(self.nodes, other.nodes, "allocation")?,
            burned_usdc: sum(self.burned_usdc, other.burned_usdc, "allocation")?,
            burned_r1: sum(self.burned_r1, other.burned_r1, "allocation")?,
        })
    }
}

impl Poai {
    /// An oracle submits the nodes that run a job, or none when it is over. Returns the set that was agreed on, if that
    /// was the submission that decided it.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn submit(
        &mut self,
        context: &PoaiContext,
        oracle: &EthAddress,
        (id, nodes): (u64, &[EthAddress]),
        (bank, exchange, adoption): (&mut Bank, &mut dyn Exchange, &mut Adoption),
    ) -> Result<Option<Vec<EthAddress>>, PoaiRefusal> {
        if !context.registry.is_oracle(oracle) {
            return Err(PoaiRefusal::NotOracle(*oracle));
        }
        let epoch = context.at.epoch;
        let job = self.job(id)?;
        if job.closed {
            return Err(PoaiRefusal::NoJob(id));
        }
        if job.active_nodes == nodes && job.started {
            return Ok(None);
        }
        let at_ms = job
            .agreed_at_ms
            .saturating_add(context.jobs.consensus_cooldown_ms);
        if job.agreed_at_ms != 0 && context.at.timestamp_ms < at_ms {
            return Err(PoaiRefusal::ConsensusCooldown { job: id, at_ms });
        }
        check_nodes(context, id, job, nodes)?;
        self.forget(id, Some(epoch));
        let sets = self.propose(context, oracle, id, nodes)?;
        let hashes: Vec<_> = sets.iter().map(|proposal| proposal.hash).collect();
        let Decision::Agreed { first, .. } = decide(context.mode, context.registry.oracles(), &hashes) else {
            return Ok(None);
        };
        let nodes = sets
            .get(first)
            .map(|proposal| proposal.nodes.clone())
            .unwrap_or_default();
        self.forget(id, None);
        self.agreed(context, id, &nodes, (bank, exchange, adoption))?;
        Ok(Some(nodes))
    }

    /// Keeps a submission; returns all of this job and epoch in order.
    fn propose(
        &mut self,
        context: &PoaiContext,
        oracle: &EthAddress,
        id: u64,
        nodes: &[EthAddress],
    ) -> Result<Vec<Proposal>, PoaiRefusal> {
        let epoch = context.at.epoch;
        let range = (id, epoch, 0)..=(id, epoch, u32::MAX);
        let mut sets: Vec<Proposal> = self.proposals.range(range).map(|(_, set)| set.clone()).collect();
        if sets.iter().any(|set| set.oracle == *oracle) {
            return Err(PoaiRefusal::Submitted {
                oracle: *oracle,
                job: id,
                epoch,
            });
        }
        let order = u32::try_from(sets.len()).map_err(|_| PoaiRefusal::Overflow("submissions"))?;
        let proposal = Proposal {
            oracle: *oracle,
            hash: node_set(nodes),
            nodes: nodes.to_vec(),
        };
        self.proposals.insert((id, epoch, order), proposal.clone());
        sets.push(proposal);
        Ok(sets)
    }

    /// Forgets the submissions of a job, but for those of one epoch.
    fn forget(&mut self, id: u64, but: Option<u64>) {
        let range = (id, 0, 0)..=(id, u64::MAX, u32::MAX);
        let keys: Vec<_> = self.proposals.range(range).map(|(key, _)| *key).collect();
        for key in keys.into_iter().filter(|(_, epoch, _)| Some(*epoch) != but) {
            self.proposals.remove(&key);
        }
    }

    fn agreed(
        &mut self,
        context: &PoaiContext,
        id: u64,
        nodes: &[EthAddress],
        (bank, exchange, adoption): (&mut Bank, &mut dyn Exchange, &mut Adoption),
    ) -> Result<(), PoaiRefusal> {
        let epoch = context.at.epoch;
        let escrow = self.job(id)?.escrow;
        if context.mode == Mode::Strict {
            // The epochs before are paid to those who ran them.
            self.allocate(context, &escrow, bank, exchange, adoption)?;
        }
        if nodes.is_empty() {
            self.close(context, id, &escrow, bank)?;
        } else {
            let job = self.job_mut(id)?;
            if !job.started {
                job.started = true;
                // Epoch 0 has none before it that could count as allocated.
                job.last_allocated_epoch = epoch.checked_sub(1).ok_or(PoaiRefusal::FirstEpoch(id))?;
                let waited = epoch.saturating_sub(job.requested_epoch);
                job.last_execution_epoch = job
                    .last_execution_epoch
                    .checked_add(waited)
                    .ok_or(PoaiRefusal::Overflow("last epoch"))?;
            }
            job.active_nodes = nodes.to_vec();
        }
        self.job_mut(id)?.agreed_at_ms = context.at.timestamp_ms;
        Ok(())
    }

    /// Closes a job that has ended and is paid. Compat keeps what is left of its balance for ever, strict gives it back to
    /// the escrow's owner.
    fn close(
        &mut self,
        context: &PoaiContext,
        id: u64,
        escrow: &EthAddress,
        bank: &mut Bank,
    ) -> Result<(), PoaiRefusal> {
        let job = self.job(id)?;
        let last = job.last_execution_epoch;
        if last > context.at.epoch || job.last_allocated_epoch.saturating_add(1) < last {
            return Err(PoaiRefusal::NotClosable(id));
        }
        let job = self.job_mut(id)?;
        job.closed = true;
        job.active_nodes.clear();
        self.active.remove(&(*escrow, id));
        if context.mode == Mode::Strict {
            let rest = self.take_balance(id)?;
            self.refund(escrow, escrow, rest, bank)?;
        }
        Ok(())
    }

    /// Allocates all epochs that are over to the nodes of an escrow's jobs, buys R1 with the burned share and burns it.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn allocate(
        &mut self,
        context: &PoaiContext,
        escrow: &EthAddress,
        bank: &mut Bank,
        exchange: &mut dyn Exchange,
        adoption: &mut Adoption,
    ) -> Result<Allocated, PoaiRefusal> {
        let mut all = Allocated::default();
        let Some(over) = context.at.epoch.checked_sub(1) else {
            return Ok(all);
        };
        for id in self.active_of(escrow) {
            let (nodes, burned) = self.allocate_job(context, id, over)?;
            all.nodes = sum(all.nodes, nodes, "allocation")?;
            all.burned_usdc = sum(all.burned_usdc, burned, "allocation")?;
        }
        if !all.burned_usdc.is_zero() {
            let paid = (Asset::Usdc, all.burned_usdc);
            all.burned_r1 = exchange.swap(bank, &holder::ESCROW, paid, U256::ZERO, &holder::ESCROW)?;
            bank.burn(&holder::ESCROW, all.burned_r1, Burn::Job)?;
            let record = self.escrow_mut(escrow)?;
            record.burned = sum(record.burned, all.burned_usdc, "burned")?;
        }
        adoption.record_volume(over, all.gross())?;
        Ok(all)
    }

    /// Allocates one job. Returns what all its nodes and the burn get.
    fn allocate_job(
        &mut self,
        context: &PoaiContext,
        id: u64,
        over: u64,
    ) -> Result<(U256, U256), PoaiRefusal> {
        let job = self.job(id)?;
        let last = over.min(job.last_execution_epoch.saturating_sub(1));
        let epochs = last.saturating_sub(job.last_allocated_epoch);
        if !job.started || epochs == 0 {
            return Ok((U256::ZERO, U256::ZERO));
        }
        let gross = job
            .price
            .checked_mul(U256::from(epochs))
            .ok_or(PoaiRefusal::Overflow("reward"))?;
        let (node_usdc, burned) = node_share(context.jobs, gross)?;
        let (nodes, escrow) = (job.active_nodes.clone(), job.escrow);
        let count = U256::from(nodes.len());
        let total = gross.checked_mul(count).ok_or(PoaiRefusal::Overflow("reward"))?;
        let job = self.job_mut(id)?;
        job.balance = difference(job.balance, total, "job balance")?;
        job.last_allocated_epoch = last;
        for node in nodes {
            let wallet = self.wallets.entry(&(node, escrow));
            *wallet = sum(*wallet, node_usdc, "node balance")?;
        }
        // Both are below the total.
        Ok((node_usdc * count, burned * count))
    }

    /// Allocates all escrows.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn allocate_all(
        &mut self,
        context: &PoaiContext,
        bank: &mut Bank,
        exchange: &mut dyn Exchange,
        adoption: &mut Adoption,
    ) -> Result<Allocated, PoaiRefusal> {
        let owners: Vec<EthAddress> = self.escrows.iter().map(|(owner, _)| *owner).collect();
        let mut all = Allocated::default();
        for owner in owners {
            all = all.plus(&self.allocate(context, &owner, bank, exchange, adoption)?)?;
        }
        Ok(all)
    }

    /// Pays what some nodes of the sender earned, in R1 bought with it; in strict mode at least `min_out` wei. Returns
    /// USDC and R1.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn claim(
        &mut self,
        context: &PoaiContext,
        sender: &EthAddress,
        (nodes, min_out): (&[EthAddress], U256),
        bank: &mut Bank,
        exchange: &mut dyn Exchange,
    ) -> Result<(U256, U256), PoaiRefusal> {
        let (mut usdc, mut r1) = (U256::ZERO, U256::ZERO);
        for node in nodes {
            let owner = context
                .registry
                .deed_owner(node)
                .ok_or(PoaiRefusal::NoDeed(*node))?;
            if owner != *sender {
                return Err(PoaiRefusal::NotNodeOwner {
                    node: *node,
                    owner,
                    sender: *sender,
                });
            }
            let range = (*node, EthAddress::new([0; 20]))..=(*node, EthAddress::new([255; 20]));
            let due: Vec<_> = self
                .wallets
                .range(range)
                .map(|((_, escrow), due)| (*escrow, *due))
                .collect();
            for (escrow, due) in due {
                self.wallets.remove(&(*node, escrow));
                let bought = exchange.swap(bank, &holder::ESCROW, (Asset::Usdc, due), U256::ZERO, sender)?;
                let record = self.escrow_mut(&escrow)?;
                record.paid = sum(record.paid, due, "paid")?;
                usdc = sum(usdc, due, "claim")?;
                r1 = sum(r1, bought, "claim")?;
            }
        }
        if context.mode == Mode::Strict && r1 < min_out {
            return Err(PoaiRefusal::MinimumOut {
                out: r1,
                min: min_out,
            });
        }
        Ok((usdc, r1))
    }
}

fn check_nodes(context: &PoaiContext, id: u64, job: &Job, nodes: &[EthAddress]) -> Result<(), PoaiRefusal> {
    let count = nodes.len() as u64;
    if context.mode == Mode::Strict && count > job.nodes_requested {
        return Err(PoaiRefusal::TooManyNodes {
            job: id,
            nodes: count,
            requested: job.nodes_requested,
        });
    }
    Ok(())
}
