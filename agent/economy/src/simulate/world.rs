//! The accounts of a simulation, and one day of it.

use std::{collections::BTreeMap, ops::RangeInclusive};

use r1_core::{EpochClock, EthAddress, Genesis, GenesisLicence, GenesisOracle, NodeAddress, U256};
use r1_identity::NodeKey;
use serde_json::{Map, Value, json};

use super::{Income, Plan, Sample, SimulationError, market::Market};
use crate::{
    Action, BlockContext, Effect, LicenceRef, OwnerAction, Signature, State, Transaction, link_consent,
    table::Journal as _,
};

const CHAIN: u64 = 31_337;
const DAY_MS: u64 = 86_400_000;
/// 18 decimals.
pub(super) const R1: u64 = 1_000_000_000_000_000_000;
/// 6 decimals.
pub(super) const USDC: u64 = 1_000_000;
/// Most that a day's availability lies beside the mean.
const SPREAD: u64 = 8;
/// The operator's licence; that of the oracle's node is the one before, all others follow.
const FIRST_DEED: u64 = 2;
/// Number of the key that owns the contracts, is the oracle and pays for jobs.
const OWNER: u64 = 1;
/// Number of the key of the operator whose income is shown.
const OPERATOR: u64 = 2;
/// Number of the key that owns all other node deeds.
const OTHERS: u64 = 3;
/// First number of keys that own master node deeds.
const FIRST_MND: u64 = 1_000;
/// First number of keys of nodes.
const FIRST_NODE: u64 = 100_000;

/// A key by its number.
fn key(number: u64) -> Result<NodeKey, SimulationError> {
    let mut secret = [0; 32];
    secret[24..].copy_from_slice(&number.to_be_bytes());
    NodeKey::from_secret_bytes(&secret).map_err(|_| SimulationError::Range("key"))
}

/// A node of a node deed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) address: EthAddress,
}

/// The next number of a sequence that looks random (SplitMix64).
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What the operator has earned since genesis.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Earned {
    /// Proof of Availability, R1 wei.
    poa: U256,
    /// Proof of AI, micro-USDC.
    pub(super) poai_usdc: U256,
    /// The R1 it bought, wei.
    pub(super) poai: U256,
}

/// A running simulation.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) state: State,
    pub(super) owner: NodeKey,
    pub(super) operator: EthAddress,
    pub(super) others: EthAddress,
    masters: Vec<(EthAddress, LicenceRef)>,
    /// Nodes of node deeds, in the order of the deeds from the operator's on.
    pub(super) nodes: Vec<Node>,
    values: BTreeMap<NodeAddress, u8>,
    pub(super) market: Market,
    random: u64,
    /// What the operator had earned at the last sample, and when that was.
    seen: (Earned, u64),
}

/// Numbers of the node deeds that others hold from genesis on.
fn at_start(plan: &Plan) -> RangeInclusive<u64> {
    FIRST_DEED + 1..=FIRST_DEED + plan.licences_at_start
}

fn genesis(plan: &Plan) -> Result<Genesis, SimulationError> {
    let owner = key(OWNER)?;
    let (operator, others) = (key(OPERATOR)?.eth_address(), key(OTHERS)?.eth_address());
    let pool_r1 = U256::from(plan.pool_r1) * U256::from(R1);
    let pool_usdc = U256::from(plan.pool_usdc) * U256::from(USDC);
    let economy = json!({
        "owner": owner.eth_address(),
        "pool": { "account": owner.eth_address(), "r1": pool_r1.to_string(), "usdc": pool_usdc.to_string() },
    });
    let economy: Map<String, Value> = economy.as_object().cloned().unwrap_or_default();
    let others = at_start(plan).map(|id| (id, others));
    let licences = [(1, owner.eth_address()), (FIRST_DEED, operator)].into_iter();
    let licences = licences.chain(others);
    let licences = licences.map(|(id, owner)| GenesisLicence { id, owner });
    Ok(Genesis {
        network: "simulation".to_owned(),
        chain_id: CHAIN,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: DAY_MS,
        },
        oracle_min_availability: 0,
        oracles: vec![GenesisOracle {
            address: owner.address(),
            consensus_addr: String::new(),
            net_addr: String::new(),
        }],
        licences: licences.collect(),
        economy,
    })
}

/// The first moments of an epoch.
pub(super) fn at(epoch: u64) -> BlockContext {
    BlockContext {
        timestamp_ms: epoch * DAY_MS + 1,
        epoch,
    }
}

