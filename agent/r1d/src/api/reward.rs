//! `/v1/why/reward/{epoch}`: the sum of a licence's reward, line by line.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use r1_economy::LicenceRef;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{epochs::closed, error::ApiError, status::agreed, view::Node};

/// Query of the call.
#[derive(Debug, Deserialize)]
pub struct RewardQuery {
    /// The licence, such as `nd-7`; the one this node is linked to if left out.
    licence: Option<String>,
}

/// `GET /v1/why/reward/{epoch}?licence=nd-7`.
pub async fn reward(
    State(node): State<Node>,
    Path(epoch): Path<u64>,
    Query(query): Query<RewardQuery>,
) -> Result<Json<Value>, ApiError> {
    let licence: Option<LicenceRef> = query
        .licence
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error| ApiError::bad_request(format!("{error}")))?;
    let record = closed(&node, epoch)?;
    let chain = node.chain().lock();
    let state = chain.ledger().state();
    let licence = licence
        .or_else(|| state.licence_of(&node.info().address))
        .ok_or_else(|| {
            ApiError::not_found("this node is linked to no licence; name one, as in ?licence=nd-7")
        })?;
    let view = state
        .licence(licence)
        .ok_or_else(|| ApiError::not_found(format!("licence {licence} does not exist")))?;
    let Some(worker) = view.node else {
        return Err(ApiError::not_found(format!(
            "licence {licence} is linked to no node, so it earns nothing; link it with r1ctl licences link {}",
            licence.handle()
        )));
    };
    let availability = agreed(&record, &worker);
    let explained = state
        .explain_reward(licence, epoch, availability)
        .ok_or_else(|| ApiError::not_found(format!("licence {licence} does not exist")))?;
    let mut text = vec![
        format!(
            "licence {licence} of {} earns with node {worker}",
            explained.owner
        ),
        if record.faulty {
            format!(
                "epoch {epoch} was faulty: too few oracles gave a table, so every linked node counts as 255 of 255"
            )
        } else {
            format!(
                "epoch {epoch}: {availability} of 255, the median of {} tables; {} of {} oracles signed at height {}",
                record.tables, record.signers, record.oracles, record.height
            )
        },
    ];
    text.extend(explained.text.iter().cloned());
    text.push(format!(
        "epoch {epoch} earned {} R1",
        r1_core::format_r1(explained.earned)
    ));
    let mut value = json!(explained);
    value["node"] = json!(worker);
    value["faulty"] = json!(record.faulty);
    value["text"] = json!(text);
    Ok(Json(value))
}
