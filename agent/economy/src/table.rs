//! Maps and values whose changes can be taken back, and whose content has a Merkle root.
//!
//! The rules change tables as they go and return with `?` where they refuse; [`Journal::rollback`] then takes
//! everything back, as the EVM does on a revert. Costs depend on what changed, never on the size of the table.

mod var;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::RangeBounds,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use var::Var;

use crate::{
    merkle::{EMPTY, Hash, Proof, Tree, leaf},
    transaction::encode,
};

/// What can take its changes back. Savepoints nest.
pub trait Journal {
    /// Sets a savepoint.
    fn begin(&mut self);
    /// Forgets the last savepoint and keeps what changed since.
    fn commit(&mut self);
    /// Takes back what changed since the last savepoint, and forgets it.
    fn rollback(&mut self);
    /// True while a savepoint is set.
    fn is_open(&self) -> bool;
}

/// A table of the ledger whatever its types: what storing, hashing and proving need.
pub trait Stored: Journal {
    /// Brings the tree up to date and returns `(number of positions, root)`.
    fn root(&mut self) -> (u64, Hash);
    /// What changed since [`Stored::mark_stored`], encoded, to be stored; also what is not committed yet, so that it can
    /// be stored before it is.
    fn changes(&self) -> Changes;
    /// What [`Stored::changes`] gave is stored.
    fn mark_stored(&mut self);
    /// Puts a stored record back, as [`Stored::changes`] gave it.
    ///
    /// # Errors
    /// If the bytes are no record of this table.
    fn restore(&mut self, key: &[u8], slot: &[u8]) -> Result<(), postcard::Error>;
    /// A record's canonical value and its proof, after [`Stored::root`]; `None` if there is no such record.
    fn prove(&self, key: &[u8]) -> Option<(Vec<u8>, Proof)>;
}

/// A record and its place in the table's Merkle tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot<V> {
    /// Its leaf's position.
    pub position: u64,
    /// The record.
    pub value: V,
}

/// What changed in a table, to be stored: encoded key, and encoded [`Slot`] or `None` where the record is gone.
pub type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A record with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record<K, V> {
    key: K,
    value: V,
}

/// An ordered map with a journal and a Merkle tree. A new record takes the lowest free position, so that the tree
/// follows from the records alone.
///
/// Records lie in one row by position: the close of an epoch walks it from end to end, and the index by key stays small.
#[derive(Debug, Clone)]
pub struct Table<K, V> {
    /// The last one is never empty.
    slots: Vec<Option<Record<K, V>>>,
    index: BTreeMap<K, usize>,
    /// The empty positions.
    free: BTreeSet<usize>,
    /// What positions held before they were changed.
    journal: Vec<(usize, Option<Record<K, V>>)>,
    savepoints: Vec<usize>,
    /// Positions changed since the tree was last brought up to date.
    stale: Mentions<usize>,
    /// Keys changed and committed since [`Stored::mark_stored`].
    changed: Mentions<K>,
    /// How much of the journal is stored.
    taken: usize,
    tree: Tree,
}

/// Shortest list of [`Mentions`] that is cleaned.
const SLACK: usize = 1024;
/// Longest journal whose memory is kept for the next savepoint, entries.
const KEPT: usize = 1 << 14;

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            index: BTreeMap::new(),
            free: BTreeSet::new(),
            journal: Vec::new(),
            savepoints: Vec::new(),
            stale: Mentions::default(),
            changed: Mentions::default(),
            taken: 0,
            tree: Tree::default(),
        }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.slots == other.slots
    }
}

