//! What the control API asks of the running node.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use r1_core::{EthAddress, Genesis, NodeAddress};
use r1_host_api::HostClient;
use r1_oraclesync::Store;
use r1_poa::Recorder;

use crate::chain::SharedChain;

/// A future that owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a licence transaction of this node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LicenceAction {
    /// Link the licence to this node.
    Link(u64),
    /// Claim what the licence has earned.
    Claim(u64),
}

/// What does not change while the node runs.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// The node's address.
    pub address: NodeAddress,
    /// The EVM address of the same key.
    pub eth_address: EthAddress,
    /// Its name for people.
    pub alias: String,
    /// The network it belongs to.
    pub genesis: Arc<Genesis>,
}

/// The running node as the control API sees it. All but the futures return at once.
pub trait NodeView: Send + Sync + 'static {
    /// What does not change.
    fn info(&self) -> &NodeInfo;

    /// Now, ms since 1970-01-01 UTC.
    fn now_ms(&self) -> u64;

    /// The chain.
    fn chain(&self) -> &SharedChain;

    /// Decided blocks.
    fn store(&self) -> &Arc<Store>;

    /// Runs a look at the recorder.
    fn with_recorder(&self, look: &mut dyn FnMut(&Recorder));

    /// Connected peers.
    fn peers(&self) -> usize;

    /// r1-hostd, if it is connected.
    fn host(&self) -> Option<HostClient>;

    /// State of each kernel hook, by name.
    fn hooks(&self) -> BTreeMap<String, String>;

    /// What this node can only do in a lesser way, one line each with the remedy.
    fn degraded(&self) -> Vec<String>;

    /// Signs a licence transaction with the node's own key, takes it into the pool and tells the others. Returns
    /// its hash.
    ///
    /// # Errors
    /// One line that names the licence.
    fn submit(&self, action: LicenceAction) -> Result<[u8; 32], String>;

    /// The metrics of r1d and, where it is connected, of r1-hostd: classic Prometheus text.
    fn metrics(&self) -> BoxFuture<String>;
}

/// How the control API holds the node.
pub type Node = Arc<dyn NodeView>;
