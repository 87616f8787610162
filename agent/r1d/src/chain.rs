//! What this node knows of the chain: the ledger, the transactions that wait and the oracles' statements; and the
//! rules by which a block is built, judged and applied. Oracles and workers share it; the clock is passed in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use r1_economy::{BlockContext, Receipt, table::Journal as _};
use r1_oraclesync::{
    Application, Block, BlockError, DecidedBlock, DecodeError, Domain, EpochClose, MAX_TXS, Outcome, Refusal,
    SignedTable,
};
use r1_proof::{Evidence, Missing, Subject};

use crate::{
    ledger::{Ledger, LedgerError, context, execute, run},
    mempool::{Mempool, PoolError},
    statements::{StatementError, Statements},
};

/// How far the clocks of two oracles may differ, ms.
pub const MAX_CLOCK_SKEW_MS: u64 = 2_000;

/// Why a block is refused.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The payload is not a block.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The block does not follow, or its tables are wrong.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The rules refuse it, or it cannot be stored.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It is stamped in the future.
    #[error("block {height} is stamped {ahead_ms} ms ahead of this node's clock")]
    Future {
        /// The block's height.
        height: u64,
        /// How far ahead.
        ahead_ms: u64,
    },
    /// It makes an epoch faulty by leaving out tables that this node knows.
    #[error("block {height} leaves out tables of epoch {epoch} with which it would not be faulty")]
    HiddenTables {
        /// The block's height.
        height: u64,
        /// The epoch.
        epoch: u64,
    },
    /// It closes an epoch that is not over.
    #[error("block {height} closes epoch {epoch}, which is open until {end_ms} ms")]
    EpochOpen {
        /// The block's height.
        height: u64,
        /// The epoch.
        epoch: u64,
        /// The epoch's end, ms since 1970-01-01 UTC.
        end_ms: u64,
    },
}

/// The chain as one node knows it.
#[derive(Debug)]
pub struct Chain {
    ledger: Ledger,
    domain: Domain,
    pool: Mempool,
    statements: Statements,
    /// How long after an epoch's end tables are waited for although more than two thirds are there, ms.
    table_wait_ms: u64,
}

impl Chain {
    /// The chain on top of a ledger. `table_wait_ms`: how long after an epoch's end the tables of all oracles are
    /// waited for; later those of more than two thirds suffice.
    pub fn new(ledger: Ledger, domain: Domain, table_wait_ms: u64) -> Self {
        Self {
            ledger,
            domain,
            pool: Mempool::default(),
            statements: Statements::default(),
            table_wait_ms,
        }
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The signing domain of the network.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The transactions that wait.
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// The oracles' statements about open epochs.
    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Takes a transaction in, wherever it comes from. Returns its hash.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn add_transaction(&mut self, now_ms: u64, bytes: &[u8]) -> Result<[u8; 32], PoolError> {
        let context = self.context(now_ms);
        self.pool.add(self.ledger.state_mut(), context, bytes)
    }

    /// Takes an oracle's table in, wherever it comes from.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn add_table(&mut self, table: SignedTable) -> Result<(), StatementError> {
        let next = self.ledger.state().next_epoch();
        self.statements.add(&self.domain, self.ledger.set(), next, table)
    }

    /// Proves a record of the state after the last block.
    ///
    /// # Errors
    /// [`LedgerError`] if the epoch that it is about cannot be read; inside, [`Missing`].
    pub fn prove(&mut self, subject: Subject) -> Result<Result<Evidence, Missing>, LedgerError> {
        let epoch = match subject {
            Subject::Availability { epoch, .. } => self.ledger.epoch(epoch)?,
            _ => None,
        };
        let agreed = epoch
            .filter(|record| !record.faulty)
            .map(|record| record.availability);
        Ok(Evidence::of(subject, self.ledger.state_mut(), agreed.as_ref()))
    }

    fn context(&self, now_ms: u64) -> BlockContext {
        context(self.ledger.clock(), now_ms.max(self.ledger.tip().timestamp_ms))
    }

    /// The next epoch's close, if the epoch is over and enough has been stated about it. A close that would make the
    /// epoch faulty (and credit everyone) waits for the missing tables for another epoch.
    fn due_close(&self, timestamp_ms: u64) -> Option<EpochClose> {
        let (clock, set) = (self.ledger.clock(), self.ledger.set());
        let epoch = self.ledger.state().next_epoch();
        let end_ms = clock.end_ms(epoch);
        let tables = self.statements.of(epoch)?;
        if timestamp_ms < end_ms || !set.is_quorum(tables.len()) {
            return None;
        }
        let close = EpochClose {
            epoch,
            tables: tables.values().cloned().collect(),
        };
        let wait_ms = match close.outcome(set) {
            _ if close.tables.len() == set.len() => 0,
            Outcome::Agreed(_) => self.table_wait_ms,
            Outcome::Faulty => self.table_wait_ms.max(clock.length_ms),
        };
        (timestamp_ms >= end_ms.saturating_add(wait_ms)).then_some(close)
    }

