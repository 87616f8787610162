//! What the owner of an escrow and its delegates do: create, extend, take back.

use r1_core::{EthAddress, U256};

use super::{
    Delegation, Escrow, Job, JobRequest, Poai, PoaiContext, PoaiRefusal, difference, permission, price, sum,
};
use crate::{
    Mode,
    bank::{Asset, Bank, holder},
};

impl Poai {
    /// An escrow for a wallet that owns an oracle's licence.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn deploy(&mut self, context: &PoaiContext, owner: &EthAddress) -> Result<(), PoaiRefusal> {
        if self.escrows.contains(owner) {
            return Err(PoaiRefusal::HasEscrow(*owner));
        }
        if self.delegates.contains(owner) {
            return Err(PoaiRefusal::Delegated(*owner));
        }
        if !context.registry.owns_oracle_node(owner) {
            return Err(PoaiRefusal::NoOracleNode(*owner));
        }
        self.escrows.insert(*owner, Escrow::default());
        Ok(())
    }

    /// Sets what a delegate may do in the sender's escrow; no bits take all away.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn delegate(
        &mut self,
        owner: &EthAddress,
        delegate: &EthAddress,
        permissions: u8,
    ) -> Result<(), PoaiRefusal> {
        if !self.escrows.contains(owner) {
            return Err(PoaiRefusal::NoEscrow(*owner));
        }
        let known = self.delegates.get(delegate);
        if self.escrows.contains(delegate) || known.is_some_and(|known| known.escrow != *owner) {
            return Err(PoaiRefusal::Delegated(*delegate));
        }
        if permissions == 0 {
            let removed = self.delegates.remove(delegate);
            return removed.map(|_| ()).ok_or(PoaiRefusal::NotDelegate(*delegate));
        }
        let escrow = *owner;
        self.delegates
            .insert(*delegate, Delegation { escrow, permissions });
        Ok(())
    }

    /// The escrow that an account acts in: its own, or the one it is a delegate of.
    pub fn escrow_of(&self, account: &EthAddress) -> Option<EthAddress> {
        if self.escrows.contains(account) {
            return Some(*account);
        }
        self.delegates.get(account).map(|delegation| delegation.escrow)
    }

    fn authorized(&self, account: &EthAddress, escrow: &EthAddress, bit: u8) -> Result<(), PoaiRefusal> {
        let delegation = self.delegates.get(account);
        let delegated =
            delegation.is_some_and(|given| given.escrow == *escrow && given.permissions & bit != 0);
        if account == escrow || delegated {
            Ok(())
        } else {
            Err(PoaiRefusal::NotAuthorized {
                account: *account,
                escrow: *escrow,
            })
        }
    }

    /// Creates jobs in an escrow; the sender pays all of them in advance. Returns their numbers.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn create_jobs(
        &mut self,
        context: &PoaiContext,
        sender: &EthAddress,
        escrow: &EthAddress,
        requests: &[JobRequest],
        bank: &mut Bank,
    ) -> Result<Vec<u64>, PoaiRefusal> {
        if !self.escrows.contains(escrow) {
            return Err(PoaiRefusal::NoEscrow(*escrow));
        }
        self.authorized(sender, escrow, permission::CREATE)?;
        let mut ids = Vec::new();
        let mut total = U256::ZERO;
        for request in requests {
            let (id, cost) = self.create(context, escrow, request)?;
            ids.push(id);
            total = sum(total, cost, "price")?;
        }
        self.deposit(sender, escrow, total, bank)?;
        Ok(ids)
    }

    fn create(
        &mut self,
        context: &PoaiContext,
        escrow: &EthAddress,
        request: &JobRequest,
    ) -> Result<(u64, U256), PoaiRefusal> {
        let (epoch, last) = (context.at.epoch, request.last_execution_epoch);
        let price = price(context.jobs, request.job_type)?;
        if request.nodes == 0 {
            return Err(PoaiRefusal::NoNodes);
        }
        let epochs = last.saturating_sub(epoch);
        if epochs == 0 {
            return Err(PoaiRefusal::Past { last, epoch });
        }
        let min = context.jobs.min_epochs;
        if epochs < min {
            return Err(PoaiRefusal::TooShort { epochs, min });
        }
        let cost = cost(price, request.nodes, epochs)?;
        let id = self
            .last_job
            .checked_add(1)
            .ok_or(PoaiRefusal::Overflow("job number"))?;
        self.last_job.set(id);
        let job = Job {
            escrow: *escrow,
            job_type: request.job_type,
            price,
            last_execution_epoch: last,
            nodes_requested: request.nodes,
            balance: cost,
            last_allocated_epoch: 0,
            active_nodes: Vec::new(),
            requested_at_ms: context.at.timestamp_ms,
            requested_epoch: epoch,
            started: false,
            closed: false,
            agreed_at_ms: 0,
        };
        self.jobs.insert(id, job);
        self.active.insert((*escrow, id), ());
        Ok((id, cost))
    }

    fn deposit(
        &mut self,
        payer: &EthAddress,
        escrow: &EthAddress,
        usdc: U256,
        bank: &mut Bank,
    ) -> Result<(), PoaiRefusal> {
        bank.transfer(Asset::Usdc, payer, &holder::ESCROW, usdc)?;
        let escrow = self.escrow_mut(escrow)?;
        escrow.deposited = sum(escrow.deposited, usdc, "deposits")?;
        Ok(())
    }

    pub(super) fn refund(
        &mut self,
        escrow: &EthAddress,
        to: &EthAddress,
        usdc: U256,
        bank: &mut Bank,
    ) -> Result<(), PoaiRefusal> {
        bank.transfer(Asset::Usdc, &holder::ESCROW, to, usdc)?;
        let escrow = self.escrow_mut(escrow)?;
        escrow.refunded = sum(escrow.refunded, usdc, "refunds")?;
        Ok(())
    }

    /// Strict: a job that is closed or has ended cannot be extended.
    fn extendable(&self, context: &PoaiContext, id: u64) -> Result<&Job, PoaiRefusal> {
        let job = self.job(id)?;
        let last = job.last_execution_epoch;
        match context.mode {
            Mode::Strict if job.closed => Err(PoaiRefusal::Closed(id)),
            Mode::Strict if last <= context.at.epoch => Err(PoaiRefusal::Ended { job: id, last }),
            _ => Ok(job),
        }
    }

    /// Makes a job last until another epoch. Returns what it cost, micro-USDC.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn extend_duration(
        &mut self,
        context: &PoaiContext,
        sender: &EthAddress,
        id: u64,
        last: u64,
        bank: &mut Bank,
    ) -> Result<U256, PoaiRefusal> {
        let job = self.job(id)?;
        self.authorized(sender, &job.escrow, permission::EXTEND_DURATION)?;
        let job = self.extendable(context, id)?;
        let more = last.saturating_sub(job.last_execution_epoch);
        if more == 0 {
            return Err(PoaiRefusal::NotLonger {
                job: id,
                last: job.last_execution_epoch,
            });
        }
        let cost = cost(job.price, job.nodes_requested, more)?;
        let escrow = job.escrow;
        let job = self.job_mut(id)?;
        job.last_execution_epoch = last;
        job.balance = sum(job.balance, cost, "job balance")?;
        self.deposit(sender, &escrow, cost, bank)?;
        Ok(cost)
    }

    /// Gives a job more nodes for the rest of its time. Returns what it cost, micro-USDC. Compat asks too little for a job
    /// that has waited for its start, and cannot pay its last epochs then.
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn extend_nodes(
        &mut self,
        context: &PoaiContext,
        sender: &EthAddress,
        id: u64,
        nodes: u64,
        bank: &mut Bank,
    ) -> Result<U256, PoaiRefusal> {
        let job = self.job(id)?;
        self.authorized(sender, &job.escrow, permission::EXTEND_NODES)?;
        let job = self.extendable(context, id)?;
        let more = nodes.saturating_sub(job.nodes_requested);
        if more == 0 {
            return Err(PoaiRefusal::NotMore {
                job: id,
                nodes: job.nodes_requested,
            });
        }
        let from = match context.mode {
            // Its start will move its end by the epochs it waited, so that all its epochs are still to come.
            Mode::Strict if !job.started => job.requested_epoch,
            _ => context.at.epoch,
        };
        let left = job
            .last_execution_epoch
            .checked_sub(from)
            .ok_or(PoaiRefusal::Overflow("epochs left"))?;
        let cost = cost(job.price, more, left)?;
        let escrow = job.escrow;
        let job = self.job_mut(id)?;
        job.nodes_requested = nodes;
        job.balance = sum(job.balance, cost, "job balance")?;
        self.deposit(sender, &escrow, cost, bank)?;
        Ok(cost)
    }

    /// Takes back a job that was not started. Returns the refund, micro-USDC: to the sender (compat), to the escrow's
    /// owner (strict).
    ///
    /// # Errors
    /// A [`PoaiRefusal`].
    pub fn redeem(
        &mut self,
        context: &PoaiContext,
        sender: &EthAddress,
        id: u64,
        bank: &mut Bank,
    ) -> Result<U256, PoaiRefusal> {
        let job = self.job(id)?.clone();
        self.authorized(sender, &job.escrow, permission::REDEEM)?;
        if job.started {
            return Err(PoaiRefusal::Started(id));
        }
        let at_ms = job.requested_at_ms.saturating_add(context.jobs.redeem_after_ms);
        if context.at.timestamp_ms < at_ms {
            return Err(PoaiRefusal::RedeemCooldown { job: id, at_ms });
        }
        let all = (id, 0, 0)..=(id, u64::MAX, u32::MAX);
        if self.proposals.range(all).next().is_some() {
            return Err(PoaiRefusal::Unvalidated(id));
        }
        let to = match context.mode {
            Mode::Compat => sender,
            Mode::Strict => &job.escrow,
        };
        self.jobs.remove(&id);
        self.active.remove(&(job.escrow, id));
        self.refund(&job.escrow, to, job.balance, bank)?;
        Ok(job.balance)
    }

    /// Takes the rest of a closed job's balance out of it.
    pub(super) fn take_balance(&mut self, id: u64) -> Result<U256, PoaiRefusal> {
        let job = self.job_mut(id)?;
        let rest = job.balance;
        job.balance = difference(job.balance, rest, "job balance")?;
        Ok(rest)
    }
}

fn cost(price: U256, nodes: u64, epochs: u64) -> Result<U256, PoaiRefusal> {
    price
        .checked_mul(U256::from(nodes))
        .and_then(|cost| cost.checked_mul(U256::from(epochs)))
        .ok_or(PoaiRefusal::Overflow("price"))
}
