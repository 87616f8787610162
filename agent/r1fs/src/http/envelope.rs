//! What stands around each result.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::Shared;

/// The node's words, upstream's field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// The node's address.
    pub server_node_addr: String,
    /// The network's name.
    pub evm_network: String,
    /// The node's alias.
    pub ee_node_alias: String,
    /// The node's address.
    pub ee_node_address: String,
    /// The node's EVM address.
    pub ee_node_eth_address: String,
    /// The network's name.
    pub ee_node_network: String,
    /// The program's version.
    pub ee_node_ver: String,
}

/// A result in its envelope.
#[derive(Debug, Serialize)]
pub(super) struct Answer<T> {
    result: T,
    #[serde(flatten)]
    envelope: Envelope,
}

impl Shared {
    pub(super) fn answer<T>(&self, result: T) -> Answer<T> {
        Answer {
            result,
            envelope: self.config.envelope.clone(),
        }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}
