//! The node's own licence: linked and claimed by the node itself where the same key owns it.

use r1_economy::{Action, LicenceView, Signature, Transaction, link_consent, sign_digest};

use crate::{
    clock::now_ms,
    gossip::{self, TRANSACTION},
    mempool::PoolError,
    node::Node,
};

/// Why the node does not act on a licence.
#[derive(Debug, thiserror::Error)]
pub enum LicenceError {
    /// There is no such licence.
    #[error("licence {0} does not exist")]
    Unknown(u64),
    /// The ledger or the pool refuses.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The node's own key cannot sign.
    #[error("the node's key cannot sign")]
    Key,
}

/// Links or claims as the configuration says, if there is something to do.
pub async fn look_after(node: &Node) {
    let Some(action) = next_action(node) else { return };
    match submit(node, action.clone()) {
        Ok((hash, bytes)) => {
            tracing::info!(
                licence = action.licence(),
                tx = hex(&hash),
                "own transaction is sent"
            );
            gossip::publish_again(node, TRANSACTION, &bytes).await;
        }
        Err(error) => tracing::warn!(licence = action.licence(), %error, "own transaction is refused"),
    }
}

fn next_action(node: &Node) -> Option<Action> {
    let (auto_link, auto_claim) = (node.config.auto_link, node.config.auto_claim);
    if !auto_link && !auto_claim {
        return None;
    }
    let (address, eth) = (node.address(), node.key.eth_address());
    let chain = node.chain.lock();
    let state = chain.ledger().state();
    let linked = state.licence_of(&address);
    let own = |view: &LicenceView| view.licence.owner == eth;
    if auto_link && linked.is_none() {
        let free = state
            .licences()
            .find(|view| own(view) && view.licence.node.is_none())?;
        let waits = chain
            .pool()
            .has(eth, |action| matches!(action, Action::Link { .. }));
        drop(chain);
        return if waits { None } else { link(node, free.id).ok() };
    }
    if auto_claim {
        let view = state
            .licences()
            .find(|view| Some(view.id) == linked && own(view) && !view.claimable.is_zero())?;
        let waits = chain
            .pool()
            .has(eth, |action| matches!(action, Action::Claim { .. }));
        return (!waits).then_some(Action::Claim { licence: view.id });
    }
    None
}

/// The link of one of the key's own licences to this node.
///
/// # Errors
/// [`LicenceError::Key`].
pub fn link(node: &Node, licence: u64) -> Result<Action, LicenceError> {
    let (address, eth) = (node.address(), node.key.eth_address());
    let digest = link_consent(node.genesis.chain_id, &eth, licence, &address);
    let consent = sign_digest(&node.key.secret_bytes(), &digest).ok_or(LicenceError::Key)?;
    Ok(Action::Link {
        licence,
        node: address,
        consent: Signature(consent),
    })
}

/// Signs an action with the node's key and puts it into the pool. Returns the transaction's hash and its bytes, to be
/// published.
///
/// # Errors
/// [`LicenceError`]; nothing is kept then.
pub fn submit(node: &Node, action: Action) -> Result<([u8; 32], Vec<u8>), LicenceError> {
    let mut chain = node.chain.lock();
    let state = chain.ledger().state();
    if !state.licences().any(|view| view.id == action.licence()) {
        return Err(LicenceError::Unknown(action.licence()));
    }
    let nonce = chain.pool().next_nonce(state, &node.key.eth_address());
    let transaction = Transaction {
        chain_id: node.genesis.chain_id,
        nonce,
        action,
    };
    let bytes = transaction
        .sign(&node.key.secret_bytes())
        .ok_or(LicenceError::Key)?
        .encode();
    let hash = chain.add_transaction(now_ms(), &bytes)?;
    drop(chain);
    node.hint_work();
    Ok((hash, bytes))
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The node's own transactions that are not decided yet, encoded.
pub fn waiting(node: &Node) -> Vec<Vec<u8>> {
    let chain = node.chain.lock();
    chain
        .pool()
        .of(node.key.eth_address())
        .map(|signed| signed.encode())
        .collect()
}
