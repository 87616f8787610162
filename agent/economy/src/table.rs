//! Maps and values whose changes can be taken back, and whose content has a Merkle root.
//!
//! The rules change tables as they go and return with `?` where they refuse; [`Journal::rollback`] then takes
//! everything back, as the EVM does on a revert. Costs depend on what changed, never on the size of the table.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    ops::{Deref, RangeBounds},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

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

/// One value with a journal. Read through `Deref`, changed through [`Var::set`] or [`Var::change`].
#[derive(Debug, Clone, Default)]
pub struct Var<T> {
    value: T,
    journal: Vec<T>,
    savepoints: Vec<usize>,
    changed: bool,
}

impl<T: Clone> Var<T> {
    /// A value without history.
    pub fn new(value: T) -> Self {
        Self {
            value,
            journal: Vec::new(),
            savepoints: Vec::new(),
            changed: true,
        }
    }

    /// Replaces the value.
    pub fn set(&mut self, value: T) {
        *self.change() = value;
    }

    /// The value, to be changed.
    pub fn change(&mut self) -> &mut T {
        if self
            .savepoints
            .last()
            .is_some_and(|mark| *mark == self.journal.len())
        {
            self.journal.push(self.value.clone());
        }
        &mut self.value
    }
}

impl<T> Deref for Var<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Var<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Var<T> {}

impl<T: Clone> Journal for Var<T> {
    fn is_open(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn begin(&mut self) {
        self.savepoints.push(self.journal.len());
    }

    fn commit(&mut self) {
        self.savepoints.pop();
        if self.savepoints.is_empty() {
            self.changed |= !self.journal.is_empty();
            self.journal.clear();
        } else if let Some(mark) = self.savepoints.last() {
            // Of what the inner savepoint kept, the outer one needs the oldest value only.
            self.journal.truncate((mark + 1).min(self.journal.len()));
        }
    }

    fn rollback(&mut self) {
        let mark = self.savepoints.pop().unwrap_or(0);
        if let Some(oldest) = self.journal.drain(mark..).next() {
            self.value = oldest;
        }
    }
}

impl<T: Clone + Serialize + DeserializeOwned> Stored for Var<T> {
    fn root(&mut self) -> (u64, Hash) {
        (1, record_leaf(&(), &self.value))
    }

    fn changes(&self) -> Changes {
        if self.changed || !self.journal.is_empty() {
            vec![(encode(&()), Some(encode(&self.value)))]
        } else {
            Vec::new()
        }
    }

    fn mark_stored(&mut self) {
        self.changed = false;
    }

    fn restore(&mut self, _key: &[u8], value: &[u8]) -> Result<(), postcard::Error> {
        self.value = postcard::from_bytes(value)?;
        self.changed = false;
        Ok(())
    }

    fn prove(&self, key: &[u8]) -> Option<(Vec<u8>, Proof)> {
        let proof = Proof {
            position: 0,
            len: 1,
            siblings: Vec::new(),
        };
        key.is_empty().then(|| (encode(&self.value), proof))
    }
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

/// An ordered map with a journal and a Merkle tree. A new record takes the lowest free position, so that the tree
/// follows from the records alone.
#[derive(Debug, Clone)]
pub struct Table<K, V> {
    slots: BTreeMap<K, Slot<V>>,
    /// Free positions below the highest one in use.
    free: BTreeSet<u64>,
    len: u64,
    journal: Vec<(K, Option<Slot<V>>)>,
    savepoints: Vec<usize>,
    /// Changed since the tree was last brought up to date.
    stale: Vec<(u64, K)>,
    /// Changed and committed since [`Stored::mark_stored`].
    changed: BTreeSet<K>,
    /// How much of the journal is stored.
    taken: usize,
    tree: Tree,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            free: BTreeSet::new(),
            len: 0,
            journal: Vec::new(),
            savepoints: Vec::new(),
            stale: Vec::new(),
            changed: BTreeSet::new(),
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

impl<K: Ord + Clone + Serialize, V: Clone + Serialize> Table<K, V> {
    /// The record of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.slots.get(key).map(|slot| &slot.value)
    }

