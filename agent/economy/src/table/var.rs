//! One value with a journal.

use std::ops::Deref;

use serde::{Serialize, de::DeserializeOwned};

use super::{Changes, Journal, Stored, record_leaf};
use crate::{
    merkle::{Hash, Proof},
    transaction::encode,
};

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
