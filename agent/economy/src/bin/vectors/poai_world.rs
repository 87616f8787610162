//! A small world in which the rules of jobs are run: an escrow, a pool, oracles and nodes.

use std::collections::BTreeMap;

use r1_core::{EthAddress, U256};
use r1_economy::{
    Mode, Moment, NetworkParams,
    adoption::Adoption,
    bank::{Asset, Bank, Mint, holder},
    poai::{Job, JobRequest, Poai, PoaiContext, PoaiRefusal, Registry},
    pool::{Pool, Reserves},
    table::Var,
};
use serde_json::{Value, json};

use crate::report::{amount, field, integer, list};

/// Who is who.
#[derive(Debug, Default)]
pub struct People {
    /// The oracles.
    pub oracles: Vec<EthAddress>,
    /// Wallets that own an oracle's licence.
    pub oracle_owners: Vec<EthAddress>,
    /// Owners of nodes.
    pub nodes: BTreeMap<EthAddress, EthAddress>,
}

impl Registry for People {
    fn is_oracle(&self, account: &EthAddress) -> bool {
        self.oracles.contains(account)
    }

    fn oracles(&self) -> usize {
        self.oracles.len()
    }

    fn owns_oracle_node(&self, wallet: &EthAddress) -> bool {
        self.oracle_owners.contains(wallet)
    }

    fn deed_owner(&self, node: &EthAddress) -> Option<EthAddress> {
        self.nodes.get(node).copied()
    }
}

/// Addresses of the world's people.
pub const CSP: EthAddress = EthAddress::new([0xC5; 20]);
/// Somebody without any right.
pub const STRANGER: EthAddress = EthAddress::new([0x57; 20]);
/// A delegate.
pub const DELEGATE: EthAddress = EthAddress::new([0xDE; 20]);
/// The owner of the nodes.
pub const OPERATOR: EthAddress = EthAddress::new([0x09; 20]);

/// The n-th oracle.
pub fn oracle(n: u8) -> EthAddress {
    EthAddress::new([n.wrapping_add(1); 20])
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// The network's constants.
    pub params: NetworkParams,
    /// Balances.
    pub bank: Bank,
    /// The pool.
    pub pool: Pool,
    /// Adoption.
    pub adoption: Adoption,
    /// Escrows and jobs.
    pub poai: Poai,
    /// Who is who.
    pub people: People,
    /// Now.
    pub at: Moment,
}

impl World {
    /// A world with some oracles and a pool; the CSP and its delegate have money.
    pub fn new(oracles: u8, r1: U256, usdc: U256) -> Result<Self, String> {
        let params = NetworkParams::preset("mainnet").map_err(|error| error.to_string())?;
        let mut bank = Bank::new(params.r1_cap);
        bank.mint(&holder::POOL, r1, Mint::Genesis)
            .map_err(|error| error.to_string())?;
        for (who, usdc) in [
            (holder::POOL, usdc),
            (CSP, U256::from(u64::MAX)),
            (DELEGATE, U256::from(u64::MAX)),
        ] {
            bank.issue_usdc(&who, usdc).map_err(|error| error.to_string())?;
        }
        let reserves = Reserves {
            r1,
            usdc,
            shares: U256::from(1),
        };
        let people = People {
            oracles: (0..oracles).map(oracle).collect(),
            oracle_owners: vec![CSP],
            nodes: BTreeMap::new(),
        };
        Ok(Self {
            params,
            bank,
            pool: Pool {
                reserves: Var::new(reserves),
                ..Pool::default()
            },
            adoption: Adoption::default(),
            poai: Poai::default(),
            people,
            at: Moment {
                timestamp_ms: 1_748_016_000_000,
                epoch: 0,
            },
        })
    }

    /// Goes to the beginning of an epoch.
    pub fn epoch(&mut self, epoch: u64) {
        self.at = Moment {
            timestamp_ms: 1_748_016_000_000 + epoch * 86_400_000 + 1_000,
            epoch,
        };
    }

    /// Some seconds go by.
    pub fn wait(&mut self, seconds: u64) {
        self.at.timestamp_ms += seconds * 1_000;
    }

