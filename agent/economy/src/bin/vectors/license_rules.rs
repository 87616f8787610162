//! `license_rules.json`: a script of transactions, one after the other. Its sentences are read word by word; one that
//! is not understood is a failed row.

mod actors;
mod mnd;
mod nd;

use std::{collections::BTreeMap, fmt::Display};

use r1_core::{EthAddress, U256};
use r1_economy::{
    Links, Moment, NetworkParams,
    adoption::Adoption,
    bank::{Bank, Mint},
    controller::Controller,
    deeds::NodeDeeds,
    mnd::MasterDeeds,
    pool::{Amounts, Exchange, Pool},
    sale::Sale,
    table::Journal,
};
use serde_json::Value;

use crate::report::{Report, field, integer, list};
use actors::{FOUNDER, ORACLE, OTHER, OWNER, USER, node};

/// When epoch 0 began, s since 1970-01-01 UTC, and how long an epoch is.
const START_S: u64 = 1_748_016_000;
const EPOCH_S: u64 = 86_400;

/// What a transaction came to: nothing, or the contract's error.
type Outcome = Result<(), String>;

/// All rooms, and what the script refers back to.
struct World {
    params: NetworkParams,
    bank: Bank,
    pool: Pool,
    sale: Sale,
    adoption: Adoption,
    deeds: NodeDeeds,
    mnd: MasterDeeds,
    links: Links,
    controller: Controller,
    at: Moment,
    /// Orders so far: their invoices are `a`, `b` and so on.
    orders: u8,
    /// The deed that was last spoken of.
    nd: u64,
    /// The master node deed that was last spoken of.
    mnd_id: u64,
    /// The master node deed that was last added in an epoch.
    added: BTreeMap<u64, u64>,
    /// The node that was last named for a deed.
    nodes: BTreeMap<u64, u64>,
}

impl World {
    fn new() -> Result<Self, String> {
        let why = |refusal: &dyn Display| refusal.to_string();
        let mut params = NetworkParams::preset("mainnet").map_err(|error| why(&error))?;
        params.owner = OWNER;
        let mut bank = Bank::new(U256::MAX);
        let desired = Amounts {
            r1: U256::from(3_000_000_000_000_000_000_000_000_u128),
            usdc: U256::from(1_500_000_000_000_u64),
        };
        for who in [FOUNDER, USER, OTHER] {
            bank.mint(&who, desired.r1, Mint::Genesis)
                .map_err(|refusal| why(&refusal))?;
        }
        bank.issue_usdc(&FOUNDER, desired.usdc)
            .map_err(|refusal| why(&refusal))?;
        let mut pool = Pool::default();
        pool.add_liquidity(&mut bank, &FOUNDER, desired, Amounts::default(), &FOUNDER)
            .map_err(|refusal| why(&refusal))?;
        let mut controller = Controller::new(1);
        controller.add(ORACLE, 0).map_err(|refusal| why(&refusal))?;
        let mut mnd = MasterDeeds::default();
        mnd.found(&params.mnd, &OWNER);
        Ok(Self {
            params,
            bank,
            pool,
            sale: Sale::default(),
            adoption: Adoption::default(),
            deeds: NodeDeeds::default(),
            mnd,
            links: Links::default(),
            controller,
            at: Moment {
                timestamp_ms: START_S * 1000,
                epoch: 0,
            },
            orders: 0,
            nd: 0,
            mnd_id: 1,
            added: BTreeMap::new(),
            nodes: BTreeMap::new(),
        })
    }

    fn rooms(&mut self) -> [&mut dyn Journal; 8] {
        [
            &mut self.bank,
            &mut self.pool,
            &mut self.sale,
            &mut self.adoption,
            &mut self.deeds,
            &mut self.mnd,
            &mut self.links,
            &mut self.controller,
        ]
    }

    fn row(&mut self, row: &Value) -> Result<(), String> {
        if row.get("action").is_none() {
            return self.compare(row);
        }
        let (epoch, second) = (
            integer(field(row, "epoch")?)?,
            integer(field(row, "secondsIntoEpoch")?)?,
        );
        self.at = Moment {
            timestamp_ms: (START_S + epoch * EPOCH_S + second) * 1000,
            epoch,
        };
        let action = field(row, "action")?.as_str().ok_or("the action is no text")?;
        for room in self.rooms() {
            room.begin();
        }
        let outcome = self.act(action);
        for room in self.rooms() {
            if outcome == Ok(Ok(())) {
                room.commit();
            } else {
                room.rollback();
            }
        }
        let ours = match outcome? {
            Ok(()) => "ok".to_owned(),
            Err(revert) => format!("REVERT: {revert}"),
        };
        let theirs = field(row, "result")?;
        if theirs.as_str() == Some(&ours) {
            Ok(())
        } else {
            Err(format!("{action:?}: {ours:?}, the contracts gave {theirs}"))
        }
    }

    /// One sentence. The outer error says that it is not understood.
    fn act(&mut self, action: &str) -> Result<Outcome, String> {
        match action.strip_prefix("MND ") {
            Some(action) => self.act_mnd(action),
            None => self.act_nd(action.trim_start_matches("ND ")),
        }
    }

    /// Compares what the row tells of the state.
    fn compare(&self, row: &Value) -> Result<(), String> {
        let row = row.as_object().ok_or("not an object")?;
        let mut compared = 0;
        for (name, theirs) in row {
            let length = theirs.as_array().map(Vec::len);
            let ours = if matches!(name.as_str(), "after" | "note" | "epoch" | "secondsIntoEpoch") {
                continue;
            } else if let Some(number) = between(name, "node", "Registered") {
                Value::Bool(self.links.contains(&node(number)))
            } else if let (Some(id), Some(6)) = (between(name, "license", ""), length) {
                self.deed_row(id)?
            } else if let (Some(id), Some(7)) = (between(name, "license", ""), length) {
                self.master_row(id)?
            } else if let Some(epoch) = between(name, "firstMiningEpoch_added_at_", "") {
                self.first_mining(epoch)?
            } else if name.starts_with("totalAssigned") {
                Value::String(self.mnd.status.assigned.to_string())
            } else if name.starts_with("isNodeActive") {
                Value::Bool(self.is_active())
            } else {
                return Err(format!("field {name:?} is not known"));
            };
            if ours != *theirs {
                return Err(format!("{name}: {ours}, the contracts gave {theirs}"));
            }
            compared += 1;
        }
        if compared == 0 {
            return Err("nothing to compare".to_owned());
        }
        Ok(())
    }
}

/// The number between two texts that make up the rest of the name.
fn between(name: &str, before: &str, after: &str) -> Option<u64> {
    name.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
}

/// The number that follows a text.
fn number_after(text: &str, before: &str) -> Option<u64> {
    let (_, rest) = text.split_once(before)?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn address(value: Option<EthAddress>) -> Value {
    Value::String(value.unwrap_or(EthAddress::new([0; 20])).to_string())
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    let rows = field(value, "log").and_then(list);
    let world = rows.and_then(|rows| Ok((rows, World::new()?)));
    match world {
        Ok((rows, mut world)) => {
            for (index, row) in rows.iter().enumerate() {
                report.row(format!("row {index}"), world.row(row));
            }
        }
        Err(why) => report.fail(why),
    }
}
