//! The promises that hold after every block, whatever happened in it. An auditor, a fuzzer and a test ask the same
//! question: [`State::audit`].

use r1_core::{EthAddress, U256};

use super::State;
use crate::{
    LicenceRef, Mode,
    bank::{Account, Asset, holder},
    mnd::{GND, MasterDeed},
    poai::Job,
};

/// A promise that does not hold, with the figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// More R1 than may exist.
    #[error("supply of {supply} wei is above the cap of {cap} wei")]
    Cap {
        /// The supply.
        supply: U256,
        /// The cap.
        cap: U256,
    },
    /// Two figures that must be equal.
    #[error("{what}: {left} is not {right}")]
    Sum {
        /// What they are.
        what: &'static str,
        /// The first.
        left: U256,
        /// The second.
        right: U256,
    },
    /// A licence above its cap.
    #[error("licence {licence} claimed {claimed} of at most {assigned} wei")]
    Licence {
        /// The licence.
        licence: LicenceRef,
        /// What it claimed.
        claimed: U256,
        /// What it may.
        assigned: U256,
    },
    /// A node and a licence that do not name each other.
    #[error("licence {licence} and node {node} do not name each other")]
    Link {
        /// The licence.
        licence: LicenceRef,
        /// The node.
        node: EthAddress,
    },
    /// Strict: a job that cannot pay its nodes until it ends.
    #[error("job {job} holds {balance} micro-USDC, its nodes are due {due}")]
    Job {
        /// The job.
        job: u64,
        /// What it holds.
        balance: U256,
        /// What it will pay.
        due: U256,
    },
    /// More left an escrow than came in.
    #[error("escrow of {0} gave out more than was paid in")]
    Escrow(EthAddress),
}

fn equal(what: &'static str, left: U256, right: U256) -> Result<(), Broken> {
    if left == right {
        Ok(())
    } else {
        Err(Broken::Sum { what, left, right })
    }
}

fn at_most(what: &'static str, left: U256, right: U256) -> Result<(), Broken> {
    if left <= right {
        Ok(())
    } else {
        Err(Broken::Sum { what, left, right })
    }
}

fn total(amounts: impl Iterator<Item = U256>) -> U256 {
    amounts.fold(U256::ZERO, U256::saturating_add)
}

impl State {
    /// Looks at the whole ledger; the time it takes grows with it.
    ///
    /// # Errors
    /// The first promise that does not hold.
    pub fn audit(&self) -> Result<(), Broken> {
        self.audit_money()?;
        self.audit_deeds()?;
        self.audit_masters()?;
        self.audit_links()?;
        self.audit_escrows()?;
        self.audit_jobs()
    }

    /// Supply within the cap; sums of balances are the supply; minted less burned is the supply.
    fn audit_money(&self) -> Result<(), Broken> {
        let totals = &self.bank.totals;
        let (supply, cap) = (totals.r1, self.bank.cap);
        if supply > cap {
            return Err(Broken::Cap { supply, cap });
        }
        let held = |asset| self.sum_of_balances(asset);
        equal("balances of R1 and supply", held(Asset::R1), supply)?;
        equal("balances of USDC and its total", held(Asset::Usdc), totals.usdc)?;
        let minted = [
            totals.minted_genesis,
            totals.minted_nd,
            totals.minted_mnd,
            totals.minted_gnd,
        ];
        let burned = [totals.burned_sale, totals.burned_job, totals.burned_voluntary];
        let left = total(burned.into_iter()).saturating_add(supply);
        equal("minted, and burned with supply", total(minted.into_iter()), left)?;
        let own = |account: &Account| account.burned;
        let voluntary = total(self.bank.accounts.iter().map(|(_, account)| own(account)));
        equal(
            "burned by accounts of their own will",
            voluntary,
            totals.burned_voluntary,
        )?;
        let apps = total(self.gratitude.apps.iter().map(|(_, app)| app.burned));
        at_most("burned for apps, and of own will", apps, totals.burned_voluntary)?;
        let reserves = *self.pool.reserves;
        let pool = |asset| self.bank.balance(asset, &holder::POOL);
        at_most(
            "reserve of R1, and what the pool holds",
            reserves.r1,
            pool(Asset::R1),
        )?;
        at_most(
            "reserve of USDC, and what the pool holds",
            reserves.usdc,
            pool(Asset::Usdc),
        )?;
        let shares = total(self.pool.shares.iter().map(|(_, shares)| *shares));
        at_most("LP tokens of providers, and of all", shares, reserves.shares)
    }

    /// No node deed above its cap; what they claimed was minted.
    fn audit_deeds(&self) -> Result<(), Broken> {
        let assigned = self.params.nd.cap;
        let mut claimed = U256::ZERO;
        for (id, deed) in self.deeds.deeds.iter() {
            if deed.claimed.saturating_add(deed.pending) > assigned {
                return Err(Broken::Licence {
                    licence: LicenceRef::Nd(*id),
                    claimed: deed.claimed,
                    assigned,
                });
            }
            claimed = claimed.saturating_add(deed.claimed);
        }
        equal(
            "claimed by node deeds, and minted",
            claimed,
            self.bank.totals.minted_nd,
        )
    }