    /// The block to propose now, if there is anything to decide.
    pub fn build(&mut self, now_ms: u64) -> Option<Block> {
        let tip = self.ledger.tip();
        let timestamp_ms = now_ms.max(tip.timestamp_ms);
        let epoch_close = self.due_close(timestamp_ms);
        if epoch_close.is_none() && self.pool.is_empty() {
            // Asked several times a second.
            return None;
        }
        let mut block = Block {
            network: self.domain.network(),
            height: tip.height + 1,
            parent: tip.id,
            timestamp_ms,
            epoch_close,
            txs: Vec::new(),
            state_root: [0; 32],
        };
        // The transactions see the state behind the epoch's close.
        let context = self.context(now_ms);
        let (clock, set) = (*self.ledger.clock(), self.ledger.set().clone());
        let state = self.ledger.state_mut();
        state.begin();
        let closed = run(state, &clock, &set, &block);
        if closed.is_ok() {
            block.txs = self.pool.select(state, context, MAX_TXS);
            block.state_root = state.root();
        }
        state.rollback();
        closed.ok()?;
        (block.epoch_close.is_some() || !block.txs.is_empty()).then_some(block)
    }

    /// Judges a payload; `now_ms` is `None` if more than two thirds have decided it already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn check(&mut self, payload: &[u8], now_ms: Option<u64>) -> Result<Block, ChainError> {
        let block = Block::decode(payload)?;
        let height = block.height;
        block.follows(&self.domain.network(), &self.ledger.tip())?;
        let ahead_ms = now_ms.map_or(0, |now| block.timestamp_ms.saturating_sub(now));
        if ahead_ms > MAX_CLOCK_SKEW_MS {
            return Err(ChainError::Future { height, ahead_ms });
        }
        if let Some(close) = &block.epoch_close {
            let (epoch, end_ms) = (close.epoch, self.ledger.clock().end_ms(close.epoch));
            if block.timestamp_ms < end_ms {
                return Err(ChainError::EpochOpen {
                    height,
                    epoch,
                    end_ms,
                });
            }
            close.verify(&self.domain, self.ledger.set())?;
            self.refuse_hiding(height, close, now_ms.is_some())?;
        }
        let (clock, set) = (*self.ledger.clock(), self.ledger.set().clone());
        let state = self.ledger.state_mut();
        state.begin();
        let executed = execute(state, &clock, &set, &block);
        state.rollback();
        executed?;
        Ok(block)
    }

    /// A proposer may not make an epoch faulty by leaving out tables that are known here. What more than two thirds
    /// have decided is not judged by what this node happened to hear.
    fn refuse_hiding(&self, height: u64, close: &EpochClose, undecided: bool) -> Result<(), ChainError> {
        let known = self.statements.of(close.epoch).filter(|_| undecided);
        if known.is_some_and(|known| close.hides(known.values(), self.ledger.set())) {
            return Err(ChainError::HiddenTables {
                height,
                epoch: close.epoch,
            });
        }
        Ok(())
    }

    /// Applies a decided block durably; one that was applied before is left alone. The caller has verified the
    /// certificate.
    ///
    /// # Errors
    /// [`ChainError`]; nothing is changed then.
    pub fn apply(
        &mut self,
        decided: &DecidedBlock,
        decide_ms: Option<u64>,
    ) -> Result<Vec<Receipt>, ChainError> {
        let block = Block::decode(&decided.payload)?;
        if block.height <= self.ledger.height() {
            return Ok(Vec::new());
        }
        block.follows(&self.domain.network(), &self.ledger.tip())?;
        let receipts = self.ledger.apply(&block, decided, decide_ms)?;
        let context = self.context(block.timestamp_ms);
        self.pool.prune(self.ledger.state_mut(), context);
        self.statements.prune(self.ledger.state().next_epoch());
        Ok(receipts)
    }
}

/// The chain, shared by the agreement's thread, the network tasks and the control API. Held for microseconds to
/// milliseconds, never across an await.
#[derive(Debug, Clone)]
pub struct SharedChain(Arc<Mutex<Chain>>);

impl SharedChain {
    /// Shares a chain.
    pub fn new(chain: Chain) -> Self {
        Self(Arc::new(Mutex::new(chain)))
    }

    /// The chain. A panic in the middle of a block is taken back.
    pub fn lock(&self) -> MutexGuard<'_, Chain> {
        self.0.lock().unwrap_or_else(|poisoned| {
            self.0.clear_poison();
            let mut chain = PoisonError::into_inner(poisoned);
            chain.ledger.state_mut().recover();
            chain
        })
    }
}

impl Application for SharedChain {
    fn applied(&self) -> u64 {
        self.lock().ledger.height()
    }

    fn propose(&mut self, height: u64, now_ms: u64) -> Option<Vec<u8>> {
        let block = self.lock().build(now_ms).filter(|block| block.height == height)?;
        block
            .encode()
            .inspect_err(|error| tracing::error!(height, %error, "own block does not encode"))
            .ok()
    }

    fn validate(&mut self, height: u64, payload: &[u8], now_ms: Option<u64>) -> Result<(), Refusal> {
        let block = self
            .lock()
            .check(payload, now_ms)
            .map_err(|error| Refusal(error.to_string()))?;
        if block.height != height {
            return Err(Refusal(format!(
                "block {} was proposed for height {height}",
                block.height
            )));
        }
        Ok(())
    }

    fn apply(&mut self, decided: &DecidedBlock, decide_ms: Option<u64>) -> Result<(), Refusal> {
        let applied = self.lock().apply(decided, decide_ms);
        applied.map(|_| ()).map_err(|error| Refusal(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
