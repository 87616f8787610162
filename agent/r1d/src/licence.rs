//! The node's own licence: linked and claimed by the node itself where the same key owns it.

use r1_core::U256;
use r1_economy::{Action, LicenceRef, Signature, Transaction, link_consent, sign_digest};

use crate::{
    clock::now_ms,
    gossip::{self, TRANSACTION},
    mempool::PoolError,
    node::Node,
};

/// Job earnings below this are left to grow, micro-USDC: a swap of little loses much to rounding.
const LEAST_JOB_CLAIM: u64 = 1_000_000;
/// How much less than the pool's present quote a claim of job earnings accepts, basis points.
const MAX_SLIPPAGE_BP: u64 = 300;

/// Why the node does not act on a licence.
#[derive(Debug, thiserror::Error)]
pub enum LicenceError {
    /// There is no such licence.
    #[error("licence {0} does not exist")]
    Unknown(LicenceRef),
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
    let name = action.name();
    match submit(node, action) {
        Ok((hash, bytes)) => {
            tracing::info!(action = name, tx = hex(&hash), "own transaction is sent");
            gossip::publish_again(node, TRANSACTION, &bytes).await;
        }
        Err(error) => tracing::warn!(action = name, %error, "own transaction is refused"),
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
    let waits = |test: fn(&Action) -> bool| chain.pool().has(eth, test);
    let Some(linked) = linked else {
        let free = state
            .licences()
            .find(|view| view.owner == eth && view.node.is_none() && !view.banned)?;
        let wanted = auto_link && !waits(|action| matches!(action, Action::Link { .. }));
        drop(chain);
        return if wanted {
            link(node, free.licence).ok()
        } else {
            None
        };
    };
    let view = state
        .licence(linked)
        .filter(|view| auto_claim && view.owner == eth)?;
    if !view.claimable.is_zero() && !waits(|action| matches!(action, Action::Claim { .. })) {
        return Some(Action::Claim { licence: linked });
    }
    let earned = state.job_earnings(&eth);
    let worth = matches!(linked, LicenceRef::Nd(_)) && earned >= U256::from(LEAST_JOB_CLAIM);
    if worth && !waits(|action| matches!(action, Action::ClaimJobs { .. })) {
        return Some(Action::ClaimJobs {
            nodes: vec![eth],
            min_out: state.least_out(earned, MAX_SLIPPAGE_BP)?,
        });
    }
    None
}

/// The link of one of the key's own licences to this node.
///
/// # Errors
/// [`LicenceError::Key`].
pub fn link(node: &Node, licence: LicenceRef) -> Result<Action, LicenceError> {
    let (address, eth) = (node.address(), node.key.eth_address());
    let nonce = node.chain.lock().ledger().state().link_nonce(licence);
    let digest = link_consent(node.genesis.chain_id, &eth, licence, &address, nonce);
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
    if let Some(licence) = action
        .licence()
        .filter(|licence| state.licence(*licence).is_none())
    {
        return Err(LicenceError::Unknown(licence));
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