impl World {
    pub(super) fn new(plan: &Plan) -> Result<Self, SimulationError> {
        let owner = key(OWNER)?;
        let mut world = Self {
            state: State::genesis(&genesis(plan)?)?,
            operator: key(OPERATOR)?.eth_address(),
            others: key(OTHERS)?.eth_address(),
            owner,
            masters: Vec::new(),
            nodes: Vec::new(),
            values: BTreeMap::new(),
            market: Market::default(),
            random: plan.seed,
            seen: (Earned::default(), 0),
            plan: plan.clone(),
        };
        let eth = world.owner.eth_address();
        let oracle = key(OWNER)?;
        world.link(0, eth, LicenceRef::Nd(1), &oracle)?;
        world.send(0, eth, Action::DeployEscrow)?;
        // The genesis node deed works for the owner, on a node of its own.
        world.link(0, eth, LicenceRef::Mnd(1), &key(FIRST_MND)?)?;
        world.masters.push((eth, LicenceRef::Mnd(1)));
        world.add_masters()?;
        world.link_deed(0, world.operator, FIRST_DEED)?;
        for id in at_start(plan) {
            world.link_deed(0, world.others, id)?;
        }
        Ok(world)
    }

    fn add_masters(&mut self) -> Result<(), SimulationError> {
        let (mnd, eth) = (&self.state.params().mnd, self.owner.eth_address());
        let share = mnd.max_assigned.checked_div(U256::from(self.plan.mnds));
        let share = share.unwrap_or_default().min(mnd.max_per_licence);
        for number in 0..self.plan.mnds {
            let holder = key(FIRST_MND + 1 + number)?;
            let owner = holder.eth_address();
            let add = OwnerAction::AddMnd {
                owner,
                assigned: share,
            };
            if let Effect::Made(licence) = self.send(0, eth, Action::Owner(add))? {
                self.link(0, owner, licence, &holder)?;
                self.masters.push((owner, licence));
            }
        }
        Ok(())
    }

    /// Sends an action; a day has enough blocks for all.
    pub(super) fn send(
        &mut self,
        epoch: u64,
        sender: EthAddress,
        action: Action,
    ) -> Result<Effect, SimulationError> {
        let name = action.name();
        let transaction = Transaction {
            chain_id: CHAIN,
            nonce: 0,
            action,
        };
        let receipt = self.state.apply_as(at(epoch), sender, &transaction);
        receipt
            .map(|receipt| receipt.effect)
            .map_err(|refusal| SimulationError::Refused {
                epoch,
                action: name,
                refusal: Box::new(refusal),
            })
    }

    fn link(
        &mut self,
        epoch: u64,
        owner: EthAddress,
        licence: LicenceRef,
        node: &NodeKey,
    ) -> Result<(), SimulationError> {
        let name = node.address();
        let nonce = self.state.link_nonce(licence);
        let consent = Signature(node.sign_personal(&link_consent(CHAIN, &owner, licence, &name, nonce)));
        self.values.insert(name, 0);
        let action = Action::Link {
            licence,
            node: name,
            consent,
        };
        self.send(epoch, owner, action).map(|_| ())
    }

    /// Links a node deed to a new node.
    pub(super) fn link_deed(
        &mut self,
        epoch: u64,
        owner: EthAddress,
        id: u64,
    ) -> Result<(), SimulationError> {
        let node = key(FIRST_NODE + id)?;
        self.link(epoch, owner, LicenceRef::Nd(id), &node)?;
        self.nodes.push(Node {
            address: node.eth_address(),
        });
        Ok(())
    }

    /// One day: licences are sold, jobs come and go, operators claim; then the epoch is closed.
    pub(super) fn day(&mut self, epoch: u64) -> Result<(), SimulationError> {
        self.sell_licences(epoch)?;
        self.keep_jobs(epoch)?;
        self.claim(epoch)?;
        self.measure();
        let closed = self.state.close_epoch(epoch, &self.values, false);
        let closed = closed.map_err(|refusal| SimulationError::Refused {
            epoch,
            action: "close of the epoch",
            refusal: Box::new(refusal),
        })?;
        if let Some((_, refusal)) = closed.failed.into_iter().next() {
            let refusal = Box::new(refusal.into());
            return Err(SimulationError::Refused {
                epoch,
                action: "allocation of jobs",
                refusal,
            });
        }
        // Nothing is stored, so what changed need not be remembered.
        self.state.mark_stored();
        debug_assert!(!self.state.is_open());
        Ok(())
    }

    /// Every node's availability of the day, evenly spread around the mean.
    fn measure(&mut self) {
        let mean = u64::from(self.plan.availability);
        // As far down as up, so that the mean stays the mean.
        let spread = SPREAD.min(mean).min(u64::from(u8::MAX) - mean);
        for value in self.values.values_mut() {
            let drawn = next_random(&mut self.random) % (2 * spread + 1);
            *value = u8::try_from(mean - spread + drawn).unwrap_or(u8::MAX);
        }
    }

