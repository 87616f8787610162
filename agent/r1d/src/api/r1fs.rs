//! `/v1/r1fs`: what `r1ctl r1fs` asks.

use std::{io, ops::Range, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures::{StreamExt as _, TryStreamExt as _};
use r1_r1fs::{
    Cid, Files as _,
    api::{ByteStream, Caller, DeleteOptions, SealOptions},
    files::Change,
    store::{Pin, Pinned},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::ApiError, view::Node};
use crate::{clock::now_ms, files::FilePlane};

/// Most pins of one answer.
const MAX_PINS: usize = 1000;
/// Name of a content that was added without one.
const UNNAMED: &str = "file";

/// The routes.
pub fn routes() -> Router<Node> {
    Router::new()
        .route("/v1/r1fs/status", get(status))
        .route("/v1/r1fs/objects", post(add))
        .route("/v1/r1fs/objects/{cid}", get(stat))
        .route("/v1/r1fs/objects/{cid}/content", get(content))
        .route("/v1/r1fs/objects/{cid}/entries", get(entries))
        .route("/v1/r1fs/objects/{cid}/car", get(export))
        .route("/v1/r1fs/objects/{cid}/pin", post(pin).delete(unpin))
        .route("/v1/r1fs/pins", get(pins))
        .route("/v1/r1fs/gc", post(collect))
        .route("/v1/r1fs/verify", post(verify))
        .route("/v1/r1fs/import", post(import))
        .route("/v1/r1fs/connect", post(connect))
}

fn plane(node: &Node) -> Result<Arc<FilePlane>, ApiError> {
    node.files().ok_or_else(ApiError::no_files)
}

fn parse(text: &str) -> Result<Cid, ApiError> {
    Cid::try_from(text).map_err(|error| ApiError::bad_request(format!("{text:?} is not a CID: {error}")))
}

async fn status(State(node): State<Node>) -> Result<Json<Value>, ApiError> {
    let plane = plane(&node)?;
    let identity = plane.files.identity().await;
    let usage = plane.files.store().usage();
    let members = plane.members().live(now_ms());
    let members: Vec<Value> = members
        .iter()
        .map(|member| json!({ "node": member.node, "operator": hex(&member.operator), "free": member.free }))
        .collect();
    let copies = plane.copier().figures();
    Ok(Json(json!({
        "objects": copies.roots,
        "repair_queue": copies.left,
        "checks": copies.checks,
        "peer_id": identity.id,
        "addresses": identity.addresses,
        "peers": plane.net.peers().len(),
        "blocks": usage.blocks,
        "bytes": usage.bytes,
        "quota": usage.quota,
        "damaged": usage.damaged,
        "members": members,
    })))
}

fn hex(bytes: &[u8]) -> String {
    r1_core::Hex(bytes).to_string()
}

#[derive(Deserialize)]
struct AddQuery {
    filename: Option<String>,
    secret: Option<String>,
    nonce: Option<i64>,
    #[serde(default)]
    plain: bool,
    length: Option<u64>,
}

fn stream(body: Body) -> ByteStream {
    body.into_data_stream().map_err(io::Error::other).boxed()
}

async fn add(
    State(node): State<Node>,
    Query(query): Query<AddQuery>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let plane = plane(&node)?;
    let content = stream(body);
    let added = if query.plain {
        plane.files.add_plain(&Caller::Operator, content).await?
    } else {
        let options = SealOptions {
            filename: query.filename.unwrap_or_else(|| UNNAMED.into()),
            secret: query.secret,
            nonce: query.nonce,
            length: query.length.map(|length| (length, length)),
        };
        plane.files.add(&Caller::Operator, options, content).await?
    };
    Ok(Json(json!(added)))
}

#[derive(Deserialize)]
struct ContentQuery {
    secret: Option<String>,
    #[serde(default)]
    plain: bool,
    #[serde(default)]
    path: String,
}

async fn content(
    State(node): State<Node>,
    Path(cid): Path<String>,
    Query(query): Query<ContentQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let plane = plane(&node)?;
    let cid = plane.files.resolve(&parse(&cid)?, &query.path).await?;
    if query.plain {
        let (size, content) = plane.files.cat(&cid).await?;
        return Ok(answer("", size, None, content));
    }
    let range = range(&headers);
    let opened = plane
        .files
        .open(&Caller::Operator, &cid, query.secret.as_deref(), range.clone())
        .await?;
    let range = range.map(|range| range.start.min(opened.size)..range.end.min(opened.size));
    Ok(answer(&opened.filename, opened.size, range, opened.content))
}

/// `bytes=from-to` or `bytes=from-`; others are answered whole.
fn range(headers: &HeaderMap) -> Option<Range<u64>> {
    let text = headers.get(header::RANGE)?.to_str().ok()?;
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let to = if to.is_empty() {
        u64::MAX
    } else {
        to.parse::<u64>().ok()?.checked_add(1)?
    };
    (from < to).then_some(from..to)
}

fn answer(filename: &str, size: u64, range: Option<Range<u64>>, content: ByteStream) -> Response {
    let mut response = Body::from_stream(content).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    headers.insert(header::CONTENT_LENGTH, length.into());
    // JSON text in ASCII: names of any script pass through a header.
    let name: String = json!(filename).to_string().chars().flat_map(escape).collect();
    if let Ok(value) = name.parse() {
        headers.insert("x-filename", value);
    }
    if let Some(range) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        if let Ok(value) = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)).parse() {
            response.headers_mut().insert(header::CONTENT_RANGE, value);
        }
    }
    response
}

