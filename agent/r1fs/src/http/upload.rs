//! `add_file`: a form with a file and its options, in either order, streamed.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use bytes::Bytes;
use futures::StreamExt as _;
use multer::{Field, Multipart};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    Node, Shared,
    documents::{DEFAULT_FILE_NAME, file_name, secret},
    envelope::Answer,
    error::Refusal,
};
use crate::api::{ByteStream, Caller, FilesError, SealOptions};

/// Bytes that a form can have besides its file: fields, boundaries, headers.
const FORM_OVERHEAD: u64 = 1 << 20;
/// Bytes read at a time from an upload that waited on disk.
const PIECE: usize = 256 << 10;
/// Fields of a form besides the file.
const FIELDS: usize = 16;

/// The options in the field `body` (TypeScript SDK) or `body_json` (Go SDK).
#[derive(Debug, Default, Deserialize)]
struct FormOptions {
    #[serde(default)]
    filename: Option<String>,
    #[serde(default, rename = "fn")]
    name: Option<String>,
    #[serde(default)]
    file_path: Option<String>,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    nonce: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Uploaded {
    message: String,
    cid: String,
}

pub(super) async fn add_file(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Answer<Uploaded>, Refusal> {
    let (boundary, length) = form_headers(request.headers());
    let boundary = boundary.ok_or_else(|| Refusal::missing("body", "file"))?;
    let most = node.config.limits.content.saturating_add(FORM_OVERHEAD);
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::too_large("upload", node.config.limits.content));
    }
    let bounds = length.map(|length| (length.saturating_sub(FORM_OVERHEAD), length));
    let body = paced(request.into_body(), node.config.limits.pause);
    let form = Multipart::new(body, boundary);
    let added = take(&node, &caller, form, bounds).await?;
    Ok(node.answer(Uploaded {
        message: "File added successfully".to_owned(),
        cid: added,
    }))
}

/// The form's boundary and its length.
fn form_headers(headers: &HeaderMap) -> (Option<String>, Option<u64>) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let boundary = text(CONTENT_TYPE).and_then(|kind| multer::parse_boundary(kind).ok());
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    (boundary, length)
}

/// A body that fails when its sender pauses for too long.
fn paced(body: Body, pause: Duration) -> ByteStream {
    let stream = body.into_data_stream();
    futures::stream::try_unfold(stream, move |mut stream| async move {
        match timeout(pause, stream.next()).await {
            Ok(Some(Ok(piece))) => Ok(Some((piece, stream))),
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Ok(None) => Ok(None),
            Err(_) => {
                let text = format!("nothing came for {} s", pause.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    })
    .boxed()
}

async fn take(
    node: &Arc<Shared>,
    caller: &Caller,
    mut form: Multipart<'static>,
    bounds: Option<(u64, u64)>,
) -> Result<String, Refusal> {
    let mut options: Option<FormOptions> = None;
    let mut waiting: Option<(String, File, u64)> = None;
    for _ in 0..=FIELDS {
        let Some(field) = form.next_field().await.map_err(|error| broken(&error))? else {
            break;
        };
        match field.name() {
            Some("file") if waiting.is_none() => {
                let name = field.file_name().map(file_name).unwrap_or_default();
                if let Some(options) = options {
                    return add(node, caller, options, &name, content(node, field), bounds).await;
                }
                let (file, length) = spool(node, field).await?;
                waiting = Some((name, file, length));
            }
            Some("body" | "body_json") => options = Some(parse(node, field).await?),
            _ => {
                limited(node, field).await?;
            }
        }
        if options.is_some() && waiting.is_some() {
            break;
        }
    }
    let (name, file, length) = waiting.ok_or_else(|| Refusal::missing("body", "file"))?;
    let content = spooled(file);
    add(
        node,
        caller,
        options.unwrap_or_default(),
        &name,
        content,
        Some((length, length)),
    )
    .await
}

async fn add(
    node: &Arc<Shared>,
    caller: &Caller,
    options: FormOptions,
    name: &str,
    content: ByteStream,
    length: Option<(u64, u64)>,
) -> Result<String, Refusal> {
    let path = options.file_path.map(|path| file_name(&path));
    let named = [options.filename, options.name, Some(name.to_owned()), path];
    let filename = named.into_iter().flatten().find(|name| !name.is_empty());
    let options = SealOptions {
        filename: filename.unwrap_or_else(|| DEFAULT_FILE_NAME.to_owned()),
        secret: secret(options.secret),
        nonce: options.nonce,
        length,
    };
    let figures = node.config.figures.clone();
    let counted = content.inspect(move |piece| {
        if let Ok(piece) = piece {
            figures.received.inc_by(piece.len() as u64);
        }
    });
    let added = node.files.add(caller, options, counted.boxed()).await;
    Ok(added.map_err(|error| node.refuse(&error))?.cid.to_string())
}

/// The pieces of a file field, up to the limit.
fn content(node: &Arc<Shared>, field: Field<'static>) -> ByteStream {
    let limit = node.config.limits.content;
    futures::stream::try_unfold((field, 0u64), move |(mut field, sum)| async move {
        let piece = field.chunk().await.map_err(io::Error::other)?;
        let Some(piece) = piece else { return Ok(None) };
        let sum = sum + piece.len() as u64;
        if sum > limit {
            return Err(io::Error::other(format!("upload: more than {limit} bytes")));
        }
        Ok(Some((piece, (field, sum))))
    })
    .boxed()
}

/// An upload whose options come after it waits on disk, in a file without a name.
async fn spool(node: &Arc<Shared>, field: Field<'static>) -> Result<(File, u64), Refusal> {
    let fault = |error: io::Error| {
        node.refuse(&FilesError::NoSpace(format!(
            "an upload that waits for its options: {error}"
        )))
    };
    let folder = node.config.folder.clone();
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)?;
        tempfile::tempfile_in(&folder)
    });
    let made = made
        .await
        .map_err(io::Error::other)
        .and_then(|file| file)
        .map_err(fault)?;
    let mut file = File::from_std(made);
    let mut pieces = content(node, field);
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|source| {
            node.refuse(&FilesError::BrokenOff {
                bytes: length,
                source,
            })
        })?;
        length += piece.len() as u64;
        file.write_all(&piece).await.map_err(fault)?;
    }
    file.flush().await.map_err(fault)?;
    file.rewind().await.map_err(fault)?;
    Ok((file, length))
}

fn spooled(file: File) -> ByteStream {
    futures::stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    })
    .boxed()
}

async fn parse(node: &Arc<Shared>, field: Field<'static>) -> Result<FormOptions, Refusal> {
    let name = field.name().unwrap_or_default().to_owned();
    let bytes = limited(node, field).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(FormOptions::default());
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::invalid("json_invalid", ["body", &name], &error.to_string(), &Value::Null))
}

async fn limited(node: &Arc<Shared>, mut field: Field<'static>) -> Result<Vec<u8>, Refusal> {
    let limit = node.config.limits.field;
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + piece.len() > limit {
            return Err(Refusal::too_large("form field", limit as u64));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn broken(error: &multer::Error) -> Refusal {
    Refusal::invalid(
        "value_error",
        ["body", "file"],
        &format!("the form broke off: {}", reasons(error)),
        &Value::Null,
    )
}

/// An error and what is behind it.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        text = format!("{text}: {error}");
        behind = error.source();
    }
    text
}
