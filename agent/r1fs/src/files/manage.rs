//! What operators do with objects besides adding and opening them.

use std::time::Duration;

use serde::Serialize;

use super::{
    Copies, NodeFiles,
    add::Form,
    read::{Reading, stream},
};
use crate::{
    Cid,
    api::{Added, ByteStream, Caller, FilesError},
    cid::{DAG_PB, RAW},
    dag_pb::Node,
    fetch::{self, Fetched},
    store::{Collected, Pin, PinChange, Pinned, Verified},
    unixfs::{Data, Kind, Listing, Resolver},
};

/// A change of an operator's pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Keep it, until a time (ms since 1970-01-01 UTC) or for good.
    Pin(Option<u64>),
    /// Let it go.
    Unpin,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// Its name.
    pub cid: String,
    /// `file`, `directory`, `symlink` or `raw`.
    pub kind: &'static str,
    /// Bytes of the file; of a directory, of all its blocks as its maker says.
    pub size: u64,
    /// Links of its root.
    pub links: usize,
    /// True if the root is here.
    pub here: bool,
    /// The pins that keep it here: label and expiry (ms since 1970-01-01 UTC).
    pub pins: Vec<(String, Option<u64>)>,
    /// Copies that are known of.
    pub replicas: u16,
    /// Distinct operators that hold one.
    pub operators: u16,
    /// Copies wanted.
    pub wanted: u16,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub cid: String,
    /// Bytes of all its blocks, as its maker says.
    pub size: u64,
}

