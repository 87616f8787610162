//! `/v1/economy`, `/v1/licences`, `/v1/accounts`, `/v1/jobs`, `/v1/escrows`, `/v1/transactions`.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use r1_core::{EthAddress, Hex};
use r1_economy::{Action, LicenceRef, LicenceView, SignedTransaction, kind, poai::Job};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    error::ApiError,
    view::{Node, NodeAction},
};

/// Most jobs in one answer.
const MAX_JOBS: usize = 1000;

/// A licence with its kind and names.
fn licence_json(view: &LicenceView) -> Value {
    let mut value = json!(view);
    value["id"] = json!(view.licence.number());
    value["type"] = json!(kind(view.licence));
    value["name"] = json!(view.licence.handle());
    value
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, ApiError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| ApiError::bad_request(error.to_string()))
}

/// `GET /v1/economy`: supply, burns, pool, sale, adoption.
pub async fn economy(State(node): State<Node>) -> Json<Value> {
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let mut value = json!(state.economy());
    value["top_apps"] = json!(amounts(state.top_apps()));
    value["top_burners"] = json!(amounts(state.top_burners()));
    Json(value)
}

fn amounts<T: serde::Serialize>(list: Vec<(T, r1_core::U256)>) -> Vec<Value> {
    let entry = |(who, wei): (T, r1_core::U256)| json!({ "who": who, "burned_wei": wei.to_string() });
    list.into_iter().map(entry).collect()
}

/// `GET /v1/licences`.
pub async fn licences(State(node): State<Node>) -> Json<Value> {
    let chain = node.chain().lock();
    let licences: Vec<Value> = chain
        .ledger()
        .state()
        .licences()
        .map(|view| licence_json(&view))
        .collect();
    Json(json!({ "licences": licences }))
}

/// `GET /v1/accounts/{account}`.
pub async fn account(State(node): State<Node>, Path(account): Path<String>) -> Result<Json<Value>, ApiError> {
    let account: EthAddress = parse(&account)?;
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let wallet = state.wallet(&account);
    let mut value = json!(wallet);
    value["account"] = json!(account);
    value["licences"] = wallet.licences.iter().map(licence_json).collect();
    value["job_earnings"] = json!(state.job_earnings(&account).to_string());
    value["is_oracle"] = json!(state.is_oracle(&account));
    value["waiting"] = chain.pool().of(account).map(waiting_json).collect();
    Ok(Json(value))
}

/// A transaction that is not decided yet.
fn waiting_json(signed: &SignedTransaction) -> Value {
    json!({
        "tx": Hex(signed.name()),
        "nonce": signed.transaction.nonce,
        "action": signed.transaction.action.name(),
    })
}

/// `GET /v1/economy/params`: the constants of this network.
pub async fn params(State(node): State<Node>) -> Json<Value> {
    let chain = node.chain().lock();
    Json(json!(chain.ledger().state().params()))
}

/// Query of the list of jobs.
#[derive(Debug, Deserialize)]
pub struct JobsQuery {
    /// Only jobs of this escrow, by its owner.
    escrow: Option<String>,
    /// Closed ones too.
    #[serde(default)]
    all: bool,
}

fn job_json(id: u64, job: &Job) -> Value {
    let mut value = json!(job);
    value["id"] = json!(id);
    value["state"] = json!(match (job.closed, job.started) {
        (true, _) => "closed",
        (false, true) => "running",
        (false, false) => "requested",
    });
    value
}

/// `GET /v1/jobs?escrow=0x..&all=true`, newest first.
pub async fn jobs(State(node): State<Node>, Query(query): Query<JobsQuery>) -> Result<Json<Value>, ApiError> {
    let escrow = query.escrow.as_deref().map(parse::<EthAddress>).transpose()?;
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let wanted = |job: &Job| escrow.is_none_or(|escrow| job.escrow == escrow) && (query.all || !job.closed);
    let jobs: Vec<Value> = state
        .jobs()
        .rev()
        .filter(|(_, job)| wanted(job))
        .take(MAX_JOBS)
        .map(|(id, job)| job_json(id, job))
        .collect();
    Ok(Json(json!({ "jobs": jobs })))
}

/// `GET /v1/jobs/{id}`: with what oracles have submitted for it in this epoch.
pub async fn job(State(node): State<Node>, Path(id): Path<u64>) -> Result<Json<Value>, ApiError> {
    let epoch = node.info().genesis.epoch.epoch_at(node.now_ms()).unwrap_or(0);
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let job = state
        .job(id)
        .ok_or_else(|| ApiError::not_found(format!("job {id} does not exist")))?;
    let mut value = job_json(id, job);
    let submissions = state.submissions(id, epoch).into_iter();
    value["submissions"] = submissions
        .map(|(oracle, nodes)| json!({ "oracle": oracle, "nodes": nodes }))
        .collect();
    Ok(Json(value))
}

/// `GET /v1/escrows/{account}`: the escrow that an account acts in.
pub async fn escrow(State(node): State<Node>, Path(account): Path<String>) -> Result<Json<Value>, ApiError> {
    let account: EthAddress = parse(&account)?;
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let (owner, escrow) = state.escrow_of(&account).ok_or_else(|| {
        ApiError::not_found(format!(
            "account {account} neither has an escrow nor is a delegate of one"
        ))
    })?;
    let delegates: Vec<Value> = state
        .delegates(&owner)
        .into_iter()
        .map(|(account, permissions)| json!({ "account": account, "permissions": permissions }))
        .collect();
    let mut value = json!(escrow);
    value["owner"] = json!(owner);
    value["balance"] = json!(escrow.balance().unwrap_or_default().to_string());
    value["delegates"] = json!(delegates);
    Ok(Json(value))
}

/// `POST /v1/licences/{licence}/link`.
pub async fn link(State(node): State<Node>, Path(licence): Path<String>) -> Result<Json<Value>, ApiError> {
    submit(&node, NodeAction::Link(parse(&licence)?))
}

/// `POST /v1/licences/{licence}/claim`.
pub async fn claim(State(node): State<Node>, Path(licence): Path<String>) -> Result<Json<Value>, ApiError> {
    let licence: LicenceRef = parse(&licence)?;
    submit(&node, NodeAction::Send(Box::new(Action::Claim { licence })))
}

/// Body of `POST /v1/transactions`: what to do, signed by the node's own key; or a whole transaction, signed elsewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    action: Option<Action>,
    signed: Option<String>,
}

/// `POST /v1/transactions`.
pub async fn transaction(
    State(node): State<Node>,
    Json(body): Json<Submission>,
) -> Result<Json<Value>, ApiError> {
    match (body.action, body.signed) {
        (Some(action), None) => submit(&node, NodeAction::Send(Box::new(action))),
        (None, Some(signed)) => {
            let Hex(bytes) = parse(&signed)?;
            let hash = node.submit_signed(bytes).map_err(ApiError::refused)?;
            Ok(Json(json!({ "tx": Hex(hash) })))
        }
        _ => Err(ApiError::bad_request("one of action and signed is needed")),
    }
}

fn submit(node: &Node, action: NodeAction) -> Result<Json<Value>, ApiError> {
    let hash = node.submit(action).map_err(ApiError::refused)?;
    Ok(Json(json!({ "tx": Hex(hash) })))
}
