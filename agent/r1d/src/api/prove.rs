//! `/v1/prove`: documents that prove one record of the ledger to whoever has the genesis.

use std::{fmt::Display, str::FromStr};

use axum::{
    Json,
    extract::{Path, State},
};
use r1_economy::LicenceRef;
use r1_proof::{Document, Subject};

use super::{error::ApiError, view::Node};

/// `GET /v1/prove/account/{address}`.
pub async fn account(
    State(node): State<Node>,
    Path(address): Path<String>,
) -> Result<Json<Document>, ApiError> {
    let address = parse(&address)?;
    prove(&node, Subject::Account { address })
}

/// `GET /v1/prove/licence/{licence}`: `7` and `nd-7` (ND), `mnd-2`, `gnd`.
pub async fn licence(
    State(node): State<Node>,
    Path(licence): Path<String>,
) -> Result<Json<Document>, ApiError> {
    let licence: LicenceRef = parse(&licence)?;
    prove(&node, Subject::Licence { licence })
}

/// `GET /v1/prove/availability/{epoch}/{node}`.
pub async fn availability(
    State(node): State<Node>,
    Path((epoch, of)): Path<(u64, String)>,
) -> Result<Json<Document>, ApiError> {
    let of = parse(&of)?;
    prove(&node, Subject::Availability { epoch, node: of })
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: T::Err| ApiError::bad_request(error.to_string()))
}

/// The proof for the last block that was applied here.
fn prove(node: &Node, subject: Subject) -> Result<Json<Document>, ApiError> {
    let (height, evidence) = {
        let mut chain = node.chain().lock();
        (chain.ledger().height(), chain.prove(subject)?)
    };
    if height == 0 {
        return Err(ApiError::refused(
            "no block is decided yet, so nothing has a certificate; the first one comes with the first epoch's close",
        ));
    }
    let evidence = evidence.map_err(|missing| ApiError::not_found(missing.to_string()))?;
    let decided = node.store().get(height)?;
    let decided = decided.ok_or_else(|| ApiError::not_found(format!("block {height} is not kept here")))?;
    Ok(Json(Document::new(
        &node.info().genesis,
        subject,
        decided,
        evidence,
    )))
}
