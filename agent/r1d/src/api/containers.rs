//! `/v1/containers`: passed on to r1-hostd, checked on both sides.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use r1_host_api::{HostClient, RunRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::ApiError, view::Node};

/// Log lines in an answer when nothing is asked for.
const DEFAULT_TAIL: u32 = 100;
/// How long a container may take to end by itself before it is killed, when nothing is asked for, ms.
const DEFAULT_STOP_TIMEOUT_MS: u64 = 10_000;

/// Query of the log call.
#[derive(Debug, Deserialize)]
pub struct LogsQuery {
    tail: Option<u32>,
}

/// Body of the stop call.
#[derive(Debug, Default, Deserialize)]
pub struct StopBody {
    timeout_ms: Option<u64>,
}

fn host(node: &Node) -> Result<HostClient, ApiError> {
    node.host().ok_or_else(ApiError::no_host)
}

/// `GET /v1/containers`.
pub async fn list(State(node): State<Node>) -> Result<Json<Value>, ApiError> {
    let containers = host(&node)?.list().await?;
    Ok(Json(json!({ "containers": containers })))
}

/// `POST /v1/containers`.
pub async fn run(State(node): State<Node>, Json(request): Json<RunRequest>) -> Result<Json<Value>, ApiError> {
    request.validate()?;
    let id = host(&node)?.run(&request).await?;
    Ok(Json(json!({ "id": id })))
}

/// `GET /v1/containers/{id}/logs?tail=N`.
pub async fn logs(
    State(node): State<Node>,
    Path(id): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Json<Value>, ApiError> {
    let lines = host(&node)?.logs(&id, query.tail.unwrap_or(DEFAULT_TAIL)).await?;
    Ok(Json(json!({ "lines": lines })))
}

/// `POST /v1/containers/{id}/stop`; the body is optional.
pub async fn stop(
    State(node): State<Node>,
    Path(id): Path<String>,
    body: Option<Json<StopBody>>,
) -> Result<Json<Value>, ApiError> {
    let timeout_ms = body
        .and_then(|Json(body)| body.timeout_ms)
        .unwrap_or(DEFAULT_STOP_TIMEOUT_MS);
    host(&node)?.stop(&id, timeout_ms).await?;
    Ok(Json(json!({})))
}

/// `DELETE /v1/containers/{id}`.
pub async fn remove(State(node): State<Node>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    host(&node)?.remove(&id).await?;
    Ok(Json(json!({})))
}
