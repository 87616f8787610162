//! What the oracles sign: EIP-712 digests, so that a contract can check a certificate with `ecrecover`.

use r1_core::{CanonicalLimits, FloatForm, Genesis, canonical_json};
use sha3::{Digest, Keccak256};

/// A 32-byte keccak256 digest.
pub type Hash = [u8; 32];

/// The step word of a prevote in a signed vote.
#[cfg(feature = "engine")]
pub(crate) const STEP_PREVOTE: u8 = 1;
/// The step word of a precommit in a signed vote.
pub(crate) const STEP_PRECOMMIT: u8 = 2;

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)";
const DOMAIN_NAME: &[u8] = b"Ratio1 OracleSync";
const DOMAIN_VERSION: &[u8] = b"1";
const VOTE_TYPE: &[u8] = b"Vote(uint8 step,uint64 height,uint64 roundPlus1,bytes32 value)";
#[cfg(feature = "engine")]
const PROPOSAL_TYPE: &[u8] = b"Proposal(uint64 height,uint64 roundPlus1,bytes32 value,uint64 polRoundPlus1)";
#[cfg(feature = "engine")]
const PART_TYPE: &[u8] = b"Part(uint64 height,uint64 roundPlus1,bytes32 value)";
const TABLE_TYPE: &[u8] = b"Table(uint64 epoch,bytes32 body)";
const GENESIS_TAG: &[u8] = b"r1/genesis/1";

/// Keccak256 of some bytes.
pub fn keccak(bytes: &[u8]) -> Hash {
    Keccak256::digest(bytes).into()
}

/// What tells one network from another: the hash of everything in its genesis that changes a decision.
///
/// Network addresses of oracles are left out, so that an oracle may move without founding a new network; lists
/// are hashed in sorted order, so that their order in the file means nothing.
pub fn network_hash(genesis: &Genesis) -> Hash {
    let mut hasher = Keccak256::new();
    hasher.update(GENESIS_TAG);
    hasher.update((genesis.network.len() as u64).to_be_bytes());
    hasher.update(genesis.network.as_bytes());
    hasher.update(genesis.chain_id.to_be_bytes());
    hasher.update(genesis.epoch.genesis_ms.to_be_bytes());
    hasher.update(genesis.epoch.length_ms.to_be_bytes());
    hasher.update([genesis.oracle_min_availability]);
    let mut oracles: Vec<_> = genesis.oracles.iter().map(|oracle| oracle.address).collect();
    oracles.sort_unstable();
    hasher.update((oracles.len() as u64).to_be_bytes());
    for oracle in oracles {
        hasher.update(oracle.as_compressed());
    }
    let mut licences: Vec<_> = genesis
        .licences
        .iter()
        .map(|licence| (licence.id, licence.owner))
        .collect();
    licences.sort_unstable();
    hasher.update((licences.len() as u64).to_be_bytes());
    for (id, owner) in licences {
        hasher.update(id.to_be_bytes());
        hasher.update(owner.as_bytes());
    }
    if !genesis.economy.is_empty() {
        hasher.update(canonical_economy(genesis));
    }
    hasher.finalize().into()
}

/// The canonical text of the economy's constants. The file was read from disk, so its nesting is bounded already.
fn canonical_economy(genesis: &Genesis) -> String {
    let unlimited = CanonicalLimits {
        max_bytes: usize::MAX,
        max_depth: usize::MAX,
    };
    canonical_json(&genesis.economy, |_| true, FloatForm::Current, unlimited).expect("no limit is reached")
}

/// The EIP-712 domain of one network: a signature made in one network means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    separator: Hash,
    network: Hash,
}

impl Domain {
    /// The domain of a network of this chain id and [`network_hash`] (which becomes the salt).
    pub fn new(chain_id: u64, network: Hash) -> Self {
        let words = [
            keccak(DOMAIN_NAME),
            keccak(DOMAIN_VERSION),
            word(chain_id),
            network,
        ];
        Self {
            separator: hash_struct(DOMAIN_TYPE, &words),
            network,
        }
    }

    /// The domain of a genesis.
    pub fn of(genesis: &Genesis) -> Self {
        Self::new(genesis.chain_id, network_hash(genesis))
    }

    /// The [`network_hash`] this domain was made of.
    pub fn network(&self) -> Hash {
        self.network
    }

    /// What a precommit for a value signs; a certificate is signatures over this.
    pub fn precommit(&self, height: u64, round: u32, value: &Hash) -> Hash {
        self.vote(STEP_PRECOMMIT, height, Some(round), Some(value))
    }

    /// What a vote signs; no value is `nil`.
    pub(crate) fn vote(&self, step: u8, height: u64, round: Option<u32>, value: Option<&Hash>) -> Hash {
        let words = [
            word(u64::from(step)),
            word(height),
            round_word(round),
            value.copied().unwrap_or_default(),
        ];
        self.wrap(VOTE_TYPE, &words)
    }

    /// What an oracle's local table signs.
    pub(crate) fn table(&self, epoch: u64, body: &Hash) -> Hash {
        self.wrap(TABLE_TYPE, &[word(epoch), *body])
    }

    fn wrap(&self, type_text: &[u8], words: &[Hash]) -> Hash {
        let mut hasher = Keccak256::new();
        hasher.update([0x19, 0x01]);
        hasher.update(self.separator);
        hasher.update(hash_struct(type_text, words));
        hasher.finalize().into()
    }
}

#[cfg(feature = "engine")]
impl Domain {
    /// What a proposal signs.
    pub(crate) fn proposal(
        &self,
        height: u64,
        round: Option<u32>,
        value: &Hash,
        pol_round: Option<u32>,
    ) -> Hash {
        self.wrap(
            PROPOSAL_TYPE,
            &[word(height), round_word(round), *value, round_word(pol_round)],
        )
    }

    /// What the part that carries a proposal's payload signs.
    pub(crate) fn part(&self, height: u64, round: Option<u32>, value: &Hash) -> Hash {
        self.wrap(PART_TYPE, &[word(height), round_word(round), *value])
    }
}

fn hash_struct(type_text: &[u8], words: &[Hash]) -> Hash {
    let mut hasher = Keccak256::new();
    hasher.update(keccak(type_text));
    for word in words {
        hasher.update(word);
    }
    hasher.finalize().into()
}

/// An integer as an ABI word.
fn word(value: u64) -> Hash {
    let mut out = [0; 32];
    out[24..].copy_from_slice(&value.to_be_bytes());
    out
}

/// A round as an ABI word: 0 is "no round", n+1 is round n.
fn round_word(round: Option<u32>) -> Hash {
    word(round.map_or(0, |round| u64::from(round) + 1))
}