    /// True if the key has a record.
    pub fn contains(&self, key: &K) -> bool {
        self.slots.contains_key(key)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All records in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + '_ {
        self.slots.iter().map(|(key, slot)| (key, &slot.value))
    }

    /// The records of a range of keys, in order.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)> + '_ {
        self.slots.range(range).map(|(key, slot)| (key, &slot.value))
    }

    /// The record of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.slots.get_mut(key)?;
        self.journal.push((key.clone(), Some(slot.clone())));
        self.stale.push((slot.position, key.clone()));
        Some(&mut slot.value)
    }

    /// The record of a key, to be changed; made if there is none.
    pub fn entry(&mut self, key: &K) -> &mut V
    where
        V: Default,
    {
        if !self.slots.contains_key(key) {
            self.insert(key.clone(), V::default());
        }
        self.get_mut(key).expect("inserted above")
    }

    /// Changes all records, in the order of their keys.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&K, &V) -> Option<V>) {
        for (key, slot) in &mut self.slots {
            if let Some(value) = change(key, &slot.value) {
                let old = Slot {
                    position: slot.position,
                    value: std::mem::replace(&mut slot.value, value),
                };
                self.stale.push((slot.position, key.clone()));
                self.journal.push((key.clone(), Some(old)));
            }
        }
    }

    /// Sets the record of a key; returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.slots.get(&key).cloned();
        let position = old
            .as_ref()
            .map_or_else(|| self.lowest_free(), |slot| slot.position);
        self.journal.push((key.clone(), old.clone()));
        self.put(key, Slot { position, value });
        old.map(|slot| slot.value)
    }

    /// Removes a key's record and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.take(key)?;
        self.journal.push((key.clone(), Some(old.clone())));
        Some(old.value)
    }

    fn lowest_free(&self) -> u64 {
        self.free.first().copied().unwrap_or(self.len)
    }

    fn put(&mut self, key: K, slot: Slot<V>) {
        self.free.remove(&slot.position);
        self.free.extend(self.len..slot.position);
        self.len = self.len.max(slot.position + 1);
        self.stale.push((slot.position, key.clone()));
        self.slots.insert(key, slot);
    }

    fn take(&mut self, key: &K) -> Option<Slot<V>> {
        let slot = self.slots.remove(key)?;
        self.stale.push((slot.position, key.clone()));
        self.free.insert(slot.position);
        while self.len > 0 && self.free.remove(&(self.len - 1)) {
            self.len -= 1;
        }
        Some(slot)
    }

    /// The proof of a key's record, after [`Stored::root`].
    pub fn proof(&self, key: &K) -> Option<Proof> {
        let position = self.slots.get(key)?.position;
        self.tree.proof(usize::try_from(position).ok()?)
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
        if !self.stale.is_empty() {
            let mut stale = std::mem::take(&mut self.stale);
            stale.sort_unstable();
            stale.dedup();
            // A position that was freed and taken again is there twice: emptied first, then filled.
            let mut leaves: BTreeMap<usize, Hash> = BTreeMap::new();
            let mut bytes = Vec::new();
            for (position, key) in stale {
                let slot = self.slots.get(&key).filter(|slot| slot.position == position);
                let index = usize::try_from(position).unwrap_or(usize::MAX);
                if let Some(slot) = slot {
                    bytes = record_bytes(bytes, &key, &slot.value);
                    leaves.insert(index, leaf(&bytes));
                } else {
                    leaves.entry(index).or_insert(EMPTY);
                }
            }
            self.tree
                .update(usize::try_from(self.len).unwrap_or(usize::MAX), leaves);
        }
        (self.len, self.tree.root())
    }

    fn changes(&self) -> Changes {
        let open = self.journal[self.taken..].iter().map(|(key, _)| key);
        let changed: BTreeSet<&K> = self.changed.iter().chain(open).collect();
        changed
            .into_iter()
            .map(|key| (encode(key), self.slots.get(key).map(encode)))
            .collect()
    }

    fn mark_stored(&mut self) {
        self.changed.clear();
        self.taken = self.journal.len();
    }

    fn restore(&mut self, key: &[u8], slot: &[u8]) -> Result<(), postcard::Error> {
        let (key, slot) = (postcard::from_bytes(key)?, postcard::from_bytes(slot)?);
        self.put(key, slot);
        Ok(())
    }

    fn prove(&self, key: &[u8]) -> Option<(Vec<u8>, Proof)> {
        let key: K = postcard::from_bytes(key).ok()?;
        Some((encode(self.get(&key)?), self.proof(&key)?))
    }
}

