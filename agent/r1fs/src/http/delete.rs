//! `delete_file` and `delete_files`.

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
};
use serde::{Deserialize, Serialize};

use super::{Node, Shared, download::parse_cid, envelope::Answer, error::Refusal};
use crate::{
    Cid,
    api::{Caller, DeleteOptions},
};

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
pub(super) struct DeleteFile {
    cid: String,
    #[serde(default = "yes")]
    unpin_remote: bool,
    #[serde(default)]
    run_gc: bool,
    #[serde(default)]
    cleanup_local_files: bool,
}

#[derive(Serialize)]
pub(super) struct Deleted {
    success: bool,
    message: String,
    cid: String,
}

#[derive(Deserialize)]
pub(super) struct DeleteFiles {
    cids: Vec<String>,
    #[serde(default = "yes")]
    unpin_remote: bool,
    #[serde(default = "yes")]
    run_gc_after_all: bool,
    #[serde(default)]
    cleanup_local_files: bool,
}

#[derive(Serialize)]
pub(super) struct DeletedAll {
    success: Vec<String>,
    failed: Vec<String>,
    total: usize,
    success_count: usize,
    failed_count: usize,
}

pub(super) async fn delete_file(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Result<Json<DeleteFile>, JsonRejection>,
) -> Result<Answer<Deleted>, Refusal> {
    let Json(body) = body?;
    let cid = parse_cid("body", &body.cid)?;
    let options = DeleteOptions {
        unpin_remote: body.unpin_remote,
        run_gc: body.run_gc,
    };
    let deleted = node.files.delete(&caller, &cid, options).await;
    deleted.map_err(|error| node.refuse(&error))?;
    node.clean(&cid, body.cleanup_local_files).await;
    Ok(node.answer(Deleted {
        success: true,
        message: format!("{} deleted", body.cid),
        cid: body.cid,
    }))
}

pub(super) async fn delete_files(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Result<Json<DeleteFiles>, JsonRejection>,
) -> Result<Answer<DeletedAll>, Refusal> {
    let Json(body) = body?;
    let (total, most) = (body.cids.len(), node.config.limits.deletes);
    if total > most {
        let message = format!("{total} names, at most {most} are taken");
        return Err(Refusal::invalid(
            "too_long",
            ["body", "cids"],
            &message,
            &total.into(),
        ));
    }
    let names = body
        .cids
        .into_iter()
        .map(|text| (parse_cid("body", &text).ok(), text));
    let (sound, unsound): (Vec<_>, Vec<_>) = names.partition(|(cid, _)| cid.is_some());
    let mut failed: Vec<String> = unsound.into_iter().map(|(_, text)| text).collect();
    let (mut success, last) = (Vec::new(), sound.len().saturating_sub(1));
    for (at, (cid, text)) in sound.into_iter().enumerate() {
        let Some(cid) = cid else { continue };
        let options = DeleteOptions {
            unpin_remote: body.unpin_remote,
            run_gc: body.run_gc_after_all && at == last,
        };
        let deleted = node.files.delete(&caller, &cid, options).await;
        node.clean(&cid, body.cleanup_local_files).await;
        if deleted.is_ok() {
            success.push(text);
        } else {
            failed.push(text);
        }
    }
    Ok(node.answer(DeletedAll {
        total,
        success_count: success.len(),
        failed_count: failed.len(),
        success,
        failed,
    }))
}

impl Shared {
    /// Removes what `get_file` left of an object for callers that wanted a path.
    async fn clean(&self, cid: &Cid, wanted: bool) {
        if wanted {
            let folder = self.config.folder.join("downloads").join(cid.to_string());
            let _ = tokio::fs::remove_dir_all(folder).await;
        }
    }
}
