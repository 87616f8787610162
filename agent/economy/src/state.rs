//! The ledger's state and the two ways it changes.

mod admission;
pub mod audit;
mod epoch;
mod execute;
mod explain;
mod genesis;
mod jobs;
mod licences;
mod refusal;
pub mod roots;
pub mod views;

use r1_core::{EthAddress, NodeAddress, U256};

pub use epoch::{EpochClosed, EpochSummary};
pub use explain::RewardExplanation;
pub use refusal::{GenesisRefusal, Refusal};

use crate::{
    LicenceRef, Links, Moment, NetworkParams, SignedTransaction, Transaction,
    adoption::Adoption,
    bank::Bank,
    controller::Controller,
    deeds::NodeDeeds,
    gratitude::Gratitude,
    mnd::MasterDeeds,
    poai::{Allocated, Poai},
    pool::{Amounts, Pool, Provided},
    sale::{Bought, Sale},
    table::{Journal, Table, Var},
};

/// What a block says about when its transactions run; from the agreed block, never from a local clock.
pub type BlockContext = Moment;

/// What a transaction brought about, beyond that it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing more.
    Done,
    /// R1 was minted, wei.
    Minted(U256),
    /// A licence was made.
    Made(LicenceRef),
    /// Licences were bought.
    Bought(Box<Bought>),
    /// A swap gave so much of the other asset, in its smallest unit.
    Swapped(U256),
    /// Liquidity was provided.
    Provided(Provided),
    /// Liquidity was taken out.
    Withdrawn(Amounts),
    /// Jobs were created, with these numbers.
    Created(Vec<u64>),
    /// An extension cost so much, micro-USDC.
    Cost(U256),
    /// A job was given back, micro-USDC.
    Refunded(U256),
    /// The oracles agreed on the nodes of a job, or have not yet.
    Agreed(Option<Vec<EthAddress>>),
    /// Epochs were allocated.
    Allocated(Allocated),
    /// Nodes' earnings were paid.
    Paid {
        /// What they had earned, micro-USDC.
        usdc: U256,
        /// What that bought, R1 wei.
        r1: U256,
    },
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The hash that its sender signed.
    pub hash: [u8; 32],
    /// Who sent it.
    pub sender: EthAddress,
    /// The licence it was about, if it was about one.
    pub licence: Option<LicenceRef>,
    /// What it brought about.
    pub effect: Effect,
}

impl Receipt {
    /// What it minted, wei.
    pub fn minted(&self) -> U256 {
        match self.effect {
            Effect::Minted(amount) => amount,
            _ => U256::ZERO,
        }
    }
}

/// The whole ledger.
///
/// A block is applied between [`Journal::begin`] and [`Journal::commit`]; [`Journal::rollback`] takes it back. Costs
/// depend on what changes, not on the size of the ledger; the exception is the close of an epoch, which looks at every
/// licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    params: NetworkParams,
    bank: Bank,
    deeds: NodeDeeds,
    masters: MasterDeeds,
    links: Links,
    controller: Controller,
    adoption: Adoption,
    sale: Sale,
    pool: Pool,
    poai: Poai,
    gratitude: Gratitude,
    /// Closed epochs.
    epochs: Table<u64, EpochSummary>,
    next_epoch: Var<u64>,
}

impl State {
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
        let outcome = self.take(context, sender, transaction);
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

    /// Runs the action, then uses up the nonce: what an action signs over is the nonce of its transaction.
    fn take(
        &mut self,
        context: BlockContext,
        sender: EthAddress,
        transaction: &Transaction,
    ) -> Result<Receipt, Refusal> {
        let effect = self.execute(context, &sender, &transaction.action)?;
        let account = self.bank.accounts.entry(&sender);
        account.nonce = account.nonce.checked_add(1).ok_or(Refusal::Overflow("nonce"))?;
        Ok(Receipt {
            hash: transaction.hash(),
            sender,
            licence: transaction.action.licence(),
            effect,
        })
    }

    /// The network's constants.
    pub fn params(&self) -> &NetworkParams {
        &self.params
    }

    /// The first epoch that is not closed.
    pub fn next_epoch(&self) -> u64 {
        *self.next_epoch
    }

    /// An account's next nonce.
    pub fn nonce(&self, account: &EthAddress) -> u64 {
        self.bank.accounts.get(account).map_or(0, |account| account.nonce)
    }

    /// How often a licence was linked: the nonce that a node's consent to the next link names.
    pub fn link_nonce(&self, licence: LicenceRef) -> u64 {
        match licence {
            LicenceRef::Nd(id) => self.deeds.deed(id).map_or(0, |deed| deed.links),
            LicenceRef::Mnd(id) => self.masters.deed(id).map_or(0, |deed| deed.links),
        }
    }

    /// The licence a node is linked to.
    pub fn licence_of(&self, node: &NodeAddress) -> Option<LicenceRef> {
        let address = r1_identity::PublicKey::try_from(node).ok()?.eth_address();
        self.links.get(&address).copied()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole_tests;