impl<K: Ord + Clone + Serialize, V: Clone + Serialize> Journal for Table<K, V> {
    fn is_open(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn begin(&mut self) {
        self.savepoints.push(self.journal.len());
    }

    fn commit(&mut self) {
        self.savepoints.pop();
        if self.savepoints.is_empty() {
            let taken = std::mem::take(&mut self.taken);
            self.changed
                .extend(self.journal.drain(..).skip(taken).map(|(key, _)| key));
        }
    }

    fn rollback(&mut self) {
        let mark = self.savepoints.pop().unwrap_or(0);
        while self.journal.len() > mark {
            let Some((key, old)) = self.journal.pop() else {
                break;
            };
            self.take(&key);
            if self.journal.len() < self.taken {
                // What was stored before it was committed is to be stored again as it was.
                self.taken = self.journal.len();
                self.changed.insert(key.clone());
            }
            if let Some(slot) = old {
                self.put(key, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u8),
        Change(u8, u8),
        Remove(u8),
        Begin,
        Commit,
        Rollback,
        Root,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 0u8..12;
        prop_oneof![
            (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Insert(k, v)),
            (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Change(k, v)),
            key.prop_map(Step::Remove),
            Just(Step::Begin),
            Just(Step::Commit),
            Just(Step::Rollback),
            Just(Step::Root),
        ]
    }

    proptest! {
        #[test]
        fn rollbacks_restore_and_the_root_follows_from_the_records(steps in prop::collection::vec(step(), 0..60)) {
            let mut table: Table<u8, u8> = Table::default();
            let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let mut saved: Vec<Table<u8, u8>> = Vec::new();
            table.begin();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        table.insert(key, value);
                    }
                    Step::Change(key, value) => {
                        if let Some(slot) = table.get_mut(&key) {
                            *slot = value;
                        }
                    }
                    Step::Remove(key) => {
                        table.remove(&key);
                    }
                    Step::Begin => {
                        saved.push(table.clone());
                        table.begin();
                    }
                    Step::Commit => {
                        if saved.pop().is_some() {
                            table.commit();
                        }
                    }
                    Step::Rollback => {
                        if let Some(before) = saved.pop() {
                            table.rollback();
                            prop_assert_eq!(&table, &before);
                            prop_assert_eq!(table.len, before.len);
                            prop_assert_eq!(&table.free, &before.free);
                        }
                    }
                    Step::Root => {
                        table.root();
                    }
                }
            }
            while saved.pop().is_some() {
                table.commit();
            }
            table.commit();
            for (key, value) in table.changes() {
                match value {
                    Some(value) => stored.insert(key, value),
                    None => stored.remove(&key),
                };
            }
            let mut again: Table<u8, u8> = Table::default();
            for (key, slot) in &stored {
                again.restore(key, slot).unwrap();
            }
            prop_assert_eq!(&again, &table);
            prop_assert_eq!(again.root(), table.root());
            for (key, value) in table.iter() {
                let proof = table.proof(key).unwrap();
                prop_assert_eq!(proof.root(record_leaf(key, value)), Some(again.tree.root()));
            }
        }

        #[test]
        fn a_value_goes_back_too(changes in prop::collection::vec((0u8..4, any::<u8>()), 0..40)) {
            let mut var = Var::new(0u8);
            let mut saved = Vec::new();
            for (what, value) in changes {
                match what {
                    0 => { saved.push(*var); var.begin(); }
                    1 => if saved.pop().is_some() { var.commit(); },
                    2 => if let Some(before) = saved.pop() { var.rollback(); prop_assert_eq!(*var, before); },
                    _ => var.set(value),
                }
            }
        }
    }
}
