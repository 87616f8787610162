//! Where blocks come from when they are not here.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Cid;

/// Nobody who was asked gave a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {cid}: none of {} peers asked has it: {}", asked.len(), asked.join(", "))]
pub struct Missing {
    /// The block.
    pub cid: Cid,
    /// The peers that were asked.
    pub asked: Vec<String>,
}

/// The network, as files see it.
#[async_trait]
pub trait Exchange: Send + Sync + 'static {
    /// Finds who may have a root and opens a session with them.
    async fn session(&self, root: &Cid) -> Arc<dyn Session>;
}

/// Fetching what belongs together from those who have it.
#[async_trait]
pub trait Session: Send + Sync {
    /// One block, checked against its name. Many calls at a time share the peers. Cancel-safe.
    ///
    /// # Errors
    /// [`Missing`] once every peer has said that it has not got it, gave something else, or left.
    async fn get(&self, cid: &Cid) -> Result<Bytes, Missing>;

    /// Who has been asked for anything in this session.
    fn asked(&self) -> Vec<String>;
}

/// A node without a network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Exchange for Alone {
    async fn session(&self, _: &Cid) -> Arc<dyn Session> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Session for Alone {
    async fn get(&self, cid: &Cid) -> Result<Bytes, Missing> {
        Err(Missing {
            cid: *cid,
            asked: Vec::new(),
        })
    }

    fn asked(&self) -> Vec<String> {
        Vec::new()
    }
}
