//! What every transaction must pass before anything else is looked at: chain, signature and nonce.

use r1_core::EthAddress;

use super::{Refusal, State};
use crate::SignedTransaction;

impl State {
    /// Who sent the transaction, if its turn has come.
    pub(super) fn admit(&self, signed: &SignedTransaction) -> Result<EthAddress, Refusal> {
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
}