impl<K: Eq, V: Eq> Eq for Table<K, V> {}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    fn record(&self, position: usize) -> Option<&Record<K, V>> {
        self.slots.get(position)?.as_ref()
    }

    /// The record of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let record = self.record(*self.index.get(key)?)?;
        Some(&record.value)
    }

    /// True if the key has a record.
    pub fn contains(&self, key: &K) -> bool {
        self.index.contains_key(key)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// All records in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + '_ {
        self.range(..)
    }

    /// The records of a range of keys, in order.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)> + '_ {
        let record = |(_, position): (&K, &usize)| {
            let record = self.record(*position)?;
            Some((&record.key, &record.value))
        };
        self.index.range(range).filter_map(record)
    }

    /// The record of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let position = *self.index.get(key)?;
        self.change(position)
    }

    fn change(&mut self, position: usize) -> Option<&mut V> {
        let record = self.slots.get_mut(position)?.as_mut()?;
        self.journal.push((position, Some(record.clone())));
        self.stale.add(position);
        Some(&mut record.value)
    }

    /// The record of a key, to be changed; made if there is none.
    pub fn entry(&mut self, key: &K) -> &mut V
    where
        V: Default,
    {
        let position = match self.index.get(key) {
            Some(position) => *position,
            None => self.add(key.clone(), V::default()),
        };
        self.change(position).expect("found or added above")
    }

    /// All records in the order of their positions.
    pub fn by_position(&self) -> impl Iterator<Item = (&K, &V)> + '_ {
        self.slots
            .iter()
            .flatten()
            .map(|record| (&record.key, &record.value))
    }

    /// Changes all records, in the order of their positions.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&K, &V) -> Option<V>) {
        for (position, slot) in self.slots.iter_mut().enumerate() {
            let Some(record) = slot else { continue };
            if let Some(value) = change(&record.key, &record.value) {
                let old = Record {
                    key: record.key.clone(),
                    value: mem::replace(&mut record.value, value),
                };
                self.stale.add(position);
                self.journal.push((position, Some(old)));
            }
        }
    }

    /// Sets the record of a key; returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.index.get(&key).copied() {
            Some(position) => self.change(position).map(|record| mem::replace(record, value)),
            None => {
                self.add(key, value);
                None
            }
        }
    }

    /// Adds a record of a key that has none; returns its position.
    fn add(&mut self, key: K, value: V) -> usize {
        let position = self.free.first().copied().unwrap_or(self.slots.len());
        self.journal.push((position, None));
        self.set(position, Some(Record { key, value }));
        position
    }

    /// Removes a key's record and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let position = *self.index.get(key)?;
        let old = self.set(position, None);
        self.journal.push((position, old.clone()));
        old.map(|record| record.value)
    }

    /// Puts a record into a position, or empties it; returns what it held.
    fn set(&mut self, position: usize, record: Option<Record<K, V>>) -> Option<Record<K, V>> {
        if position >= self.slots.len() {
            self.free.extend(self.slots.len()..position);
            self.slots.resize_with(position + 1, || None);
        }
        let key = record.as_ref().map(|record| record.key.clone());
        let old = mem::replace(&mut self.slots[position], record);
        self.stale.add(position);
        let old_key = old.as_ref().map(|record| &record.key);
        if old_key == key.as_ref() {
            return old;
        }
        if let Some(key) = old_key {
            self.index.remove(key);
        }
        match key {
            Some(key) => {
                self.free.remove(&position);
                self.index.insert(key, position);
            }
            None => {
                self.free.insert(position);
                while self.slots.pop_if(|slot| slot.is_none()).is_some() {
                    self.free.remove(&self.slots.len());
                }
            }
        }
        old
    }

    /// The proof of a key's record, after [`Stored::root`].
    pub fn proof(&self, key: &K) -> Option<Proof> {
        self.tree.proof(*self.index.get(key)?)
    }

    /// Keys that an entry of the journal is about: what the position held before, and what it holds now.
    fn keys<'a>(&'a self, entry: &'a (usize, Option<Record<K, V>>)) -> impl Iterator<Item = &'a K> {
        let (position, old) = entry;
        let both = [old.as_ref(), self.record(*position)];
        both.into_iter().flatten().map(|record| &record.key)
    }
}

/// A list that may name things more than once. It is cleaned of that when it has doubled since, so that it takes little
/// more memory than what it names, and little time.
#[derive(Debug, Clone)]
struct Mentions<T> {
    list: Vec<T>,
    /// Length at which it is cleaned.
    limit: usize,
}

impl<T> Default for Mentions<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            limit: SLACK,
        }
    }
}

impl<T: Ord> Mentions<T> {
    fn add(&mut self, item: T) {
        self.list.push(item);
        if self.list.len() > self.limit {
            self.clean();
            self.limit = 2 * self.list.len() + SLACK;
        }
    }

    fn clean(&mut self) {
        self.list.sort_unstable();
        self.list.dedup();
    }

    /// Everything named, once, in order; the list is empty afterwards.
    fn take(&mut self) -> Vec<T> {
        self.clean();
        mem::take(self).list
    }
}

