//! What the control API asks of the running node.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use r1_core::{EthAddress, Genesis, NodeAddress};
use r1_economy::{Action, LicenceRef};
use r1_host_api::HostClient;
use r1_oraclesync::Store;
use r1_poa::Recorder;

use crate::{chain::SharedChain, files::FilePlane};

/// A future that owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a transaction of this node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAction {
    /// Link a licence of the node's own key to this node, which agrees.
    Link(LicenceRef),
    /// Anything else.
    Send(Box<Action>),
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

    /// The node's files, if it keeps any.
    fn files(&self) -> Option<Arc<FilePlane>>;

    /// Connected peers.
    fn peers(&self) -> usize;

    /// r1-hostd, if it is connected.
    fn host(&self) -> Option<HostClient>;

    /// State of each kernel hook, by name.
    fn hooks(&self) -> BTreeMap<String, String>;

    /// What this node can only do in a lesser way, one line each with the remedy.
    fn degraded(&self) -> Vec<String>;

    /// Signs a transaction with the node's own key, takes it into the pool and tells the others. Returns its hash.
    ///
    /// # Errors
    /// One line that names the object.
    fn submit(&self, action: NodeAction) -> Result<[u8; 32], String>;

    /// Takes a transaction that somebody else signed into the pool and tells the others. Returns its hash.
    ///
    /// # Errors
    /// One line that names the object.
    fn submit_signed(&self, bytes: Vec<u8>) -> Result<[u8; 32], String>;

    /// The metrics of r1d and, where it is connected, of r1-hostd: classic Prometheus text.
    fn metrics(&self) -> BoxFuture<String>;
}

/// How the control API holds the node.
pub type Node = Arc<dyn NodeView>;
