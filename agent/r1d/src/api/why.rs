//! `/v1/why`: why a value is what it is, from the oracles' tables and the evidence this node has heard.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use r1_core::NodeAddress;
use r1_oraclesync::Block;
use r1_poa::{Gap, Record, Slots};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{epochs::closed, error::ApiError, status::agreed, view::Node};
use crate::ledger::EpochRecord;

/// Query of the node call.
#[derive(Debug, Deserialize)]
pub struct WhyQuery {
    epoch: Option<u64>,
}

/// What each oracle stated about a closed epoch: its table, or `None` for an abstention.
type Reported = BTreeMap<NodeAddress, Option<BTreeMap<NodeAddress, u8>>>;

fn reported(node: &Node, record: &EpochRecord) -> Result<Reported, ApiError> {
    let Some(decided) = node.store().get(record.height)? else {
        return Ok(Reported::new());
    };
    let close = Block::decode(&decided.payload)
        .ok()
        .and_then(|block| block.epoch_close);
    let tables = close.into_iter().flat_map(|close| close.tables);
    Ok(tables
        .map(|table| (table.oracle, table.values().cloned()))
        .collect())
}

/// A node's slots in an epoch, from memory or disk.
fn slots(node: &Node, address: &NodeAddress, epoch: u64) -> Result<Slots, ApiError> {
    let (mut found, mut places) = (None, 0);
    node.with_recorder(&mut |recorder| {
        found = recorder.slots(address, epoch).cloned();
        places = recorder.schedule().slots();
    });
    if let Some(slots) = found {
        return Ok(slots);
    }
    let mut slots = Slots::default();
    for (key, value) in node
        .chain()
        .lock()
        .ledger()
        .records(&Record::slots_prefix(epoch, address))?
    {
        if let Some(Record::Slots { index, word, .. }) = Record::parse(&key, &value) {
            slots.restore(index, word, places);
        }
    }
    Ok(slots)
}

/// `GET /v1/why/node/{address}?epoch=N`; without an epoch the last closed one, or the current one before that.
pub async fn node(
    State(node): State<Node>,
    Path(address): Path<String>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Value>, ApiError> {
    let address: NodeAddress = address
        .parse()
        .map_err(|error| ApiError::bad_request(format!("{error}")))?;
    let current = node.info().genesis.epoch.epoch_at(node.now_ms()).unwrap_or(0);
    let last = node.chain().lock().ledger().state().next_epoch().checked_sub(1);
    let epoch = query.epoch.or(last).unwrap_or(current);
    if epoch > current {
        return Err(ApiError::bad_request(format!(
            "epoch {epoch} has not begun; the current one is {current}"
        )));
    }
    explain(&node, &address, epoch).map(Json)
}

fn explain(node: &Node, address: &NodeAddress, epoch: u64) -> Result<Value, ApiError> {
    let now_ms = node.now_ms();
    let slots = slots(node, address, epoch)?;
    let (mut gaps, mut own_value, mut expected) = (Vec::new(), 0, 0);
    node.with_recorder(&mut |recorder| {
        gaps = recorder.explain(address, epoch, &slots, now_ms);
        own_value = slots.value(recorder.schedule());
        expected = recorder.schedule().slots();
    });
    let record = node.chain().lock().ledger().epoch(epoch)?;
    let reported = match &record {
        Some(record) => reported(node, record)?,
        None => Reported::new(),
    };
    let heard = (slots.count(), expected);
    let text = sentences(address, epoch, record.as_ref(), &reported, heard, &gaps);
    let said: Vec<Value> = reported
        .iter()
        .map(|(oracle, table)| json!({ "oracle": oracle, "value": value_in(table.as_ref(), address) }))
        .collect();
    Ok(json!({
        "node": address,
        "epoch": epoch,
        "closed": record.is_some(),
        "value": record.as_ref().map_or(own_value, |record| agreed(record, address)),
        "faulty": record.as_ref().is_some_and(|record| record.faulty),
        "heartbeats_heard": heard.0,
        "heartbeats_expected": heard.1,
        "reported": said,
        "gaps": gaps,
        "text": text,
    }))
}

/// What a table says of a node: absent is 0; an abstention says nothing.
fn value_in(table: Option<&BTreeMap<NodeAddress, u8>>, node: &NodeAddress) -> Option<u8> {
    table.map(|table| table.get(node).copied().unwrap_or(0))
}

fn sentences(
    node: &NodeAddress,
    epoch: u64,
    record: Option<&EpochRecord>,
    reported: &Reported,
    (heard, expected): (u32, u64),
    gaps: &[Gap],
) -> Vec<String> {
    let mut text = Vec::new();
    match record {
        None => text.push(format!("epoch {epoch} is not closed yet; what follows is what this node has heard so far")),
        Some(record) if record.faulty => text.push(format!(
            "epoch {epoch} was faulty: only {} of {} oracles gave a table, so every licensed node counts as 255",
            record.tables, record.oracles
        )),
        Some(record) => text.push(format!(
            "epoch {epoch}: {} of 255, the median of {} tables; {} of {} oracles signed",
            agreed(record, node),
            record.tables,
            record.signers,
            record.oracles
        )),
    }
    for (oracle, table) in reported {
        text.push(match value_in(table.as_ref(), node) {
            Some(value) => format!("oracle {oracle} measured {value}"),
            None => format!("oracle {oracle} abstained: it was not there for long enough itself"),
        });
    }
    text.push(format!("this node heard {heard} of {expected} heartbeats"));
    text.extend(gaps.iter().map(|gap| {
        let seconds = (gap.to_ms.saturating_sub(gap.from_ms)) as f64 / 1000.0;
        format!("{seconds:.1} s without proof: {}", gap.detail)
    }));
    if gaps.is_empty() && u64::from(heard) >= expected {
        text.push("nothing is missing".into());
    }
    text
}

/// `GET /v1/why/epoch/{n}`: the oracles' statements side by side, and every node below 255 with its reasons.
pub async fn epoch(State(node): State<Node>, Path(epoch): Path<u64>) -> Result<Json<Value>, ApiError> {
    let record = closed(&node, epoch)?;
    let reported = reported(&node, &record)?;
    let mut addresses: Vec<NodeAddress> = record.availability.keys().copied().collect();
    addresses.extend(reported.values().flatten().flat_map(|table| table.keys()));
    node.with_recorder(&mut |recorder| addresses.extend(recorder.known()));
    addresses.sort_unstable();
    addresses.dedup();
    let below: Vec<_> = addresses
        .iter()
        .filter(|address| agreed(&record, address) < u8::MAX)
        .collect();
    let nodes = below
        .iter()
        .map(|address| explain(&node, address, epoch))
        .collect::<Result<Vec<_>, _>>()?;
    let silent = record.oracles as usize - reported.len().min(record.oracles as usize);
    let mut text = vec![format!(
        "epoch {epoch} was closed at height {} in round {} by {} of {} oracles; {} tables, {silent} oracles silent",
        record.height, record.round, record.signers, record.oracles, record.tables
    )];
    if record.faulty {
        text.push("too few tables: every licensed node counts as 255".into());
    }
    text.push(format!(
        "{} of {} nodes are below 255",
        below.len(),
        addresses.len()
    ));
    Ok(Json(json!({ "epoch": record, "nodes": nodes, "text": text })))
}