    /// Those whose turn it is claim: licences by their number, so that not all of them sell on one day.
    fn claim(&mut self, epoch: u64) -> Result<(), SimulationError> {
        let every = self.plan.claim_every;
        let turn = |number: u64| number % every == epoch % every;
        let masters = self.masters.iter().filter(|(_, licence)| turn(licence.number()));
        for (owner, licence) in masters.copied().collect::<Vec<_>>() {
            self.claim_licence(epoch, owner, licence)?;
        }
        let nodes: Vec<usize> = (0..self.nodes.len())
            .filter(|node| turn(*node as u64 + FIRST_DEED))
            .collect();
        let (own, others): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(|node| *node == 0);
        self.claim_nodes(epoch, self.operator, &own)?;
        self.claim_nodes(epoch, self.others, &others)
    }

    /// An owner claims for licences and jobs of its nodes, and sells its share of that.
    fn claim_nodes(&mut self, epoch: u64, who: EthAddress, nodes: &[usize]) -> Result<(), SimulationError> {
        let mut claimed = U256::ZERO;
        for node in nodes {
            let licence = LicenceRef::Nd(*node as u64 + FIRST_DEED);
            claimed = claimed.saturating_add(self.claim_licence(epoch, who, licence)?);
        }
        claimed = claimed.saturating_add(self.claim_jobs(epoch, who, nodes)?);
        self.sell_rewards(epoch, who, claimed)
    }

    /// Claims what a licence is owed, if it is anything; returns what was minted, wei.
    fn claim_licence(
        &mut self,
        epoch: u64,
        owner: EthAddress,
        licence: LicenceRef,
    ) -> Result<U256, SimulationError> {
        let due = self.state.licence(licence).map(|view| view.claimable);
        if due.unwrap_or_default().is_zero() {
            return Ok(U256::ZERO);
        }
        match self.send(epoch, owner, Action::Claim { licence })? {
            Effect::Minted(minted) => Ok(minted),
            _ => Ok(U256::ZERO),
        }
    }

    /// What the operator has earned, claimed or not.
    fn earned(&self) -> Earned {
        let licence = self.state.licence(LicenceRef::Nd(FIRST_DEED));
        let unpaid = self.state.job_earnings(&self.nodes[0].address);
        let quote = self.state.least_out(unpaid, 0).unwrap_or_default();
        let paid = self.market.operator_paid;
        Earned {
            poa: licence.map_or(U256::ZERO, |view| view.claimed.saturating_add(view.claimable)),
            poai_usdc: paid.poai_usdc.saturating_add(unpaid),
            poai: paid.poai.saturating_add(quote),
        }
    }

    /// Looks whether every promise of the ledger holds after so many epochs.
    pub(super) fn audit(&self, epoch: u64) -> Result<(), SimulationError> {
        self.state
            .audit()
            .map_err(|broken| SimulationError::Broken { epoch, broken })
    }

    /// The ledger after so many epochs.
    pub(super) fn sample(&mut self, epoch: u64) -> Result<Sample, SimulationError> {
        let (economy, earned) = (self.state.economy(), self.earned());
        let (before, since) = std::mem::replace(&mut self.seen, (earned, epoch));
        let days = U256::from(epoch.saturating_sub(since).max(1));
        // A quote of what is not claimed may have fallen.
        let daily = |now: U256, before: U256| now.saturating_sub(before) / days;
        let poa = daily(earned.poa, before.poa);
        // Wei times a price of 18 decimals, brought to 6: below 2^256 for what one licence earns.
        let scale = U256::from(10).pow(U256::from(30));
        Ok(Sample {
            epoch,
            totals: economy.totals,
            withheld: economy.withheld,
            price: economy.price,
            pool: economy.pool,
            adoption: economy.adoption,
            sold: self.sold(),
            jobs: economy.open_jobs,
            income: Income {
                poa,
                poa_usdc: poa.saturating_mul(economy.price) / scale,
                poai_usdc: daily(earned.poai_usdc, before.poai_usdc),
                poai: daily(earned.poai, before.poai),
            },
        })
    }

    /// Node deeds sold so far: all but the operator's and those that others held before.
    pub(super) fn sold(&self) -> u64 {
        (self.nodes.len() as u64).saturating_sub(self.plan.licences_at_start + 1)
    }

    pub(super) fn random(&mut self) -> &mut u64 {
        &mut self.random
    }

    pub(super) fn cap(&self) -> U256 {
        self.state.params().r1_cap
    }

    pub(super) fn licence_cap(&self) -> U256 {
        self.state.params().nd.cap
    }

    pub(super) fn days_without_sale(&self) -> u64 {
        self.market.days_without_sale
    }
}
