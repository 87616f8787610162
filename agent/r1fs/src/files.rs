//! The files of this node: sealing, storing, fetching, opening.

mod add;
mod archive;
mod error;
mod manage;
mod open;
mod read;
mod recent;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use self::recent::Recent;
pub use self::{
    archive::ImportedArchive,
    manage::{Change, Entry, Stat},
};
use crate::{
    Cid,
    api::{Caller, FilesError, Identity},
    exchange::Exchange,
    fetch,
    store::{Clock, Store},
    unixfs::Profile,
};

/// Label of the operator's pins.
const OPERATOR_LABEL: &str = "user";
/// Before the id in the labels of a container's pins.
const CONTAINER_LABEL: &str = "container:";

/// Settings of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How files are cut. Default Kubo's.
    pub profile: Profile,
    /// Limits of fetching.
    pub fetch: fetch::Limits,
    /// Most bytes of one content. Default 5 GiB, upstream's.
    pub content: u64,
    /// How long a block that nothing refers to stays. Default 1 h.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: Profile::KUBO,
            fetch: fetch::Limits::default(),
            content: 5 << 30,
            grace: Duration::from_secs(3600),
        }
    }
}

/// How many copies there are of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Copies that are durable, this node's included.
    pub replicas: u16,
    /// Distinct operators that hold one.
    pub operators: u16,
    /// Copies wanted.
    pub wanted: u16,
}

/// Who makes the copies on other nodes.
#[async_trait]
pub trait Replicas: Send + Sync + 'static {
    /// Makes the copies of an object that is durable here, and waits until there are enough.
    ///
    /// # Errors
    /// [`FilesError::Replicas`] if there were not enough in time; the work goes on.
    async fn added(&self, root: &Cid, bytes: u64) -> Result<Copies, FilesError>;

    /// Lets the copies on other nodes go.
    ///
    /// # Errors
    /// [`FilesError::Fault`].
    async fn released(&self, root: &Cid) -> Result<(), FilesError>;

    /// The copies known of.
    async fn copies(&self, root: &Cid) -> Copies;
}

/// No other nodes: one copy is all.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneCopy;

impl OneCopy {
    const COPIES: Copies = Copies {
        replicas: 1,
        operators: 1,
        wanted: 1,
    };
}

#[async_trait]
impl Replicas for OneCopy {
    async fn added(&self, _: &Cid, _: u64) -> Result<Copies, FilesError> {
        Ok(Self::COPIES)
    }

    async fn released(&self, _: &Cid) -> Result<(), FilesError> {
        Ok(())
    }

    async fn copies(&self, _: &Cid) -> Copies {
        Self::COPIES
    }
}

/// Draws random bytes: nonces and salts.
pub type Randomness = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What files stand on.
#[derive(Clone)]
pub struct Parts {
    /// The blocks that are here.
    pub store: Store,
    /// Those that are not.
    pub exchange: Arc<dyn Exchange>,
    /// Copies elsewhere.
    pub replicas: Arc<dyn Replicas>,
    /// The time.
    pub clock: Clock,
    /// Randomness fit for keys.
    pub randomness: Randomness,
    /// What `ipfs id` says.
    pub identity: Arc<dyn Fn() -> Identity + Send + Sync>,
}

/// A node's files. Cheap to clone.
#[derive(Clone)]
pub struct NodeFiles {
    parts: Parts,
    options: Options,
    recent: Arc<Mutex<Recent>>,
}

impl NodeFiles {
    /// Files on these parts.
    pub fn new(parts: Parts, options: Options) -> Self {
        Self {
            parts,
            options,
            recent: Arc::default(),
        }
    }

    /// The blocks.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.parts.randomness)(&mut bytes);
        bytes
    }
}

/// The label of a caller's pins.
fn label(caller: &Caller) -> String {
    match caller {
        Caller::Operator => OPERATOR_LABEL.to_owned(),
        Caller::Container(id) => format!("{CONTAINER_LABEL}{id}"),
    }
}
