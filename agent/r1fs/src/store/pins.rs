//! Pins: why a root and all below it stay, and until when.

use serde::{Deserialize, Serialize};

use super::{
    Inner, Store,
    error::StoreError,
    index::{Change, Digest},
};
use crate::{Cid, cid::digest_of};

/// Longest label of a pin, bytes.
pub const MAX_LABEL: usize = 128;

/// A record of a room above: its key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// What is changed about one pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinChange {
    /// The root of what is kept.
    pub root: Cid,
    /// Who keeps it and why, e.g. `user` or `replica`; a root may have several pins of different labels.
    pub label: String,
    /// The pin; `None` removes it.
    pub pin: Option<Pin>,
}

/// A pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_ms: u64,
    /// When it ends by itself, ms since 1970-01-01 UTC; never if absent.
    pub expires_ms: Option<u64>,
}

/// A pin as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The root.
    pub root: Cid,
    /// Its label.
    pub label: String,
    /// The pin.
    pub pin: Pin,
}

fn key(root: &Cid, label: &str) -> Result<Vec<u8>, StoreError> {
    if label.is_empty() || label.len() > MAX_LABEL || label.contains('\0') {
        return Err(StoreError::Label {
            label: label.to_owned(),
            max: MAX_LABEL,
        });
    }
    let mut key = prefix(root);
    key.extend_from_slice(label.as_bytes());
    Ok(key)
}

/// Pins of a root are neighbours: its bytes with their length in front.
fn prefix(root: &Cid) -> Vec<u8> {
    let bytes = root.to_bytes();
    let mut prefix = vec![u8::try_from(bytes.len()).unwrap_or(u8::MAX)];
    prefix.extend_from_slice(&bytes);
    prefix
}

fn parse(key: &[u8], value: &[u8]) -> Result<Pinned, StoreError> {
    let damaged = || StoreError::Damaged { what: "a pin".into() };
    let (length, rest) = key.split_first().ok_or_else(damaged)?;
    let (root, label) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
    Ok(Pinned {
        root: Cid::try_from(root).map_err(|_| damaged())?,
        label: std::str::from_utf8(label).map_err(|_| damaged())?.to_owned(),
        pin: postcard::from_bytes(value).map_err(|_| damaged())?,
    })
}

fn expiry_key(expires_ms: u64, pin: &[u8]) -> Vec<u8> {
    [&expires_ms.to_be_bytes(), pin].concat()
}

impl Change<'_> {
    /// Makes, prolongs or removes a pin. Removing one that is not there changes nothing.
    pub(super) fn pin(&mut self, change: &PinChange, now_ms: u64) -> Result<(), StoreError> {
        let key = key(&change.root, &change.label)?;
        self.pin_by_key(&key, &change.root, change.pin, now_ms)
    }

    fn pin_by_key(
        &mut self,
        key: &[u8],
        root: &Cid,
        pin: Option<Pin>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let fault = |error| self.index.fault(error);
        let before = self.index.pins.get(&self.txn, key).map_err(fault)?;
        let before = before
            .map(|value| parse(key, value))
            .transpose()?
            .map(|pinned| pinned.pin);
        if let Some(expires_ms) = before.and_then(|pin| pin.expires_ms) {
            let old = expiry_key(expires_ms, key);
            self.index.expiries.delete(&mut self.txn, &old).map_err(fault)?;
        }
        match pin {
            Some(pin) => {
                let value =
                    postcard::to_stdvec(&pin).map_err(|_| StoreError::Damaged { what: "a pin".into() })?;
                self.index.pins.put(&mut self.txn, key, &value).map_err(fault)?;
                if let Some(expires_ms) = pin.expires_ms {
                    let new = expiry_key(expires_ms, key);
                    self.index.expiries.put(&mut self.txn, &new, &()).map_err(fault)?;
                }
            }
            None => {
                self.index.pins.delete(&mut self.txn, key).map_err(fault)?;
            }
        }
        match (digest_of(root), before.is_some(), pin.is_some()) {
            (Some(digest), false, true) => self.refer(&digest, true).map(drop),
            (Some(digest), true, false) => self.let_go(&digest, now_ms),
            _ => Ok(()),
        }
    }

    /// One reference fewer; the grace period of a block that nothing refers to begins now.
    fn let_go(&mut self, digest: &Digest, now_ms: u64) -> Result<(), StoreError> {
        self.refer(digest, false)?;
        if let Some(mut entry) = self
            .entry(digest)?
            .filter(|entry| entry.is_here() && entry.refs == 0)
        {
            entry.touched_ms = now_ms;
            self.set(digest, &entry)?;
        }
        Ok(())
    }

    /// Removes up to `limit` pins that have expired; returns their roots.
    pub(super) fn expire(&mut self, now_ms: u64, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let end = now_ms.saturating_add(1).to_be_bytes();
        let range = (
            std::ops::Bound::Unbounded,
            std::ops::Bound::Excluded(end.as_slice()),
        );
        let expiries = self.index.expiries;
        let due = expiries
            .range(&self.txn, &range)
            .map_err(|e| self.index.fault(e))?;
        let due = due.take(limit).map(|item| item.map(|(key, ())| key.to_vec()));
        let due = due
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| self.index.fault(e))?;
        let mut roots = Vec::with_capacity(due.len());
        for expiry in due {
            let pin = expiry.get(8..).unwrap_or_default();
            let value = self
                .index
                .pins
                .get(&self.txn, pin)
                .map_err(|e| self.index.fault(e))?;
            let pinned = value.map(|value| parse(pin, value)).transpose()?;
            match pinned {
                Some(pinned) => {
                    self.pin_by_key(pin, &pinned.root, None, now_ms)?;
                    roots.push(pinned.root);
                }
                None => {
                    expiries
                        .delete(&mut self.txn, &expiry)
                        .map_err(|e| self.index.fault(e))?;
                }
            }
        }
        Ok(roots)
    }

    /// Writes or removes a record of a room above.
    pub(super) fn record(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let done = match value {
            Some(value) => self.index.records.put(&mut self.txn, key, value),
            None => self.index.records.delete(&mut self.txn, key).map(drop),
        };
        done.map_err(|e| self.index.fault(e))
    }
}