impl NodeFiles {
    /// Runs something that blocks, off the runtime.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self) -> Result<T, FilesError> + Send + 'static,
    ) -> Result<T, FilesError> {
        let files = self.clone();
        let done = tokio::task::spawn_blocking(move || run(&files)).await;
        done.map_err(|error| FilesError::Fault(error.to_string()))?
    }

    /// Adds a content as it is: anybody who has its name can read it.
    ///
    /// # Errors
    /// As [`crate::Files::add`].
    pub async fn add_plain(&self, caller: &Caller, content: ByteStream) -> Result<Added, FilesError> {
        self.add_as(caller, Form::Plain, content).await
    }

    /// The bytes of a file as they are stored, sealed or not.
    ///
    /// # Errors
    /// As [`crate::Files::open`].
    pub async fn cat(&self, cid: &Cid) -> Result<(u64, ByteStream), FilesError> {
        let reading = Reading::begin(self.source(cid), cid, None).await?;
        Ok((reading.size(), stream(reading, |_, bytes| bytes)))
    }

    /// Follows a path of names below a root.
    ///
    /// # Errors
    /// [`FilesError::Invalid`] names the entry that is not there.
    pub async fn resolve(&self, root: &Cid, path: &str) -> Result<Cid, FilesError> {
        let source = self.source(root);
        let mut resolver = Resolver::new(*root, path);
        loop {
            if let Some(cid) = resolver.resolved() {
                return Ok(cid);
            }
            for cid in resolver.wanted(1) {
                let block = source.get(&cid).await?;
                resolver.feed(&cid, &block)?;
            }
        }
    }

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// [`FilesError::Invalid`] if it is none.
    pub async fn list(&self, root: &Cid) -> Result<Vec<Entry>, FilesError> {
        let source = self.source(root);
        let mut listing = Listing::new(*root);
        let mut entries = Vec::new();
        while !listing.is_done() {
            for cid in listing.wanted(1) {
                let block = source.get(&cid).await?;
                listing.feed(&cid, &block)?;
            }
            entries.extend(std::iter::from_fn(|| listing.next_entry()).map(|entry| Entry {
                name: entry.name,
                cid: entry.cid.to_string(),
                size: entry.tsize,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// What an object is and what keeps it.
    ///
    /// # Errors
    /// [`FilesError::NotFound`] if its root is nowhere.
    pub async fn stat(&self, cid: &Cid) -> Result<Stat, FilesError> {
        let root = *cid;
        let here = self
            .blocking(move |files| Ok(files.parts.store.size(&root)?.is_some()))
            .await?;
        let block = self.source(cid).get(cid).await?;
        let pins = self
            .blocking(move |files| Ok(files.parts.store.pins_of(&root)?))
            .await?;
        let copies = self.parts.replicas.copies(cid).await;
        let (kind, size, links) = describe(cid, &block)?;
        Ok(Stat {
            cid: cid.to_string(),
            kind,
            size,
            links,
            here,
            pins: pins
                .into_iter()
                .map(|pinned| (pinned.label, pinned.pin.expires_ms))
                .collect(),
            replicas: copies.replicas,
            operators: copies.operators,
            wanted: copies.wanted,
        })
    }

    /// Keeps an object here, fetching what is missing, or lets it go. `progress` is told of the fetching.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::Full`].
    pub async fn pin(
        &self,
        caller: &Caller,
        cid: &Cid,
        change: Change,
        progress: impl FnMut(&Fetched) + Send,
    ) -> Result<Option<Copies>, FilesError> {
        let pin = |pin| PinChange {
            root: *cid,
            label: super::label(caller),
            pin,
        };
        match change {
            Change::Unpin => {
                let change = pin(None);
                self.blocking(move |files| Ok(files.parts.store.change(vec![change], vec![])?))
                    .await?;
                Ok(None)
            }
            Change::Pin(expires_ms) => {
                let created_ms = (self.parts.clock)();
                let change = pin(Some(Pin {
                    created_ms,
                    expires_ms,
                }));
                let session = self.parts.exchange.session(cid).await;
                let (store, limits) = (&self.parts.store, self.options.fetch);
                let fetched =
                    fetch::fetch(store, &session, cid, limits, vec![change], vec![], progress).await?;
                let copies = self.parts.replicas.added(cid, fetched.bytes).await?;
                Ok(Some(copies))
            }
        }
    }

    /// Up to `limit` pins after one.
    ///
    /// # Errors
    /// [`FilesError::Fault`].
    pub async fn pins(&self, after: Option<Pinned>, limit: usize) -> Result<Vec<Pinned>, FilesError> {
        self.blocking(move |files| Ok(files.parts.store.pins(after.as_ref(), limit)?))
            .await
    }

    /// Removes what nothing refers to, after the grace period of the settings or another one.
    ///
    /// # Errors
    /// [`FilesError::Fault`].
    pub async fn collect(&self, grace: Option<Duration>) -> Result<Collected, FilesError> {
        let grace = grace.unwrap_or(self.options.grace);
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.blocking(move |files| Ok(files.parts.store.collect(grace_ms, |_| true)?))
            .await
    }

    /// Looks at every block; what is damaged or missing below a pin is fetched from peers if `heal` is set. Returns
    /// what was found and how many blocks were healed.
    ///
    /// # Errors
    /// [`FilesError::Fault`].
    pub async fn verify(&self, heal: bool) -> Result<(Verified, u64), FilesError> {
        let verified = self
            .blocking(|files| Ok(files.parts.store.verify(|_| true)?))
            .await?;
        if !heal || verified.damaged.is_empty() && verified.absent.is_empty() {
            return Ok((verified, 0));
        }
        let mut healed = 0;
        let mut after = None;
        loop {
            let page = self.pins(after.take(), 256).await?;
            for pinned in &page {
                let session = self.parts.exchange.session(&pinned.root).await;
                let (store, limits) = (&self.parts.store, self.options.fetch);
                match fetch::fetch(store, &session, &pinned.root, limits, vec![], vec![], |_| {}).await {
                    Ok(fetched) => healed += fetched.received_blocks,
                    Err(error) => tracing::warn!(root = %pinned.root, %error, "not healed"),
                }
            }
            after = page.into_iter().next_back();
            if after.is_none() {
                return Ok((verified, healed));
            }
        }
    }
}

fn describe(cid: &Cid, block: &bytes::Bytes) -> Result<(&'static str, u64, usize), FilesError> {
    if cid.codec() == RAW {
        return Ok(("raw", block.len() as u64, 0));
    }
    if cid.codec() != DAG_PB {
        return Err(FilesError::Invalid(format!(
            "{cid}: codec {:#x} is not UnixFS",
            cid.codec()
        )));
    }
    let invalid = |why: &str| FilesError::Invalid(format!("{cid}: {why}"));
    let node = Node::decode(block).map_err(|error| invalid(error.0))?;
    let data = node.data.as_ref().ok_or_else(|| invalid("no UnixFS message"))?;
    let data = Data::decode(cid, data)?;
    let below = node
        .links
        .iter()
        .fold(block.len() as u64, |sum, link| sum.saturating_add(link.tsize));
    Ok(match data.kind {
        Kind::File | Kind::Raw => {
            let own = data.data.map_or(0, |data| data.len() as u64);
            ("file", data.file_size.unwrap_or(own), node.links.len())
        }
        Kind::Directory | Kind::Shard => ("directory", below, node.links.len()),
        Kind::Symlink => ("symlink", block.len() as u64, 0),
    })
}
