//! The ledger's state and the two ways it changes.

use std::collections::BTreeMap;

use r1_core::{EthAddress, Genesis, NodeAddress, U256};
use serde::{Deserialize, Serialize};

use crate::{
    Action, Licence, Params, SignedTransaction, Transaction,
    bank::{Asset, Bank, BankRefusal, Mint},
    link_consent,
    reward::{nd_claimable, nd_epoch_credit},
    signature::recover,
    table::{Journal, Table, Var},
    transaction::Signature,
};

pub mod roots;

/// Most R1 that may exist, wei.
const R1_CAP: u128 = 161_803_398_000_000_000_000_000_000;

/// What a block says about when its transactions run; from the agreed block, never from a local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockContext {
    /// The block's timestamp, ms since 1970-01-01 UTC.
    pub timestamp_ms: u64,
    /// The epoch that contains it.
    pub epoch: u64,
}

/// Why the ledger refuses. A refusal leaves the state as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The transaction is meant for another chain.
    #[error("transaction is for chain {got}, this is chain {expected}")]
    Chain {
        /// The chain it names.
        got: u64,
        /// This chain.
        expected: u64,
    },
    /// The signature recovers to no key.
    #[error("transaction signature is invalid")]
    Signature,
    /// The nonce is not the sender's next one (a replay, or a gap).
    #[error("account {account}: nonce {got}, expected {expected}")]
    Nonce {
        /// The sender.
        account: EthAddress,
        /// The nonce it sent.
        got: u64,
        /// Its next nonce.
        expected: u64,
    },
    /// No such licence.
    #[error("licence {0} does not exist")]
    UnknownLicence(u64),
    /// The sender does not own the licence.
    #[error("licence {licence} belongs to {owner}, not to {sender}")]
    NotOwner {
        /// The licence.
        licence: u64,
        /// Its owner.
        owner: EthAddress,
        /// Who asked.
        sender: EthAddress,
    },
    /// The node's consent is not its signature.
    #[error("licence {licence}: node {node} has not agreed to the link")]
    NoConsent {
        /// The licence.
        licence: u64,
        /// The node.
        node: NodeAddress,
    },
    /// The node already belongs to a licence.
    #[error("node {node} is already linked to licence {licence}")]
    NodeLinked {
        /// The node.
        node: NodeAddress,
        /// The licence it is linked to.
        licence: u64,
    },
    /// The licence is linked; unlink it first.
    #[error("licence {licence} is already linked to node {node}")]
    LicenceLinked {
        /// The licence.
        licence: u64,
        /// Its node.
        node: NodeAddress,
    },
    /// The licence is not linked.
    #[error("licence {0} is not linked to a node")]
    NotLinked(u64),
    /// The cooldown since the last link has not passed.
    #[error("licence {licence} can be linked again after {at_ms} ms since 1970")]
    Cooldown {
        /// The licence.
        licence: u64,
        /// From when on, exclusive.
        at_ms: u64,
    },
    /// Rewards must be claimed before the licence is unlinked.
    #[error("licence {licence} has {pending} wei to claim first")]
    ClaimFirst {
        /// The licence.
        licence: u64,
        /// What it could claim, wei.
        pending: U256,
    },
    /// An epoch in which the licence was linked is over but not closed; unlinking now would lose its reward.
    #[error("licence {licence}: epoch {epoch} is over and not closed yet")]
    EpochOpen {
        /// The licence.
        licence: u64,
        /// The first such epoch.
        epoch: u64,
    },
    /// There is nothing to claim.
    #[error("licence {0} has nothing to claim")]
    NothingToClaim(u64),
    /// The epoch is not the next one to be closed.
    #[error("epoch {got} cannot be closed, the next one is {expected}")]
    EpochOrder {
        /// The epoch offered.
        got: u64,
        /// The epoch expected.
        expected: u64,
    },
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
    /// An amount left 256 bits; cannot happen below the caps, and is never wrapped.
    #[error("{0} overflows 256 bits")]
    Overflow(&'static str),
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Name of the transaction: its signed hash.
    pub hash: [u8; 32],
    /// Who sent it.
    pub sender: EthAddress,
    /// The licence it was about.
    pub licence: u64,
    /// What it minted, wei.
    pub minted: U256,
}

/// A licence as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceView {
    /// The licence's id.
    pub id: u64,
    /// The licence itself.
    pub licence: Licence,
    /// What a claim would pay now, wei.
    pub claimable: U256,
    /// Most it can ever mint, wei.
    pub assigned: U256,
}

/// The whole ledger.
///
/// A block is applied between [`Journal::begin`] and [`Journal::commit`]; [`Journal::rollback`] takes it back. Costs
/// depend on what changes, not on the size of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    params: Params,
    bank: Bank,
    licences: Table<u64, Licence>,
    /// Linked node to licence.
    nodes: Table<NodeAddress, u64>,
    next_epoch: Var<u64>,
}

