//! The signed tables that oracles have stated about epochs that are not closed yet.

use std::collections::BTreeMap;

use r1_core::NodeAddress;
use r1_oraclesync::{Domain, SignedTable, ValidatorSet};

/// How many epochs beyond the next one to be closed are kept: downtime of all oracles up to this many epochs is
/// closed from the tables that were signed meanwhile.
pub const MAX_OPEN_EPOCHS: u64 = 256;

/// Why a table is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Who signed is no oracle.
    #[error("table of epoch {epoch}: {signer} is not an oracle")]
    NotOracle {
        /// The epoch.
        epoch: u64,
        /// The signer.
        signer: NodeAddress,
    },
    /// The epoch is closed or too far ahead.
    #[error("table of {oracle} for epoch {epoch}: epochs {next} to {last} are open")]
    Epoch {
        /// The epoch.
        epoch: u64,
        /// The oracle.
        oracle: NodeAddress,
        /// First open epoch.
        next: u64,
        /// Last open epoch that is kept.
        last: u64,
    },
    /// The signature is wrong.
    #[error("table of {oracle} for epoch {epoch}: its signature is wrong")]
    Signature {
        /// The epoch.
        epoch: u64,
        /// The oracle.
        oracle: NodeAddress,
    },
    /// The oracle has stated something already; the first word counts.
    #[error("table of {oracle} for epoch {epoch}: it has stated one already")]
    Known {
        /// The epoch.
        epoch: u64,
        /// The oracle.
        oracle: NodeAddress,
    },
}

/// Tables by epoch and oracle. Bounded by open epochs times oracles.
#[derive(Debug, Default)]
pub struct Statements {
    open: BTreeMap<u64, BTreeMap<NodeAddress, SignedTable>>,
}

impl Statements {
    /// Takes a table in. `next_epoch` is the first epoch that is not closed.
    ///
    /// # Errors
    /// [`StatementError`]; nothing is kept then.
    pub fn add(
        &mut self,
        domain: &Domain,
        set: &ValidatorSet,
        next_epoch: u64,
        table: SignedTable,
    ) -> Result<(), StatementError> {
        let (epoch, oracle) = (table.epoch, table.oracle);
        let last = next_epoch + MAX_OPEN_EPOCHS - 1;
        let Some(member) = set.by_node(&oracle) else {
            return Err(StatementError::NotOracle {
                epoch,
                signer: oracle,
            });
        };
        if !(next_epoch..=last).contains(&epoch) {
            return Err(StatementError::Epoch {
                epoch,
                oracle,
                next: next_epoch,
                last,
            });
        }
        if self.of(epoch).is_some_and(|tables| tables.contains_key(&oracle)) {
            return Err(StatementError::Known { epoch, oracle });
        }
        if !table.is_signed_by(domain, &member.key) {
            return Err(StatementError::Signature { epoch, oracle });
        }
        self.open.entry(epoch).or_default().insert(oracle, table);
        Ok(())
    }

    /// The tables of an epoch, by oracle.
    pub fn of(&self, epoch: u64) -> Option<&BTreeMap<NodeAddress, SignedTable>> {
        self.open.get(&epoch)
    }

    /// Forgets epochs before `next_epoch`.
    pub fn prune(&mut self, next_epoch: u64) {
        self.open = self.open.split_off(&next_epoch);
    }
}
