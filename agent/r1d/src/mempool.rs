//! Transactions that wait for a block: bounded, each checked before it is kept. Pure; the ledger's state comes in.

use std::collections::BTreeMap;

use r1_core::EthAddress;
use r1_economy::{Action, BlockContext, DecodeError, Refusal, SignedTransaction, State};

/// Most transactions that wait.
pub const MAX_WAITING: usize = 4096;
/// Most transactions of one account that wait: how far its nonces may run ahead.
pub const MAX_PER_ACCOUNT: u64 = 16;
/// Most transactions put into one block.
pub const MAX_PER_BLOCK: usize = 512;

/// Why a transaction does not wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Not a transaction.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The ledger would refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The account's nonces may not run so far ahead.
    #[error("account {account}: nonce {got} is too far ahead of {expected}")]
    Ahead {
        /// The account.
        account: EthAddress,
        /// The nonce.
        got: u64,
        /// The next nonce that the ledger takes.
        expected: u64,
    },
    /// It waits already, or another with the same nonce does.
    #[error("account {account}: a transaction with nonce {nonce} waits already")]
    Known {
        /// The account.
        account: EthAddress,
        /// The nonce.
        nonce: u64,
    },
    /// Too many wait.
    #[error("{MAX_WAITING} transactions wait already")]
    Full,
}

impl PoolError {
    /// A short stable word, the `reason` of the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Refused(Refusal::Signature) => "forged",
            Self::Refused(Refusal::Nonce { .. }) => "replayed",
            Self::Refused(_) => "refused",
            Self::Ahead { .. } => "ahead",
            Self::Known { .. } => "duplicate",
            Self::Full => "full",
        }
    }

    /// True if no honest node would send or pass this on.
    pub fn is_hostile(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_) | Self::Refused(Refusal::Signature | Refusal::Chain { .. })
        )
    }
}

/// The waiting transactions, by sender and nonce.
#[derive(Debug, Default)]
pub struct Mempool {
    waiting: BTreeMap<(EthAddress, u64), SignedTransaction>,
}

impl Mempool {
    /// Takes a transaction's bytes; returns its name.
    ///
    /// # Errors
    /// A [`PoolError`]; nothing changes then.
    pub fn add(
        &mut self,
        state: &mut State,
        context: BlockContext,
        bytes: &[u8],
    ) -> Result<[u8; 32], PoolError> {
        let signed = SignedTransaction::decode(bytes)?;
        let account = signed.sender().ok_or(Refusal::Signature)?;
        let (got, expected) = (signed.transaction.nonce, state.nonce(&account));
        if got < expected {
            return Err(Refusal::Nonce {
                account,
                got,
                expected,
            }
            .into());
        }
        if got - expected >= MAX_PER_ACCOUNT {
            return Err(PoolError::Ahead {
                account,
                got,
                expected,
            });
        }
        if self.waiting.contains_key(&(account, got)) {
            return Err(PoolError::Known { account, nonce: got });
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(PoolError::Full);
        }
        if got == expected {
            state.try_apply(context, &signed)?;
        }
        let name = signed.name();
        self.waiting.insert((account, got), signed);
        Ok(name)
    }

    /// The transactions of the next block, at most `max`, in an order in which the ledger takes them all. The state has
    /// taken them afterwards; the caller set a savepoint and takes it back.
    pub fn select(&self, state: &mut State, context: BlockContext, max: usize) -> Vec<Vec<u8>> {
        let mut chosen = Vec::new();
        for signed in self.waiting.values() {
            if chosen.len() >= max.min(MAX_PER_BLOCK) {
                break;
            }
            if state.apply(context, signed).is_ok() {
                chosen.push(signed.encode());
            }
        }
        chosen
    }

    /// Drops what the ledger has taken since, and what it refuses now that its turn has come.
    pub fn prune(&mut self, state: &mut State, context: BlockContext) {
        self.waiting.retain(
            |(account, nonce), signed| match nonce.cmp(&state.nonce(account)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => state.try_apply(context, signed).is_ok(),
                std::cmp::Ordering::Greater => true,
            },
        );
    }

    /// The next free nonce of an account.
    pub fn next_nonce(&self, state: &State, account: &EthAddress) -> u64 {
        let mut nonce = state.nonce(account);
        while self.waiting.contains_key(&(*account, nonce)) {
            nonce += 1;
        }
        nonce
    }

    /// The waiting transactions of an account, in order of their nonces.
    pub fn of(&self, account: EthAddress) -> impl Iterator<Item = &SignedTransaction> {
        self.waiting
            .range((account, 0)..=(account, u64::MAX))
            .map(|(_, signed)| signed)
    }