impl State {
    /// The state before the first block.
    pub fn genesis(genesis: &Genesis) -> Self {
        let mut state = Self::empty(genesis);
        state.begin();
        for given in &genesis.licences {
            state.licences.insert(given.id, Licence::new(given.owner));
        }
        state.commit();
        state
    }

    /// A state without records, into which the stored ones are put by [`State::restore`].
    pub fn empty(genesis: &Genesis) -> Self {
        Self {
            params: Params::of(genesis),
            licences: Table::default(),
            bank: Bank::new(U256::from(R1_CAP)),
            nodes: Table::default(),
            next_epoch: Var::new(0),
        }
    }

    /// Credits an epoch that the oracles agreed on. A node that the table does not name was absent (0). In a faulty
    /// epoch every linked node counts as present (255), as upstream rules it.
    ///
    /// # Errors
    /// [`Refusal::EpochOrder`] unless it is the next epoch; [`Refusal::Overflow`].
    pub fn close_epoch(
        &mut self,
        epoch: u64,
        availability: &BTreeMap<NodeAddress, u8>,
        faulty: bool,
    ) -> Result<(), Refusal> {
        if epoch != *self.next_epoch {
            return Err(Refusal::EpochOrder {
                got: epoch,
                expected: *self.next_epoch,
            });
        }
        let next_epoch = epoch.checked_add(1).ok_or(Refusal::Overflow("epoch"))?;
        self.begin();
        let params = &self.params;
        self.licences.for_each_mut(|_, licence| {
            let node = licence.node.filter(|_| licence.last_claim_epoch <= epoch)?;
            let value = if faulty {
                u8::MAX
            } else {
                availability.get(&node).copied().unwrap_or(0)
            };
            let credit = nd_epoch_credit(params, value);
            // Pending beyond the cap can never be paid, so it need not be kept: no overflow is possible.
            let room = params.nd_cap.saturating_sub(licence.claimed);
            let pending = licence.pending.saturating_add(credit).min(room);
            (pending != licence.pending).then(|| Licence {
                pending,
                ..licence.clone()
            })
        });
        self.next_epoch.set(next_epoch);
        self.commit();
        Ok(())
    }

    /// Executes one transaction.
    ///
    /// # Errors
    /// A [`Refusal`]; the state is then unchanged.
    pub fn apply(&mut self, context: BlockContext, signed: &SignedTransaction) -> Result<Receipt, Refusal> {
        let sender = self.admit(signed)?;
        self.apply_as(context, sender, &signed.transaction)
    }

    /// Executes a transaction whose sender is known: no signature, chain or nonce is looked at. For simulations.
    ///
    /// # Errors
    /// A [`Refusal`]; the state is then unchanged.
    pub fn apply_as(
        &mut self,
        context: BlockContext,
        sender: EthAddress,
        transaction: &Transaction,
    ) -> Result<Receipt, Refusal> {
        self.begin();
        let outcome = self.execute(context, sender, transaction);
        if outcome.is_ok() {
            self.commit();
        } else {
            self.rollback();
        }
        outcome
    }