    /// The escrow of the CSP.
    pub fn deploy(&mut self, owner: &EthAddress) -> Result<(), PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        self.poai.deploy(&context, owner)
    }

    /// A job in the escrow of the CSP.
    pub fn create(
        &mut self,
        sender: &EthAddress,
        job_type: u8,
        last: u64,
        nodes: u64,
    ) -> Result<u64, PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        let request = JobRequest {
            job_type,
            last_execution_epoch: last,
            nodes,
        };
        let ids = self
            .poai
            .create_jobs(&context, sender, &CSP, &[request], &mut self.bank)?;
        ids.first().copied().ok_or(PoaiRefusal::NoJob(0))
    }

    /// An oracle's submission.
    pub fn submit(&mut self, who: &EthAddress, id: u64, nodes: &[EthAddress]) -> Result<bool, PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        let rooms = (
            &mut self.bank,
            &mut self.pool as &mut dyn r1_economy::pool::Exchange,
            &mut self.adoption,
        );
        self.poai
            .submit(&context, who, (id, nodes), rooms)
            .map(|agreed| agreed.is_some())
    }

    /// Enough oracles submit the same set.
    pub fn agree(&mut self, id: u64, nodes: &[EthAddress]) -> Result<(), PoaiRefusal> {
        for who in self.people.oracles.clone() {
            if self.submit(&who, id, nodes)? {
                break;
            }
        }
        Ok(())
    }

    /// Everything that is over is allocated.
    pub fn allocate(&mut self) -> Result<r1_economy::poai::Allocated, PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        self.poai
            .allocate_all(&context, &mut self.bank, &mut self.pool, &mut self.adoption)
    }

    /// A longer job; what it costs.
    pub fn extend_duration(&mut self, sender: &EthAddress, id: u64, last: u64) -> Result<U256, PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        self.poai
            .extend_duration(&context, sender, id, last, &mut self.bank)
    }

    /// A larger job; what it costs.
    pub fn extend_nodes(&mut self, sender: &EthAddress, id: u64, nodes: u64) -> Result<U256, PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        self.poai
            .extend_nodes(&context, sender, id, nodes, &mut self.bank)
    }

    /// A job is taken back; the refund.
    pub fn redeem(&mut self, sender: &EthAddress, id: u64) -> Result<U256, PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        self.poai.redeem(&context, sender, id, &mut self.bank)
    }

    /// Nodes claim.
    pub fn claim(&mut self, sender: &EthAddress, nodes: &[EthAddress]) -> Result<(U256, U256), PoaiRefusal> {
        let context = context(&self.params, &self.people, self.at);
        self.poai.claim(
            &context,
            sender,
            (nodes, U256::ZERO),
            &mut self.bank,
            &mut self.pool,
        )
    }

    /// What somebody holds in USDC.
    pub fn usdc(&self, who: &EthAddress) -> U256 {
        self.bank.balance(Asset::Usdc, who)
    }
}

fn context<'a>(params: &'a NetworkParams, people: &'a People, at: Moment) -> PoaiContext<'a> {
    PoaiContext {
        jobs: &params.jobs,
        mode: Mode::Compat,
        at,
        registry: people,
    }
}

/// A job as the measurements write it.
pub fn written(job: &Job) -> Value {
    let nodes: Vec<_> = job.active_nodes.iter().map(ToString::to_string).collect();
    json!({
        "jobType": job.job_type.to_string(),
        "pricePerEpoch": job.price.to_string(),
        "lastExecutionEpoch": job.last_execution_epoch.to_string(),
        "numberOfNodesRequested": job.nodes_requested.to_string(),
        "balance": job.balance.to_string(),
        "lastAllocatedEpoch": job.last_allocated_epoch.to_string(),
        "activeNodes": nodes,
        "started": job.started,
    })
}

/// The nodes of a written job.
pub fn nodes_of(job: &Value) -> Result<Vec<EthAddress>, String> {
    list(field(job, "activeNodes")?)?.iter().map(address).collect()
}

/// An address.
pub fn address(value: &Value) -> Result<EthAddress, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{value} is not an address"))?;
    text.parse().map_err(|_| format!("{text:?} is not an address"))
}

/// The opposite of [`written`].
pub fn read(job: &Value) -> Result<Job, String> {
    Ok(Job {
        escrow: CSP,
        job_type: u8::try_from(integer(field(job, "jobType")?)?).map_err(|_| "job type above 255")?,
        price: amount(field(job, "pricePerEpoch")?)?,
        last_execution_epoch: integer(field(job, "lastExecutionEpoch")?)?,
        nodes_requested: integer(field(job, "numberOfNodesRequested")?)?,
        balance: amount(field(job, "balance")?)?,
        last_allocated_epoch: integer(field(job, "lastAllocatedEpoch")?)?,
        active_nodes: nodes_of(job)?,
        requested_at_ms: 0,
        requested_epoch: 0,
        started: field(job, "started")?.as_bool().ok_or("started is no boolean")?,
        closed: false,
        agreed_at_ms: 0,
    })
}
