//! The few accounts, nodes and licences that a sequence plays with, and the constants of its network: small enough that
//! tiers sell out, caps are reached and licences mine within some epochs.

use std::{collections::BTreeMap, sync::OnceLock};

use r1_core::{EpochClock, EthAddress, Genesis, GenesisLicence, GenesisOracle, NodeAddress};
use r1_economy::{BlockContext, Mode, State};
use r1_identity::NodeKey;
use serde_json::json;

use crate::settled::settle;

/// Length of an epoch, ms.
pub const EPOCH_MS: u64 = 60_000;
/// When epoch 0 begins, ms.
const START_MS: u64 = 1_000;
/// Accounts, each with a node.
pub const ACCOUNTS: usize = 6;
/// The first so many nodes are oracles.
pub const ORACLES: usize = 3;
/// Node deeds at the start, 1..
const LICENCES: u64 = 5;
/// Epoch from which master node deeds mine.
pub const NO_MINING_EPOCHS: u64 = 2;
pub const CHAIN: u64 = 31_337;

/// An account and its node: one key.
pub struct Wallet {
    /// Which one it is, from 0.
    pub number: usize,
    pub secret: [u8; 32],
    pub eth: EthAddress,
    pub node: NodeAddress,
}

/// What all sequences of a mode share.
pub struct World {
    pub genesis: Genesis,
    /// The state at genesis.
    pub state: State,
    /// A later one, and its time since the beginning, ms.
    pub settled: (State, u64),
    wallets: Vec<Wallet>,
}

impl World {
    /// Made once per mode: keys are slow.
    pub fn get(mode: Mode) -> &'static Self {
        static STRICT: OnceLock<World> = OnceLock::new();
        static COMPAT: OnceLock<World> = OnceLock::new();
        match mode {
            Mode::Strict => STRICT.get_or_init(|| Self::make("strict")),
            Mode::Compat => COMPAT.get_or_init(|| Self::make("compat")),
        }
    }

    fn make(mode: &str) -> Self {
        let wallet = |(number, seed): (usize, u8)| {
            let secret = [seed; 32];
            let key = NodeKey::from_secret_bytes(&secret).expect("a small scalar is a key");
            Wallet {
                number,
                secret,
                eth: key.eth_address(),
                node: key.address(),
            }
        };
        let wallets: Vec<Wallet> = (1..).take(ACCOUNTS).enumerate().map(wallet).collect();
        let genesis = genesis(mode, &wallets);
        let state = State::genesis(&genesis).expect("the genesis is sound");
        let mut world = Self {
            genesis,
            settled: (state.clone(), 0),
            state,
            wallets,
        };
        world.settled = settle(&world);
        world
    }

    /// The wallet of a random number.
    pub fn wallet(&self, number: u8) -> &Wallet {
        &self.wallets[usize::from(number) % ACCOUNTS]
    }

    /// All of them.
    pub fn wallets(&self) -> &[Wallet] {
        &self.wallets
    }

    /// Those whose nodes are oracles.
    pub fn oracles(&self) -> &[Wallet] {
        &self.wallets[..ORACLES]
    }

    /// The owner of the contracts.
    pub fn owner(&self) -> EthAddress {
        self.wallets[0].eth
    }

    /// Each node with an availability: mostly all of them, and all the same.
    pub fn availability(&self, seen: u8, which: u8) -> BTreeMap<NodeAddress, u8> {
        let there = |wallet: &&Wallet| which < 192 || which & (1 << wallet.number) != 0;
        let wallets = self.wallets.iter().filter(there);
        wallets.map(|wallet| (wallet.node, seen)).collect()
    }
}

/// The moment so many ms after the beginning.
pub fn moment(ms: u64) -> BlockContext {
    BlockContext {
        timestamp_ms: START_MS + ms,
        epoch: ms / EPOCH_MS,
    }
}

fn genesis(mode: &str, wallets: &[Wallet]) -> Genesis {
    let licences = (1..=LICENCES)
        .zip(wallets.iter().cycle())
        .map(|(id, wallet)| GenesisLicence {
            id,
            owner: wallet.eth,
        });
    let oracles = wallets[..ORACLES].iter().map(|wallet| GenesisOracle {
        address: wallet.node,
        consensus_addr: String::new(),
        net_addr: String::new(),
    });
    let serde_json::Value::Object(economy) = economy(mode, wallets) else {
        unreachable!("it is written as an object");
    };
    Genesis {
        network: "fuzz".into(),
        chain_id: CHAIN,
        epoch: EpochClock {
            genesis_ms: START_MS,
            length_ms: EPOCH_MS,
        },
        oracle_min_availability: 153,
        oracles: oracles.collect(),
        economy,
        licences: licences.collect(),
    }
}

/// Twelve node deeds in three tiers, each worth some epochs; master node deeds that release within twenty epochs; jobs
/// of two epochs and more.
fn economy(mode: &str, wallets: &[Wallet]) -> serde_json::Value {
    let r1 = |whole: u64| format!("{whole}000000000000000000");
    let allocations: Vec<_> = wallets
        .iter()
        .map(|wallet| json!({"account": wallet.eth, "r1": r1(1_000_000), "usdc": "1000000000000"}))
        .collect();
    json!({
        "mode": mode,
        "owner": wallets[0].eth,
        "minimum_signatures": 2,
        "r1_cap": r1(7_500_000),
        "allocations": allocations,
        "pool": {"account": wallets[0].eth, "r1": r1(300_000), "usdc": "150000000000"},
        "nd": {
            "max_supply": 12,
            "cap": "7292540941934925575",
            "tiers": [{"usd": 500, "units": 3}, {"usd": 750, "units": 4}, {"usd": 1000, "units": 5}],
            "price_tolerance_after_ms": 2 * EPOCH_MS,
            "lp_wallet": wallets[ACCOUNTS - 1].eth,
        },
        "mnd": {
            "max_supply": 5,
            "max_assigned": r1(1_000_000),
            "max_per_licence": r1(400_000),
            "no_mining_epochs": NO_MINING_EPOCHS,
            "mining_epochs": 20,
            "plateau": "6677894211148690000",
            "gnd_assigned": r1(1_000_000),
            "gnd_epochs": 10,
        },
        "adoption": {"licences": 5, "volume_usdc": 200_000_000},
        "jobs": {"min_epochs": 2, "redeem_after_ms": EPOCH_MS / 2, "consensus_cooldown_ms": 5_000},
    })
}