impl Store {
    /// Changes pins and records durably, all or none. Blocks the thread for a sync.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn change(&self, pins: Vec<PinChange>, records: Vec<super::RecordChange>) -> Result<(), StoreError> {
        self.batch().commit(pins, records)
    }

    /// The pins of a root.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn pins_of(&self, root: &Cid) -> Result<Vec<Pinned>, StoreError> {
        let index = &self.inner.index;
        let txn = index.read()?;
        let prefix = prefix(root);
        let found = index
            .pins
            .prefix_iter(&txn, &prefix)
            .map_err(|e| index.fault(e))?;
        found
            .map(|item| {
                item.map_err(|e| index.fault(e))
                    .and_then(|(key, value)| parse(key, value))
            })
            .collect()
    }

    /// Up to `limit` pins after one (none: from the first), in the order of the index.
    ///
    /// # Errors
    /// [`StoreError::Index`], [`StoreError::Damaged`].
    pub fn pins(&self, after: Option<&Pinned>, limit: usize) -> Result<Vec<Pinned>, StoreError> {
        let index = &self.inner.index;
        let txn = index.read()?;
        let start = after.map(|pinned| key(&pinned.root, &pinned.label)).transpose()?;
        let start = start
            .as_deref()
            .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (start, std::ops::Bound::Unbounded);
        let found = index.pins.range(&txn, &range).map_err(|e| index.fault(e))?;
        let found = found.take(limit);
        found
            .map(|item| {
                item.map_err(|e| index.fault(e))
                    .and_then(|(key, value)| parse(key, value))
            })
            .collect()
    }

    /// A record of a room above.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn record(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let index = &self.inner.index;
        let txn = index.read()?;
        let found = index.records.get(&txn, key).map_err(|e| index.fault(e))?;
        Ok(found.map(<[u8]>::to_vec))
    }

    /// All records whose keys begin with a prefix.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn records(&self, prefix: &[u8]) -> Result<Vec<Record>, StoreError> {
        let index = &self.inner.index;
        let txn = index.read()?;
        let found = index
            .records
            .prefix_iter(&txn, prefix)
            .map_err(|e| index.fault(e))?;
        found
            .map(|item| {
                item.map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .map_err(|e| index.fault(e))
            })
            .collect()
    }
}

impl Inner {
    /// True if nothing but the grace period keeps a block.
    pub(super) fn is_loose(&self, digest: &Digest) -> Result<bool, StoreError> {
        let txn = self.index.read()?;
        Ok(self
            .index
            .entry(&txn, digest)?
            .is_some_and(|entry| entry.refs == 0))
    }
}
