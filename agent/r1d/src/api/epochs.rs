//! `/v1/epochs`: what was agreed, and the certificates.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use r1_core::Hex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::ApiError, view::Node};
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
