//! Calls whose request carries the content in JSON.

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Node, Shared, envelope::Answer, error::Refusal};
use crate::{
    api::{ByteStream, Caller, SealOptions},
    document::{self, DEFAULT_JSON_NAME, DocumentError, pickle::Ordered},
};

/// Name of a YAML document that was added without one.
const DEFAULT_YAML_NAME: &str = "data.yaml";
/// Name of a pickle that was added without one.
const DEFAULT_PICKLE_NAME: &str = "data.pkl";
/// Name of a file that was added without one.
pub(super) const DEFAULT_FILE_NAME: &str = "file";

#[derive(Deserialize)]
pub(super) struct Document<T> {
    data: T,
    #[serde(default, rename = "fn")]
    name: Option<String>,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    nonce: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Encoded {
    file_base64_str: String,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    file_path: Option<String>,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    nonce: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Named {
    cid: String,
}

type Body<T> = Result<Json<T>, JsonRejection>;
type Done = Result<Answer<Named>, Refusal>;

fn content(bytes: Vec<u8>) -> (ByteStream, Option<(u64, u64)>) {
    let length = bytes.len() as u64;
    let stream = futures::stream::iter([Ok(Bytes::from(bytes))]).boxed();
    (stream, Some((length, length)))
}

/// An empty secret is none, as upstream's.
pub(super) fn secret(secret: Option<String>) -> Option<String> {
    secret.filter(|secret| !secret.is_empty())
}

/// The last part of a path: what a file is called.
pub(super) fn file_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

impl Shared {
    async fn add_bytes(&self, caller: &Caller, mut options: SealOptions, bytes: Vec<u8>) -> Done {
        self.config.figures.received.inc_by(bytes.len() as u64);
        let (stream, length) = content(bytes);
        options.length = length;
        let added = self.files.add(caller, options, stream).await;
        let added = added.map_err(|error| self.refuse(&error))?;
        Ok(self.answer(Named {
            cid: added.cid.to_string(),
        }))
    }

    async fn name_bytes(&self, mut options: SealOptions, bytes: Vec<u8>) -> Done {
        if options.nonce.is_none() {
            return Err(Refusal::missing("body", "nonce"));
        }
        let (stream, length) = content(bytes);
        options.length = length;
        let cid = self.files.calculate(options, stream).await;
        let cid = cid.map_err(|error| self.refuse(&error))?;
        Ok(self.answer(Named { cid: cid.to_string() }))
    }
}

impl<T> Document<T> {
    fn split(self, default: &str) -> (T, SealOptions) {
        let options = SealOptions {
            filename: self
                .name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| default.to_owned()),
            secret: secret(self.secret),
            nonce: self.nonce,
            length: None,
        };
        (self.data, options)
    }
}

fn unsound(error: &DocumentError) -> Refusal {
    Refusal::invalid("value_error", ["body", "data"], &error.to_string(), &Value::Null)
}

pub(super) async fn add_json(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Body<Document<Value>>,
) -> Done {
    let (data, options) = body?.0.split(DEFAULT_JSON_NAME);
    let bytes = document::json::to_bytes(&data).map_err(|error| unsound(&error))?;
    node.add_bytes(&caller, options, bytes).await
}

pub(super) async fn calculate_json(State(node): Node, body: Body<Document<Value>>) -> Done {
    let (data, options) = body?.0.split(DEFAULT_JSON_NAME);
    let bytes = document::json::to_bytes(&data).map_err(|error| unsound(&error))?;
    node.name_bytes(options, bytes).await
}

pub(super) async fn add_yaml(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Body<Document<Value>>,
) -> Done {
    let (data, options) = body?.0.split(DEFAULT_YAML_NAME);
    let bytes = document::yaml::to_bytes(&data).map_err(|error| unsound(&error))?;
    node.add_bytes(&caller, options, bytes).await
}

pub(super) async fn add_pickle(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Body<Document<Ordered>>,
) -> Done {
    let (data, options) = body?.0.split(DEFAULT_PICKLE_NAME);
    let bytes = document::pickle::to_bytes(&data).map_err(|error| unsound(&error))?;
    node.add_bytes(&caller, options, bytes).await
}

pub(super) async fn calculate_pickle(State(node): Node, body: Body<Document<Ordered>>) -> Done {
    let (data, options) = body?.0.split(DEFAULT_PICKLE_NAME);
    let bytes = document::pickle::to_bytes(&data).map_err(|error| unsound(&error))?;
    node.name_bytes(options, bytes).await
}

pub(super) async fn add_file_base64(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Body<Encoded>,
) -> Done {
    let body = body?.0;
    let bytes = STANDARD.decode(body.file_base64_str.trim()).map_err(|error| {
        Refusal::invalid(
            "value_error",
            ["body", "file_base64_str"],
            &format!("not base64: {error}"),
            &Value::Null,
        )
    })?;
    let path = body.file_path.map(|path| file_name(&path));
    let filename = body.filename.or(path).filter(|name| !name.is_empty());
    let options = SealOptions {
        filename: filename.unwrap_or_else(|| DEFAULT_FILE_NAME.to_owned()),
        secret: secret(body.secret),
        nonce: body.nonce,
        length: None,
    };
    node.add_bytes(&caller, options, bytes).await
}
