//! The ledger's state and the two ways it changes.

use std::collections::BTreeMap;

use r1_core::{EthAddress, Genesis, NodeAddress, U256};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::{
    Action, Licence, Params, SignedTransaction, link_consent,
    reward::{nd_claimable, nd_epoch_credit},
    signature::recover,
    transaction::{Signature, encode},
};

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

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    balance: U256,
    nonce: u64,
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

/// The whole ledger. `Serialize` gives its canonical bytes (postcard): maps are ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    params: Params,
    licences: BTreeMap<u64, Licence>,
    accounts: BTreeMap<EthAddress, Account>,
    /// Linked node to licence.
    nodes: BTreeMap<NodeAddress, u64>,
    supply: U256,
    next_epoch: u64,
}

impl State {
    /// The state before the first block.
    pub fn genesis(genesis: &Genesis) -> Self {
        let licences = genesis
            .licences
            .iter()
            .map(|given| (given.id, Licence::new(given.owner)))
            .collect();
        Self {
            params: Params::of(genesis),
            licences,
            accounts: BTreeMap::new(),
            nodes: BTreeMap::new(),
            supply: U256::ZERO,
            next_epoch: 0,
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
        if epoch != self.next_epoch {
            return Err(Refusal::EpochOrder {
                got: epoch,
                expected: self.next_epoch,
            });
        }
        let next_epoch = epoch.checked_add(1).ok_or(Refusal::Overflow("epoch"))?;
        for (node, id) in &self.nodes {
            let value = if faulty {
                u8::MAX
            } else {
                availability.get(node).copied().unwrap_or(0)
            };
            let Some(licence) = self
                .licences
                .get_mut(id)
                .filter(|licence| licence.last_claim_epoch <= epoch)
            else {
                continue;
            };
            let credit = nd_epoch_credit(&self.params, value);
            // Pending beyond the cap can never be paid, so it need not be kept: no overflow is possible.
            let room = self.params.nd_cap.saturating_sub(licence.claimed);
            licence.pending = licence.pending.saturating_add(credit).min(room);
        }
        self.next_epoch = next_epoch;
        Ok(())
    }

    /// Executes one transaction.
    ///
    /// # Errors
    /// A [`Refusal`]; the state is then unchanged.
    pub fn apply(&mut self, context: BlockContext, signed: &SignedTransaction) -> Result<Receipt, Refusal> {
        let sender = self.admit(signed)?;
        let minted = match &signed.transaction.action {
            Action::Link {
                licence,
                node,
                consent,
            } => self.link(context, sender, *licence, *node, consent)?,
            Action::Unlink { licence } => self.unlink(context, sender, *licence)?,
            Action::Claim { licence } => self.claim(sender, *licence)?,
        };
        self.accounts.entry(sender).or_default().nonce += 1;
        let licence = signed.transaction.action.licence();
        Ok(Receipt {
            hash: signed.transaction.hash(),
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
        let next_epoch = self.next_epoch;
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
        let (params, next_epoch) = (self.params.clone(), self.next_epoch);
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
        let (params, next_epoch) = (self.params.clone(), self.next_epoch);
        let balance = self.balance(&sender);
        let supply = self.supply;
        let licence = self.owned(sender, id)?;
        if licence.node.is_none() {
            return Err(Refusal::NotLinked(id));
        }
        let amount = nd_claimable(&params, licence.pending, licence.claimed);
        if amount.is_zero() {
            return Err(Refusal::NothingToClaim(id));
        }
        let balance = balance.checked_add(amount).ok_or(Refusal::Overflow("balance"))?;
        let supply = supply.checked_add(amount).ok_or(Refusal::Overflow("supply"))?;
        licence.claimed = licence
            .claimed
            .checked_add(amount)
            .ok_or(Refusal::Overflow("claimed"))?;
        licence.pending = U256::ZERO;
        licence.last_claim_epoch = licence.last_claim_epoch.max(next_epoch);
        self.accounts.entry(sender).or_default().balance = balance;
        self.supply = supply;
        Ok(amount)
    }

    /// The network's constants.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The first epoch that is not closed.
    pub fn next_epoch(&self) -> u64 {
        self.next_epoch
    }

    /// An account's balance, wei.
    pub fn balance(&self, account: &EthAddress) -> U256 {
        self.accounts
            .get(account)
            .map_or(U256::ZERO, |account| account.balance)
    }

    /// An account's next nonce.
    pub fn nonce(&self, account: &EthAddress) -> u64 {
        self.accounts.get(account).map_or(0, |account| account.nonce)
    }

    /// All R1 in existence, wei.
    pub fn supply(&self) -> U256 {
        self.supply
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
        self.accounts
            .values()
            .fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance))
    }

    /// Hash of the canonical bytes; equal on all nodes after the same blocks.
    pub fn hash(&self) -> [u8; 32] {
        Keccak256::new_with_prefix(b"_R1_ECONOMY_STATE")
            .chain_update(encode(self))
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests;
