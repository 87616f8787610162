//! `/v1/status` and `/v1/nodes`.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use r1_core::{ContainerStatus, EthAddress, NodeAddress, U256};
use serde_json::{Value, json};

use super::{error::ApiError, view::Node};
use crate::ledger::EpochRecord;

/// `GET /v1/status`.
pub async fn status(State(node): State<Node>) -> Result<Json<Value>, ApiError> {
    let host = node.host();
    let containers = match &host {
        Some(client) => client.list().await.unwrap_or_default(),
        None => Vec::new(),
    };
    let running = containers
        .iter()
        .filter(|c| c.state == ContainerStatus::Running)
        .count();
    let (info, now_ms) = (node.info().clone(), node.now_ms());
    let clock = info.genesis.epoch;
    let epoch = clock.epoch_at(now_ms).unwrap_or(0);
    let mut availability_now = 0;
    node.with_recorder(&mut |recorder| availability_now = recorder.value_now(&info.address, now_ms));
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let claimable = state
        .licences()
        .filter(|view| view.owner == info.eth_address)
        .fold(U256::ZERO, |sum, view| sum.saturating_add(view.claimable));
    Ok(Json(json!({
        "address": info.address,
        "eth_address": info.eth_address,
        "alias": info.alias,
        "role": role(info.genesis.is_oracle(&info.address)),
        "version": env!("CARGO_PKG_VERSION"),
        "network": info.genesis.network,
        "epoch": {
            "id": epoch,
            "started_at_ms": clock.start_ms(epoch),
            "ends_at_ms": clock.end_ms(epoch),
            "length_ms": clock.length_ms,
        },
        "height": chain.ledger().height(),
        "last_closed_epoch": state.next_epoch().checked_sub(1),
        "peers": node.peers(),
        "availability_now": availability_now,
        "balance": state.balance(&info.eth_address).to_string(),
        "claimable": claimable.to_string(),
        "transactions_waiting": chain.pool().len(),
        "containers": running,
        "host": { "connected": host.is_some(), "hooks": node.hooks() },
        "degraded": node.degraded(),
    })))
}

fn role(is_oracle: bool) -> &'static str {
    if is_oracle { "oracle" } else { "worker" }
}

/// What the ledger says of each node: its licence, the licence's owner and that account's balance.
fn licences(node: &Node) -> BTreeMap<NodeAddress, (String, EthAddress, U256)> {
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let linked = state.licences().filter_map(|view| {
        let owner = view.owner;
        Some((view.node?, (view.licence.handle(), owner, state.balance(&owner))))
    });
    linked.collect()
}

/// `GET /v1/nodes`: the oracles of the genesis, every node with a licence, this node, and every node heard.
pub async fn nodes(State(node): State<Node>) -> Result<Json<Value>, ApiError> {
    let (info, now_ms) = (node.info().clone(), node.now_ms());
    let licences = licences(&node);
    let last: Option<EpochRecord> = node.chain().lock().ledger().last_epochs(1)?.into_iter().next();
    let mut list = Vec::new();
    node.with_recorder(&mut |recorder| {
        let mut all: Vec<NodeAddress> = info.genesis.oracles.iter().map(|oracle| oracle.address).collect();
        all.extend(licences.keys().chain(recorder.known()).chain([&info.address]));
        all.sort_unstable();
        all.dedup();
        list = all
            .iter()
            .map(|address| {
                let seen = recorder.last(address);
                let licence = licences.get(address);
                let own = *address == info.address;
                json!({
                    "address": address,
                    "eth_address": r1_identity::PublicKey::try_from(address).ok().map(|key| key.eth_address()),
                    "alias": if own { Some(info.alias.clone()) } else { seen.map(|last| last.alias.clone()) },
                    "role": role(info.genesis.is_oracle(address)),
                    "online": own || recorder.is_online(address, now_ms),
                    "last_seen_ms": seen.map(|last| last.stamp_ms),
                    "availability_now": recorder.value_now(address, now_ms),
                    "last_epoch": last.as_ref().map(|record| record.epoch),
                    "last_epoch_availability": last.as_ref().map(|record| agreed(record, address)),
                    "licence": licence.map(|(id, ..)| id),
                    "owner": licence.map(|(_, owner, _)| owner),
                    "balance": licence.map_or(U256::ZERO, |(.., balance)| *balance).to_string(),
                })
            })
            .collect();
    });
    Ok(Json(json!({ "nodes": list })))
}

/// The value that counts for a node in a closed epoch.
pub(super) fn agreed(record: &EpochRecord, node: &NodeAddress) -> u8 {
    if record.faulty {
        u8::MAX
    } else {
        record.availability.get(node).copied().unwrap_or(0)
    }
}
