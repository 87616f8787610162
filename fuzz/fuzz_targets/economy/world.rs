//! The few accounts, nodes and licences that a sequence plays with. Few, so that random numbers meet each other.

use std::{collections::BTreeMap, sync::OnceLock};

use r1_core::{EpochClock, EthAddress, Genesis, GenesisLicence, GenesisOracle, NodeAddress};
use r1_economy::{Action, LicenceRef, Signature, Transaction, link_consent, sign_digest};
use r1_identity::NodeKey;

/// Length of an epoch, ms.
pub const EPOCH_MS: u64 = 60_000;
/// Accounts, each with a node.
pub const WALLETS: usize = 4;
/// Licences at the start, 1.. ; one more number names none.
pub const LICENCES: u64 = 5;
const CHAIN: u64 = 31_337;

/// An account and its node: one key.
pub struct Wallet {
    pub eth: EthAddress,
    pub node: NodeAddress,
    /// Its node's consent to each account's request for each licence, 0..=[`LICENCES`].
    consents: Vec<Vec<Signature>>,
}

/// What all sequences share.
pub struct World {
    pub genesis: Genesis,
    wallets: Vec<Wallet>,
}

impl World {
    /// Made once: signatures are slow.
    pub fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::make)
    }

    fn make() -> Self {
        let secrets: Vec<[u8; 32]> = (1..).take(WALLETS).map(|seed| [seed; 32]).collect();
        let keys: Vec<NodeKey> = secrets
            .iter()
            .map(|secret| NodeKey::from_secret_bytes(secret).expect("a small scalar is a key"))
            .collect();
        let wallet = |(key, secret): (&NodeKey, &[u8; 32])| Wallet {
            eth: key.eth_address(),
            node: key.address(),
            consents: keys
                .iter()
                .map(|asking| {
                    let sign = |licence| {
                        let licence = LicenceRef::Nd(licence);
                        let digest = link_consent(CHAIN, &asking.eth_address(), licence, &key.address(), 0);
                        Signature(sign_digest(secret, &digest).expect("a small scalar signs"))
                    };
                    (0..=LICENCES).map(sign).collect()
                })
                .collect(),
        };
        let wallets: Vec<Wallet> = keys.iter().zip(&secrets).map(wallet).collect();
        Self {
            genesis: genesis(&wallets),
            wallets,
        }
    }

    /// The wallet of a random number.
    pub fn wallet(&self, number: u8) -> &Wallet {
        &self.wallets[usize::from(number) % WALLETS]
    }

    /// Each wallet's node with its availability.
    pub fn availability(&self, values: &[u8; WALLETS]) -> BTreeMap<NodeAddress, u8> {
        self.wallets
            .iter()
            .map(|wallet| wallet.node)
            .zip(values.iter().copied())
            .collect()
    }

    /// A link with the consent that `node` gave `agreed`: valid if that is `who`.
    pub fn link(&self, who: u8, licence: u8, node: u8, agreed: u8) -> Action {
        let licence = id(licence);
        // Mostly the right consent, else nearly every link would be refused for the same reason.
        let agreed = if agreed < 224 { who } else { agreed };
        let node = self.wallet(node);
        let consents = &node.consents[usize::from(agreed) % WALLETS];
        Action::Link {
            licence: LicenceRef::Nd(licence),
            node: node.node,
            consent: consents[usize::try_from(licence).unwrap_or(0)],
        }
    }
}

fn genesis(wallets: &[Wallet]) -> Genesis {
    let licences = (1..=LICENCES)
        .zip(wallets.iter().cycle())
        .map(|(id, wallet)| GenesisLicence {
            id,
            owner: wallet.eth,
        })
        .collect();
    let oracle = GenesisOracle {
        address: wallets[0].node,
        consensus_addr: String::new(),
        net_addr: String::new(),
    };
    Genesis {
        network: "fuzz".into(),
        chain_id: CHAIN,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: EPOCH_MS,
        },
        oracle_min_availability: 153,
        oracles: vec![oracle],
        economy: Default::default(),
        licences,
    }
}

/// A licence's number from a random one; 0 exists nowhere.
fn id(number: u8) -> u64 {
    u64::from(number) % (LICENCES + 1)
}

/// An unlink.
pub fn unlink(licence: u8) -> Action {
    Action::Unlink {
        licence: LicenceRef::Nd(id(licence)),
    }
}

/// A claim.
pub fn claim(licence: u8) -> Action {
    Action::Claim {
        licence: LicenceRef::Nd(id(licence)),
    }
}

/// A transaction of this chain.
pub fn transaction(nonce: u64, action: Action) -> Transaction {
    Transaction {
        chain_id: CHAIN,
        nonce,
        action,
    }
}