    /// No master node deed above what it is assigned; minted, withheld and not minted yet are what was claimed. Of the
    /// genesis node deed the dust of its split is never minted.
    fn audit_masters(&self) -> Result<(), Broken> {
        let due = |deed: &MasterDeed| {
            let open = deed.progress.withheld.saturating_add(deed.pending);
            deed.progress.claimed.saturating_sub(open)
        };
        for (id, deed) in self.masters.deeds.iter() {
            let (claimed, assigned) = (deed.progress.claimed, deed.progress.assigned);
            let open = deed.progress.withheld.saturating_add(deed.pending);
            if claimed > assigned || open > claimed {
                return Err(Broken::Licence {
                    licence: LicenceRef::Mnd(*id),
                    claimed,
                    assigned,
                });
            }
        }
        let masters = self.masters.deeds.iter().filter(|(id, _)| **id != GND);
        let minted = total(masters.map(|(_, deed)| due(deed)));
        equal(
            "claimed less withheld by master node deeds, and minted",
            minted,
            self.bank.totals.minted_mnd,
        )?;
        let gnd = self.masters.deeds.get(&GND).map_or(U256::ZERO, due);
        at_most(
            "minted for the genesis node deed, and claimed",
            self.bank.totals.minted_gnd,
            gnd,
        )
    }

    /// Licences and nodes name each other.
    fn audit_links(&self) -> Result<(), Broken> {
        let deeds = self.deeds.deeds.iter().filter(|(_, deed)| !deed.burned);
        let masters = self.masters.deeds.iter().filter(|(_, deed)| !deed.burned);
        let deeds = deeds.filter_map(|(id, deed)| Some((LicenceRef::Nd(*id), deed.node?)));
        let masters = masters.filter_map(|(id, deed)| Some((LicenceRef::Mnd(*id), deed.node?)));
        let mut count = 0_usize;
        for (licence, node) in deeds.chain(masters) {
            count += 1;
            if self.links.get(&node) != Some(&licence) {
                return Err(Broken::Link { licence, node });
            }
        }
        equal(
            "linked licences, and linked nodes",
            U256::from(count),
            U256::from(self.links.len()),
        )
    }

    /// An escrow holds its deposits less what was paid, burned and given back; together they hold what jobs have left and
    /// what nodes have not claimed; the bank has it all.
    fn audit_escrows(&self) -> Result<(), Broken> {
        let mut balance = U256::ZERO;
        for (owner, escrow) in self.poai.escrows.iter() {
            let left = escrow.balance().ok_or(Broken::Escrow(*owner))?;
            balance = balance.saturating_add(left);
        }
        let jobs = total(self.poai.jobs.iter().map(|(_, job)| job.balance));
        let due = total(self.poai.wallets.iter().map(|(_, usdc)| *usdc));
        equal(
            "balances of escrows, and of jobs and nodes",
            balance,
            jobs.saturating_add(due),
        )?;
        let held = self.bank.balance(Asset::Usdc, &holder::ESCROW);
        match self.params.mode {
            Mode::Strict => equal("balances of escrows, and what is held for them", balance, held),
            // Anybody may send USDC to the contract.
            Mode::Compat => at_most("balances of escrows, and what is held for them", balance, held),
        }
    }

    /// Open jobs are registered with their escrows. Strict: each holds what its nodes will earn until it ends, and a closed
    /// one holds nothing. In compat the contracts' ways of under-paying a job are kept.
    fn audit_jobs(&self) -> Result<(), Broken> {
        let open = self.poai.jobs.iter().filter(|(_, job)| !job.closed);
        equal(
            "open jobs, and registered ones",
            U256::from(open.count()),
            U256::from(self.poai.active.len()),
        )?;
        if self.params.mode == Mode::Compat {
            return Ok(());
        }
        for (id, job) in self.poai.jobs.iter() {
            let due = job_due(job);
            if job.balance < due || (job.closed && !job.balance.is_zero()) {
                return Err(Broken::Job {
                    job: *id,
                    balance: job.balance,
                    due,
                });
            }
        }
        Ok(())
    }
}

/// What a job will pay for the epochs that are not allocated, micro-USDC: to its nodes, or to those it asks for while it
/// waits for them.
fn job_due(job: &Job) -> U256 {
    if job.closed {
        return U256::ZERO;
    }
    let last = job.last_execution_epoch;
    let (epochs, nodes) = if job.started {
        let allocated = job.last_allocated_epoch.saturating_add(1);
        (last.saturating_sub(allocated), job.active_nodes.len() as u64)
    } else {
        (last.saturating_sub(job.requested_epoch), job.nodes_requested)
    };
    let node_epochs = U256::from(epochs).saturating_mul(U256::from(nodes));
    job.price.saturating_mul(node_epochs)
}
