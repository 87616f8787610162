//! What a node does now and then: an oracle states its tables, every node looks after its own licence, and what was
//! recorded is written.

use std::{sync::Arc, time::Duration};

use r1_oraclesync::{OracleKey, SignedTable, TableBody};
use r1_poa::Record;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::{
    clock::now_ms,
    gossip::{self, TABLE, TRANSACTION},
    licence,
    node::Node,
};
/// How often what the others may have missed is sent again.
const REPEAT: Duration = Duration::from_secs(3);
/// Epochs that an oracle states at a time; when they are closed the next ones follow.
const STATED_AHEAD: u64 = 16;
/// Epochs whose heartbeats are kept on disk.
const HISTORY_EPOCHS: u64 = 512;
/// Keys of own tables in the ledger's records: `t` and the epoch, 8 bytes big-endian.
const TABLE_KEY: u8 = b't';

/// Does the duties, for ever.
pub async fn run(node: Arc<Node>) {
    let mut tick = interval(node.tick());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let oracle = node
        .is_oracle()
        .then(|| OracleKey::from_secret(&node.key.secret_bytes()))
        .and_then(Result::ok);
    let mut seen_height = None;
    let mut repeated = Instant::now();
    loop {
        wait_and_write(&node, &mut tick).await;
        let height = node.chain.lock().ledger().height();
        if seen_height != Some(height) {
            seen_height = Some(height);
            node.refresh_known();
            prune(&node);
            show(&node);
        }
        let mut fresh = Vec::new();
        if let Some(key) = &oracle {
            fresh = state_tables(&node, key);
        }
        let repeat = repeated.elapsed() >= REPEAT;
        if repeat {
            repeated = Instant::now();
            show(&node);
            fresh = own_tables(&node);
            for bytes in licence::waiting(&node) {
                gossip::publish_again(&node, TRANSACTION, &bytes).await;
            }
        }
        for bytes in fresh {
            gossip::publish_again(&node, TABLE, &bytes).await;
        }
        licence::look_after(&node).await;
    }
}

/// Waits for the next tick; writes what was recorded meanwhile, each time as soon as it has waited for long enough.
async fn wait_and_write(node: &Arc<Node>, tick: &mut Interval) {
    // A tick within the wait drops it, and writes what waited.
    loop {
        let ticked = tokio::select! {
            _ = tick.tick() => true,
            () = node.persistence.due() => false,
        };
        if !node.persistence.is_empty() {
            let blocking = Arc::clone(node);
            // One fsync: not on a thread that others wait for.
            let _ = tokio::task::spawn_blocking(move || blocking.persistence.flush(&blocking)).await;
        }
        if ticked {
            return;
        }
    }
}

/// Signs the tables of epochs that are over and not closed. Returns those signed now.
fn state_tables(node: &Node, key: &OracleKey) -> Vec<Vec<u8>> {
    let now = now_ms();
    let mut fresh = Vec::new();
    let (open, clock) = {
        let chain = node.chain.lock();
        (chain.ledger().state().next_epoch(), *chain.ledger().clock())
    };
    for epoch in open..open.saturating_add(STATED_AHEAD) {
        // Until then a heartbeat of the epoch may still arrive.
        if clock.end_ms(epoch).saturating_add(node.schedule.spacing_ms()) > now {
            break;
        }
        let stated = |chain: &crate::chain::Chain| {
            chain
                .statements()
                .of(epoch)
                .is_some_and(|tables| tables.contains_key(&key.node()))
        };
        if stated(&node.chain.lock()) {
            continue;
        }
        let table = stored_table(node, epoch).unwrap_or_else(|| sign_table(node, key, epoch));
        fresh.push(table.encode());
        if let Err(error) = node.chain.lock().add_table(table) {
            tracing::error!(%error, "own table is refused");
        }
    }
    if !fresh.is_empty() {
        node.hint_work();
    }
    fresh
}

fn sign_table(node: &Node, key: &OracleKey, epoch: u64) -> SignedTable {
    let least = node.genesis.oracle_min_availability;
    let body = match node.recorder().table(&node.address(), epoch, least) {
        Some(values) => TableBody::Values(values),
        None => TableBody::Abstained,
    };
    tracing::info!(
        epoch,
        abstained = matches!(body, TableBody::Abstained),
        "own table is signed"
    );
    let table = SignedTable::sign(node.chain.lock().domain(), key, epoch, body);
    // Another word about the same epoch after a restart would be a lie to somebody.
    node.persistence.add_raw(table_key(epoch), table.encode());
    node.persistence.flush(node);
    table
}

fn table_key(epoch: u64) -> Vec<u8> {
    [&[TABLE_KEY][..], &epoch.to_be_bytes()].concat()
}

fn stored_table(node: &Node, epoch: u64) -> Option<SignedTable> {
    let records = node.chain.lock().ledger().records(&table_key(epoch)).ok()?;
    SignedTable::decode(&records.first()?.1).ok()
}

/// The own tables of epochs that are not closed.
fn own_tables(node: &Node) -> Vec<Vec<u8>> {
    let own = node.address();
    let chain = node.chain.lock();
    let open = chain.ledger().state().next_epoch();
    let tables =
        (open..open.saturating_add(STATED_AHEAD)).filter_map(|epoch| chain.statements().of(epoch)?.get(&own));
    tables.map(SignedTable::encode).collect()
}

/// Removes what is no longer needed: own tables of closed epochs and heartbeats of old ones.
fn prune(node: &Node) {
    let chain = node.chain.lock();
    let ledger = chain.ledger();
    let open = ledger.state().next_epoch();
    let oldest = open.saturating_sub(HISTORY_EPOCHS);
    let removed = ledger
        .delete_records(&table_key(0), &table_key(open))
        .and_then(|_| ledger.delete_records(&Record::epoch_prefix(0), &Record::epoch_prefix(oldest)));
    if let Err(error) = removed {
        tracing::warn!(%error, "old records were not removed");
    }
}

fn show(node: &Node) {
    let value = node.recorder().value_now(&node.address(), now_ms());
    let figures = &node.figures;
    figures.availability.set(f64::from(value) / 255.0);
    figures.host_connected.set(i64::from(node.host.is_connected()));
    figures.degraded.set(node.host.degraded().len() as i64);
    let chain = node.chain.lock();
    figures.height.set(chain.ledger().height() as i64);
    figures
        .last_closed_epoch
        .set(chain.ledger().state().next_epoch() as i64 - 1);
    figures.waiting_transactions.set(chain.pool().len() as i64);
}