    /// What [`State::apply`] would do; nothing is changed.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn try_apply(
        &mut self,
        context: BlockContext,
        signed: &SignedTransaction,
    ) -> Result<Receipt, Refusal> {
        self.begin();
        let outcome = self.apply(context, signed);
        self.rollback();
        outcome
    }

    fn execute(
        &mut self,
        context: BlockContext,
        sender: EthAddress,
        transaction: &Transaction,
    ) -> Result<Receipt, Refusal> {
        let minted = match &transaction.action {
            Action::Link {
                licence,
                node,
                consent,
            } => self.link(context, sender, *licence, *node, consent)?,
            Action::Unlink { licence } => self.unlink(context, sender, *licence)?,
            Action::Claim { licence } => self.claim(sender, *licence)?,
        };
        let account = self.bank.accounts.entry(&sender);
        account.nonce = account.nonce.checked_add(1).ok_or(Refusal::Overflow("nonce"))?;
        let licence = transaction.action.licence();
        Ok(Receipt {
            hash: transaction.hash(),
            sender,
            licence,
            minted,
        })
    }

    /// Chain, signature and nonce: what every transaction must pass before anything else is looked at.
    fn admit(&self, signed: &SignedTransaction) -> Result<EthAddress, Refusal> {
        let (got, expected) = (signed.transaction.chain_id, self.params.chain_id);
        if got != expected {
            return Err(Refusal::Chain { got, expected });
        }
        let account = signed.sender().ok_or(Refusal::Signature)?;
        let (got, expected) = (signed.transaction.nonce, self.nonce(&account));
        if got != expected {
            return Err(Refusal::Nonce {
                account,
                got,
                expected,
            });
        }
        Ok(account)
    }

    fn owned(&mut self, sender: EthAddress, id: u64) -> Result<&mut Licence, Refusal> {
        let licence = self.licences.get_mut(&id).ok_or(Refusal::UnknownLicence(id))?;
        if licence.owner != sender {
            return Err(Refusal::NotOwner {
                licence: id,
                owner: licence.owner,
                sender,
            });
        }
        Ok(licence)
    }

    fn link(
        &mut self,
        context: BlockContext,
        sender: EthAddress,
        id: u64,
        node: NodeAddress,
        consent: &Signature,
    ) -> Result<U256, Refusal> {
        let (cooldown, chain_id) = (self.params.link_cooldown_ms, self.params.chain_id);
        let linked_to = self.nodes.get(&node).copied();
        let next_epoch = *self.next_epoch;
        let licence = self.owned(sender, id)?;
        if let Some(node) = licence.node {
            return Err(Refusal::LicenceLinked { licence: id, node });
        }
        if let Some(licence) = linked_to {
            return Err(Refusal::NodeLinked { node, licence });
        }
        let at_ms = licence.assigned_at_ms.saturating_add(cooldown);
        if licence.assigned_at_ms != 0 && context.timestamp_ms <= at_ms {
            return Err(Refusal::Cooldown { licence: id, at_ms });
        }
        let agreed = recover(&link_consent(chain_id, &sender, id, &node), &consent.0);
        if agreed.is_none_or(|key| key.address() != node) {
            return Err(Refusal::NoConsent { licence: id, node });
        }
        licence.node = Some(node);
        licence.assigned_at_ms = context.timestamp_ms;
        licence.last_claim_epoch = context.epoch.max(next_epoch);
        self.nodes.insert(node, id);
        Ok(U256::ZERO)
    }

    fn unlink(&mut self, context: BlockContext, sender: EthAddress, id: u64) -> Result<U256, Refusal> {
        let (params, next_epoch) = (self.params.clone(), *self.next_epoch);
        let licence = self.owned(sender, id)?;
        let node = licence.node.ok_or(Refusal::NotLinked(id))?;
        let epoch = next_epoch.max(licence.last_claim_epoch);
        if epoch < context.epoch {
            return Err(Refusal::EpochOpen { licence: id, epoch });
        }
        let pending = nd_claimable(&params, licence.pending, licence.claimed);
        if !pending.is_zero() {
            return Err(Refusal::ClaimFirst { licence: id, pending });
        }
        licence.node = None;
        self.nodes.remove(&node);
        Ok(U256::ZERO)
    }

    fn claim(&mut self, sender: EthAddress, id: u64) -> Result<U256, Refusal> {
        let (params, next_epoch) = (self.params.clone(), *self.next_epoch);
        let licence = self.owned(sender, id)?;
        if licence.node.is_none() {
            return Err(Refusal::NotLinked(id));
        }
        let amount = nd_claimable(&params, licence.pending, licence.claimed);
        if amount.is_zero() {
            return Err(Refusal::NothingToClaim(id));
        }
        licence.claimed = licence
            .claimed
            .checked_add(amount)
            .ok_or(Refusal::Overflow("claimed"))?;
        licence.pending = U256::ZERO;
        licence.last_claim_epoch = licence.last_claim_epoch.max(next_epoch);
        self.bank.mint(&sender, amount, Mint::Nd)?;
        Ok(amount)
    }

    /// The network's constants.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The first epoch that is not closed.
    pub fn next_epoch(&self) -> u64 {
        *self.next_epoch
    }

    /// An account's balance, wei.
    pub fn balance(&self, account: &EthAddress) -> U256 {
        self.bank.balance(Asset::R1, account)
    }

    /// An account's next nonce.
    pub fn nonce(&self, account: &EthAddress) -> u64 {
        self.bank.accounts.get(account).map_or(0, |account| account.nonce)
    }

    /// All R1 in existence, wei.
    pub fn supply(&self) -> U256 {
        self.bank.totals.r1
    }

    /// All licences by id.
    pub fn licences(&self) -> impl Iterator<Item = LicenceView> + '_ {
        self.licences.iter().map(|(id, licence)| LicenceView {
            id: *id,
            licence: licence.clone(),
            claimable: nd_claimable(&self.params, licence.pending, licence.claimed),
            assigned: self.params.nd_cap,
        })
    }

    /// The licence a node is linked to.
    pub fn licence_of(&self, node: &NodeAddress) -> Option<u64> {
        self.nodes.get(node).copied()
    }

    /// Sum of all balances, wei; equals [`State::supply`].
    pub fn sum_of_balances(&self) -> U256 {
        self.bank
            .accounts
            .iter()
            .fold(U256::ZERO, |sum, (_, account)| sum.saturating_add(account.r1))
    }
}

#[cfg(test)]
mod tests;
