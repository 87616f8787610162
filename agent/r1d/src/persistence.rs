//! Records that are to be written soon: collected for a moment and written in one synced transaction, so that a
//! burst of heartbeats costs one fsync.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use r1_poa::Record;
use tokio::{sync::Notify, time::sleep};

use crate::node::Node;

/// How long a record waits at most: what a killed process forgets, and no more than a fraction of a slot.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// The records that wait.
#[derive(Debug, Default)]
pub struct Persistence {
    waiting: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    added: Notify,
}

impl Persistence {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds records; later ones replace earlier ones of the same key.
    pub fn add(&self, records: &[Record]) {
        self.waiting()
            .extend(records.iter().map(|record| (record.key(), record.value())));
        self.added.notify_one();
    }

    /// Adds any record.
    pub fn add_raw(&self, key: Vec<u8>, value: Vec<u8>) {
        self.waiting().insert(key, value);
        self.added.notify_one();
    }

    /// Waits until something has been added and has waited for [`FLUSH_INTERVAL`] for more to be written with it.
    pub async fn due(&self) {
        self.added.notified().await;
        sleep(FLUSH_INTERVAL).await;
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Writes what waits. Blocks for one fsync.
    pub fn flush(&self, node: &Node) {
        let records = std::mem::take(&mut *self.waiting());
        if records.is_empty() {
            return;
        }
        let pairs = records
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()));
        let stored = node.chain.lock().ledger().put_records(pairs);
        if let Err(error) = stored {
            tracing::error!(%error, records = records.len(), "heartbeats could not be stored; trying again");
            let mut waiting = self.waiting();
            for (key, value) in records {
                waiting.entry(key).or_insert(value);
            }
        }
    }
}