fn escape(character: char) -> Vec<char> {
    if character.is_ascii() {
        return vec![character];
    }
    let mut units = [0; 2];
    let units = character.encode_utf16(&mut units).iter();
    units
        .flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>())
        .collect()
}

async fn stat(State(node): State<Node>, Path(cid): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(plane(&node)?.files.stat(&parse(&cid)?).await?)))
}

#[derive(Deserialize)]
struct EntriesQuery {
    #[serde(default)]
    path: String,
}

async fn entries(
    State(node): State<Node>,
    Path(cid): Path<String>,
    Query(query): Query<EntriesQuery>,
) -> Result<Json<Value>, ApiError> {
    let plane = plane(&node)?;
    let cid = plane.files.resolve(&parse(&cid)?, &query.path).await?;
    Ok(Json(json!({ "entries": plane.files.list(&cid).await? })))
}

async fn export(State(node): State<Node>, Path(cid): Path<String>) -> Result<Response, ApiError> {
    let (plane, cid) = (plane(&node)?, parse(&cid)?);
    // The root is looked for first: an archive of nothing would look like a success.
    plane.files.stat(&cid).await?;
    let mut response = Body::from_stream(plane.files.export_archive(&cid)).into_response();
    let kind = HeaderValue::from_static("application/vnd.ipld.car; version=1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

#[derive(Deserialize)]
struct PinBody {
    expires_ms: Option<u64>,
}

async fn pin(
    State(node): State<Node>,
    Path(cid): Path<String>,
    Json(body): Json<PinBody>,
) -> Result<Json<Value>, ApiError> {
    let plane = plane(&node)?;
    let change = Change::Pin(body.expires_ms);
    let copies = plane
        .files
        .pin(&Caller::Operator, &parse(&cid)?, change, |_| {})
        .await?;
    Ok(Json(copies.map_or(json!({}), |copies| {
        json!({ "replicas": copies.replicas, "operators": copies.operators, "wanted": copies.wanted })
    })))
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct UnpinQuery {
    #[serde(default = "yes")]
    unpin_remote: bool,
    #[serde(default)]
    gc: bool,
}

async fn unpin(
    State(node): State<Node>,
    Path(cid): Path<String>,
    Query(query): Query<UnpinQuery>,
) -> Result<Json<Value>, ApiError> {
    let plane = plane(&node)?;
    let options = DeleteOptions {
        unpin_remote: query.unpin_remote,
        run_gc: query.gc,
    };
    plane
        .files
        .delete(&Caller::Operator, &parse(&cid)?, options)
        .await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct PinsQuery {
    after: Option<String>,
    limit: Option<usize>,
}

async fn pins(State(node): State<Node>, Query(query): Query<PinsQuery>) -> Result<Json<Value>, ApiError> {
    let plane = plane(&node)?;
    let after = query.after.as_deref().map(cursor).transpose()?;
    let limit = query.limit.unwrap_or(MAX_PINS).clamp(1, MAX_PINS);
    let pins = plane.files.pins(after, limit).await?;
    let next = pins.last().filter(|_| pins.len() == limit);
    let next = next.map(|pinned| format!("{} {}", pinned.root, pinned.label));
    let pins: Vec<Value> = pins
        .iter()
        .map(|pinned| {
            json!({
                "cid": pinned.root.to_string(),
                "label": pinned.label,
                "created_ms": pinned.pin.created_ms,
                "expires_ms": pinned.pin.expires_ms,
            })
        })
        .collect();
    Ok(Json(json!({ "pins": pins, "next": next })))
}

fn cursor(text: &str) -> Result<Pinned, ApiError> {
    let (cid, label) = text
        .split_once(' ')
        .ok_or_else(|| ApiError::bad_request("after: take it from `next`"))?;
    Ok(Pinned {
        root: parse(cid)?,
        label: label.to_owned(),
        pin: Pin {
            created_ms: 0,
            expires_ms: None,
        },
    })
}

#[derive(Deserialize)]
struct CollectBody {
    grace_s: Option<u64>,
}

async fn collect(State(node): State<Node>, Json(body): Json<CollectBody>) -> Result<Json<Value>, ApiError> {
    let grace = body.grace_s.map(Duration::from_secs);
    Ok(Json(json!(plane(&node)?.files.collect(grace).await?)))
}

#[derive(Deserialize)]
struct VerifyBody {
    #[serde(default)]
    heal: bool,
}

async fn verify(State(node): State<Node>, Json(body): Json<VerifyBody>) -> Result<Json<Value>, ApiError> {
    let (verified, healed) = plane(&node)?.files.verify(body.heal).await?;
    let mut answer = json!(verified);
    answer["healed"] = healed.into();
    Ok(Json(answer))
}

async fn import(State(node): State<Node>, body: Body) -> Result<Json<Value>, ApiError> {
    let imported = plane(&node)?
        .files
        .import_archive(&Caller::Operator, stream(body))
        .await?;
    Ok(Json(json!(imported)))
}

#[derive(Deserialize)]
struct ConnectBody {
    address: String,
}

async fn connect(State(node): State<Node>, Json(body): Json<ConnectBody>) -> Result<Json<Value>, ApiError> {
    let address = body.address.parse().map_err(|error| {
        ApiError::bad_request(format!("{:?} is not a multiaddress: {error}", body.address))
    })?;
    let connected = plane(&node)?.net.connect(address).await;
    let peer = connected.map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(Json(json!({ "peer_id": peer.to_string() })))
}