/// The canonical bytes of a record, of which its leaf is the hash; `buffer` is used again.
fn record_bytes<K: Serialize, V: Serialize>(mut buffer: Vec<u8>, key: &K, value: &V) -> Vec<u8> {
    buffer.clear();
    postcard::to_extend(&(key, value), buffer).expect("plain data encodes into memory")
}

/// The leaf of a record.
pub fn record_leaf<K: Serialize, V: Serialize>(key: &K, value: &V) -> Hash {
    leaf(&record_bytes(Vec::new(), key, value))
}

impl<K, V> Stored for Table<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned,
    V: Clone + Serialize + DeserializeOwned,
{
    fn root(&mut self) -> (u64, Hash) {
        let stale = self.stale.take();
        if !stale.is_empty() {
            let mut bytes = Vec::new();
            let slots = &self.slots;
            let leaves = stale.iter().map(|position| {
                let hash = match slots.get(*position) {
                    Some(Some(record)) => {
                        bytes = record_bytes(mem::take(&mut bytes), &record.key, &record.value);
                        leaf(&bytes)
                    }
                    _ => EMPTY,
                };
                (*position, hash)
            });
            self.tree.update(slots.len(), leaves);
        }
        (self.slots.len() as u64, self.tree.root())
    }

    fn changes(&self) -> Changes {
        let open = self.journal[self.taken..]
            .iter()
            .flat_map(|entry| self.keys(entry));
        let changed: BTreeSet<&K> = self.changed.list.iter().chain(open).collect();
        let slot = |key: &K| {
            let position = *self.index.get(key)?;
            let record = self.record(position)?;
            Some(encode(&(position as u64, &record.value)))
        };
        changed.into_iter().map(|key| (encode(key), slot(key))).collect()
    }

    fn mark_stored(&mut self) {
        self.changed = Mentions::default();
        self.taken = self.journal.len();
    }

    fn restore(&mut self, key: &[u8], slot: &[u8]) -> Result<(), postcard::Error> {
        let (key, slot): (K, Slot<V>) = (postcard::from_bytes(key)?, postcard::from_bytes(slot)?);
        let position = usize::try_from(slot.position).map_err(|_| postcard::Error::DeserializeBadVarint)?;
        // A position far beyond all records is none that this table gave out: records are never so few among so many.
        if position > MAX_POSITION {
            return Err(postcard::Error::DeserializeBadVarint);
        }
        let value = slot.value;
        self.set(position, Some(Record { key, value }));
        Ok(())
    }

    fn prove(&self, key: &[u8]) -> Option<(Vec<u8>, Proof)> {
        let key: K = postcard::from_bytes(key).ok()?;
        Some((encode(self.get(&key)?), self.proof(&key)?))
    }
}

/// Highest position that is restored: damaged storage must not allocate without end.
const MAX_POSITION: usize = 1 << 24;

impl<K: Ord + Clone, V: Clone> Journal for Table<K, V> {
    fn is_open(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn begin(&mut self) {
        self.savepoints.push(self.journal.len());
    }

    fn commit(&mut self) {
        self.savepoints.pop();
        if self.savepoints.is_empty() && !self.journal.is_empty() {
            let journal = mem::take(&mut self.journal);
            let taken = mem::take(&mut self.taken);
            let mut changed = mem::take(&mut self.changed);
            for entry in &journal[taken..] {
                self.keys(entry).for_each(|key| changed.add(key.clone()));
            }
            self.changed = changed;
            // The close of an epoch leaves a long one behind, whose memory is not needed for a day.
            if journal.capacity() <= KEPT {
                self.journal = journal;
                self.journal.clear();
            }
        }
    }

    fn rollback(&mut self) {
        let mark = self.savepoints.pop().unwrap_or(0);
        while self.journal.len() > mark {
            let Some(entry) = self.journal.pop() else { break };
            if self.journal.len() < self.taken {
                // What was stored before it was committed is to be stored again as it was.
                self.taken = self.journal.len();
                let keys: Vec<K> = self.keys(&entry).cloned().collect();
                keys.into_iter().for_each(|key| self.changed.add(key));
            }
            let (position, old) = entry;
            self.set(position, old);
        }
    }
}

#[cfg(test)]
mod tests;
