//! `/v1/epochs`, `/v1/licences`.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use r1_core::Hex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    error::ApiError,
    view::{LicenceAction, Node},
};
use crate::ledger::EpochRecord;

/// Most epochs in one answer.
const MAX_EPOCHS: usize = 1000;
/// Epochs in an answer when nothing is asked for.
const DEFAULT_EPOCHS: usize = 20;

/// Query of `GET /v1/epochs`.
#[derive(Debug, Deserialize)]
pub struct EpochsQuery {
    limit: Option<usize>,
}

/// `GET /v1/epochs?limit=N`, newest first.
pub async fn epochs(
    State(node): State<Node>,
    Query(query): Query<EpochsQuery>,
) -> Result<Json<Value>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_EPOCHS).min(MAX_EPOCHS);
    let epochs = node.chain().lock().ledger().last_epochs(limit)?;
    Ok(Json(json!({ "epochs": epochs })))
}

/// The record of a closed epoch.
pub(super) fn closed(node: &Node, epoch: u64) -> Result<EpochRecord, ApiError> {
    let record = node.chain().lock().ledger().epoch(epoch)?;
    record.ok_or_else(|| ApiError::not_found(format!("epoch {epoch} is not closed")))
}

/// `GET /v1/epochs/{n}/certificate`: what an auditor needs to check the epoch alone.
pub async fn certificate(State(node): State<Node>, Path(epoch): Path<u64>) -> Result<Json<Value>, ApiError> {
    let record = closed(&node, epoch)?;
    let height = record.height;
    let decided = node.store().get(height)?;
    let decided = decided.ok_or_else(|| ApiError::not_found(format!("block {height} is not kept here")))?;
    let signatures: Vec<Value> = decided
        .certificate
        .signatures
        .iter()
        .map(|(oracle, signature)| json!({ "oracle": oracle, "signature": Hex(signature.to_bytes()) }))
        .collect();
    Ok(Json(json!({
        "epoch": record,
        "height": height,
        "round": decided.certificate.round,
        "value_id": Hex(decided.certificate.value_id),
        "signatures": signatures,
        "payload": Hex(&decided.payload),
    })))
}

/// `GET /v1/licences`.
pub async fn licences(State(node): State<Node>) -> Json<Value> {
    let chain = node.chain().lock();
    let licences: Vec<Value> = chain
        .ledger()
        .state()
        .licences()
        .map(|view| {
            json!({
                "id": view.id,
                "type": "ND",
                "owner": view.licence.owner,
                "node": view.licence.node,
                "assigned_wei": view.assigned.to_string(),
                "claimed_wei": view.licence.claimed.to_string(),
                "claimable_wei": view.claimable.to_string(),
                "last_claim_epoch": view.licence.node.map(|_| view.licence.last_claim_epoch),
            })
        })
        .collect();
    Json(json!({ "licences": licences }))
}

/// `POST /v1/licences/{id}/link`.
pub async fn link(State(node): State<Node>, Path(id): Path<u64>) -> Result<Json<Value>, ApiError> {
    submit(&node, LicenceAction::Link(id))
}

/// `POST /v1/licences/{id}/claim`.
pub async fn claim(State(node): State<Node>, Path(id): Path<u64>) -> Result<Json<Value>, ApiError> {
    submit(&node, LicenceAction::Claim(id))
}

fn submit(node: &Node, action: LicenceAction) -> Result<Json<Value>, ApiError> {
    let hash = node.submit(action).map_err(ApiError::refused)?;
    Ok(Json(json!({ "tx": Hex(hash) })))
}