    /// True if an account has a waiting transaction that does this.
    pub fn has(&self, account: EthAddress, test: impl Fn(&Action) -> bool) -> bool {
        self.of(account).any(|signed| test(&signed.transaction.action))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use r1_core::{EpochClock, Genesis, GenesisLicence};
    use r1_economy::{LicenceRef, Signature, Transaction, link_consent, sign_digest, table::Journal as _};
    use r1_oraclesync::OracleKey;

    use super::*;

    const SECRET: [u8; 32] = [3; 32];
    const CONTEXT: BlockContext = BlockContext {
        timestamp_ms: 1,
        epoch: 0,
    };

    fn state() -> State {
        let owner = OracleKey::from_secret(&SECRET).unwrap().eth();
        State::genesis(&Genesis {
            network: "test".into(),
            chain_id: 7,
            epoch: EpochClock {
                genesis_ms: 0,
                length_ms: 60_000,
            },
            oracle_min_availability: 0,
            oracles: Vec::new(),
            economy: Default::default(),
            licences: vec![GenesisLicence { id: 1, owner }],
        })
        .unwrap()
    }

    fn tx(nonce: u64, action: Action) -> Vec<u8> {
        Transaction {
            chain_id: 7,
            nonce,
            action,
        }
        .sign(&SECRET)
        .unwrap()
        .encode()
    }

    fn link(nonce: u64) -> Vec<u8> {
        let key = OracleKey::from_secret(&SECRET).unwrap();
        let consent = sign_digest(
            &SECRET,
            &link_consent(7, &key.eth(), LicenceRef::Nd(1), &key.node(), 0),
        )
        .unwrap();
        tx(
            nonce,
            Action::Link {
                licence: LicenceRef::Nd(1),
                node: key.node(),
                consent: Signature(consent),
            },
        )
    }

    /// What a block would hold; the state is as before.
    fn select(pool: &Mempool, state: &mut State) -> Vec<Vec<u8>> {
        state.begin();
        let chosen = pool.select(state, CONTEXT, 10);
        state.rollback();
        chosen
    }

    #[test]
    fn a_sound_transaction_waits_once_and_leaves_when_it_is_decided() {
        let (mut pool, mut state) = (Mempool::default(), state());
        let owner = OracleKey::from_secret(&SECRET).unwrap().eth();
        pool.add(&mut state, CONTEXT, &link(0)).unwrap();
        assert_eq!(
            pool.add(&mut state, CONTEXT, &link(0)).unwrap_err().reason(),
            "duplicate"
        );
        assert_eq!((pool.len(), pool.next_nonce(&state, &owner)), (1, 1));
        let chosen = select(&pool, &mut state);
        assert_eq!(chosen, [link(0)]);
        state
            .apply(CONTEXT, &SignedTransaction::decode(&chosen[0]).unwrap())
            .unwrap();
        pool.prune(&mut state, CONTEXT);
        assert!(pool.is_empty());
        assert_eq!(
            pool.add(&mut state, CONTEXT, &link(0)).unwrap_err().reason(),
            "replayed"
        );
    }

    #[test]
    fn what_cannot_be_taken_is_refused_by_reason() {
        let (mut pool, mut state) = (Mempool::default(), state());
        let claim = |nonce| {
            tx(
                nonce,
                Action::Claim {
                    licence: LicenceRef::Nd(1),
                },
            )
        };
        assert_eq!(
            pool.add(&mut state, CONTEXT, b"garbage").unwrap_err().reason(),
            "malformed"
        );
        assert_eq!(
            pool.add(&mut state, CONTEXT, &claim(0)).unwrap_err().reason(),
            "refused"
        );
        assert_eq!(
            pool.add(&mut state, CONTEXT, &claim(MAX_PER_ACCOUNT))
                .unwrap_err()
                .reason(),
            "ahead"
        );
        let mut forged = link(0);
        let last = forged.len() - 1;
        forged[last] ^= 0xff;
        assert!(pool.add(&mut state, CONTEXT, &forged).unwrap_err().is_hostile());
        assert!(pool.is_empty());
    }

    #[test]
    fn a_later_nonce_waits_for_the_earlier_one_and_useless_ones_go() {
        let (mut pool, mut state) = (Mempool::default(), state());
        pool.add(
            &mut state,
            CONTEXT,
            &tx(
                1,
                Action::Claim {
                    licence: LicenceRef::Nd(1),
                },
            ),
        )
        .unwrap();
        assert_eq!(select(&pool, &mut state), Vec::<Vec<u8>>::new());
        pool.prune(&mut state, CONTEXT);
        assert_eq!(pool.len(), 1, "its turn may come");
        pool.add(&mut state, CONTEXT, &link(0)).unwrap();
        assert_eq!(select(&pool, &mut state).len(), 1);
        state
            .apply(CONTEXT, &SignedTransaction::decode(&link(0)).unwrap())
            .unwrap();
        pool.prune(&mut state, CONTEXT);
        assert!(pool.is_empty(), "nothing to claim, so the claim is dropped");
    }
}
