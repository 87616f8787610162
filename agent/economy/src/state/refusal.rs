//! Why the ledger refuses: its own reasons, and those of its rooms.

use r1_core::{EthAddress, NodeAddress};

use crate::{
    LicenceRef, Mode, bank::BankRefusal, controller::ControllerRefusal, deeds::DeedRefusal,
    gratitude::GratitudeRefusal, mnd::MndRefusal, network::ParamsError, poai::PoaiRefusal, pool::PoolRefusal,
    sale::SaleRefusal,
};

/// Why a genesis makes no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisRefusal {
    /// Its constants.
    #[error("genesis: {0}")]
    Params(#[from] ParamsError),
    /// An oracle's address is no key.
    #[error("genesis: oracle {0} is not a point of secp256k1")]
    Oracle(NodeAddress),
    /// More licences than may exist.
    #[error("genesis: licence {id} is beyond the {max} that may exist")]
    Licence {
        /// The licence.
        id: u64,
        /// How many may exist.
        max: u64,
    },
    /// The accounts of the rules cannot be given anything.
    #[error("genesis: account {0} belongs to the rules, nothing can be allocated to it")]
    Holder(EthAddress),
    /// The allocations.
    #[error("genesis: allocation: {0}")]
    Bank(#[from] BankRefusal),
    /// The pool's reserves.
    #[error("genesis: {0}")]
    Pool(#[from] PoolRefusal),
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
    /// The action belongs to the other mode.
    #[error("action {action} is not for {} mode", if *.mode == Mode::Strict { "strict" } else { "compat" })]
    Mode {
        /// The action.
        action: &'static str,
        /// The network's mode.
        mode: Mode,
    },
    /// Strict: the action would do nothing.
    #[error("action {0} would do nothing")]
    Nothing(&'static str),
    /// The receiver is nobody, or an account of the rules.
    #[error("account {0} cannot be paid by a transfer")]
    Receiver(EthAddress),
    /// Only the owner of the contracts may do this.
    #[error("account {0} is not the owner of the contracts")]
    NotContractOwner(EthAddress),
    /// The node's address is no key.
    #[error("node {0} is not a point of secp256k1")]
    Node(NodeAddress),
    /// The node has not agreed.
    #[error("licence {licence}: node {node} has not agreed to the link")]
    NoConsent {
        /// The licence.
        licence: LicenceRef,
        /// The node.
        node: NodeAddress,
    },
    /// No such layout of a signed claim.
    #[error("licence {licence}: claims of version {version} are unknown")]
    ClaimVersion {
        /// The licence.
        licence: LicenceRef,
        /// The version.
        version: u8,
    },
    /// The account acts in no escrow.
    #[error("account {0} neither has an escrow nor is a delegate of one")]
    NoEscrow(EthAddress),
    /// The epoch is not the next one to be closed.
    #[error("epoch {got} cannot be closed, the next one is {expected}")]
    EpochOrder {
        /// The epoch offered.
        got: u64,
        /// The epoch expected.
        expected: u64,
    },
    /// Node deeds refuse.
    #[error(transparent)]
    Deed(#[from] DeedRefusal),
    /// Master node deeds refuse.
    #[error(transparent)]
    Mnd(#[from] MndRefusal),
    /// The oracles' signatures are refused.
    #[error(transparent)]
    Controller(#[from] ControllerRefusal),
    /// The sale refuses.
    #[error(transparent)]
    Sale(#[from] SaleRefusal),
    /// The pool refuses.
    #[error(transparent)]
    Pool(#[from] PoolRefusal),
    /// Escrows and jobs refuse.
    #[error(transparent)]
    Poai(#[from] PoaiRefusal),
    /// Burns with attribution refuse.
    #[error(transparent)]
    Gratitude(#[from] GratitudeRefusal),
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
    /// An amount left its range; cannot happen below the caps, and is never wrapped.
    #[error("{0} overflows")]
    Overflow(&'static str),
}
