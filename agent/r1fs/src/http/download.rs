//! `get_file`, `get_file_base64`, `get_yaml`.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use axum::{
    Extension, Json,
    body::Body,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncWriteExt as _};

use super::{Node, Shared, documents::secret, envelope::Answer, error::Refusal};
use crate::{
    Cid,
    api::{Caller, FilesError, Opened},
    document,
};

#[derive(Deserialize)]
pub(super) struct Wanted {
    cid: String,
    #[serde(default)]
    secret: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Encoded {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    file_base64_str: Option<String>,
    filename: Option<String>,
}

/// A name from a request.
pub(super) fn parse_cid(place: &str, text: &str) -> Result<Cid, Refusal> {
    Cid::try_from(text.trim()).map_err(|error| {
        Refusal::invalid(
            "value_error",
            [place, "cid"],
            &format!("not a CID: {error}"),
            &text.into(),
        )
    })
}

/// `bytes=a-b`, `a-`, `-n` of a content of `size`. `Ok(None)`: no range, or one that is not understood and so ignored.
fn range_of(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, ()> {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((from, to)) = text
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|text| text.split_once('-'))
    else {
        return Ok(None);
    };
    let range = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) if to.trim().is_empty() => from..size,
        (Err(_), Ok(last)) if from.trim().is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if range.start >= range.end {
        Err(())
    } else {
        Ok(Some(range))
    }
}

/// True for callers that want a path: those without an Accept header (Go SDK) and those that ask for JSON.
fn wants_path(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(header::ACCEPT) else {
        return true;
    };
    accept
        .to_str()
        .is_ok_and(|accept| accept.contains("application/json"))
}

pub(super) async fn get_file(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = query?;
    let cid = parse_cid("query", &wanted.cid)?;
    let secret = secret(wanted.secret);
    let opened = node.open(&caller, &cid, secret.as_deref(), None).await?;
    if wants_path(&headers) {
        let path = node.save(&cid, opened).await?;
        return Ok(node.answer(path).into_response());
    }
    match range_of(&headers, opened.size) {
        Err(()) => Ok(Refusal::range(opened.size)),
        Ok(None) => Ok(node.stream(opened, None)),
        Ok(Some(range)) => {
            let part = node
                .open(&caller, &cid, secret.as_deref(), Some(range.clone()))
                .await?;
            Ok(node.stream(part, Some(range)))
        }
    }
}

impl Shared {
    async fn open(
        &self,
        caller: &Caller,
        cid: &Cid,
        secret: Option<&str>,
        range: Option<Range<u64>>,
    ) -> Result<Opened, Refusal> {
        match self.files.open(caller, cid, secret, range).await {
            Err(FilesError::NotFound { .. }) => Err(Refusal::not_found("File not found!")),
            opened => opened.map_err(|error| self.refuse(&error)),
        }
    }

    fn stream(&self, opened: Opened, range: Option<Range<u64>>) -> Response {
        let figures = self.config.figures.clone();
        let counted = opened.content.inspect(move |piece| {
            if let Ok(piece) = piece {
                figures.sent.inc_by(piece.len() as u64);
            }
        });
        let meta = json!({ "file": opened.filename, "filename": opened.filename }).to_string();
        let length = range
            .as_ref()
            .map_or(opened.size, |range| range.end - range.start);
        let mut response = Body::from_stream(counted).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_LENGTH, length.into());
        if let Ok(meta) = HeaderValue::from_bytes(ascii(&meta).as_bytes()) {
            headers.insert("x-meta", meta);
        }
        if let Some(range) = range {
            let text = format!("bytes {}-{}/{}", range.start, range.end - 1, opened.size);
            if let Ok(value) = text.parse() {
                headers.insert(header::CONTENT_RANGE, value);
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }

    /// Writes a content to `<folder>/downloads/<cid>/<name>`, under a temporary name first.
    async fn save(&self, cid: &Cid, opened: Opened) -> Result<Value, Refusal> {
        let folder = self.config.folder.join("downloads").join(cid.to_string());
        // Sealing refuses names with separators; a name from elsewhere ends as its last part.
        let name = Path::new(&opened.filename)
            .file_name()
            .map_or_else(|| "file".into(), |name| name.to_string_lossy().into_owned());
        let path = folder.join(&name);
        let saved = write(&folder, &path, opened).await;
        saved.map_err(|error| self.refuse(&FilesError::Fault(format!("{}: {error}", path.display()))))?;
        let path = path.display().to_string();
        Ok(json!({ "file_path": path, "meta": { "file": path, "filename": name } }))
    }

    /// A content that is answered inside JSON.
    async fn whole(
        &self,
        caller: &Caller,
        cid: &Cid,
        secret: Option<&str>,
    ) -> Result<(String, Vec<u8>), String> {
        let text = |error: FilesError| error.to_string();
        let opened = self.files.open(caller, cid, secret, None).await.map_err(text)?;
        let most = self.config.limits.inline_answer;
        if opened.size > most {
            return Err(format!(
                "{cid}: {} bytes, at most {most} are answered inside JSON; use get_file",
                opened.size
            ));
        }
        let mut all = Vec::new();
        let mut content = opened.content;
        while let Some(piece) = content.next().await {
            all.extend_from_slice(&piece.map_err(|error| error.to_string())?);
        }
        self.config.figures.sent.inc_by(all.len() as u64);
        Ok((opened.filename, all))
    }
}

async fn write(folder: &Path, path: &PathBuf, mut opened: Opened) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let temporary = tempfile::Builder::new()
        .prefix(".part-")
        .tempfile_in(folder)?
        .into_temp_path();
    let mut file = File::create(&temporary).await?;
    while let Some(piece) = opened.content.next().await {
        file.write_all(&piece?).await?;
    }
    file.flush().await?;
    temporary.persist(path).map_err(|error| error.error)
}

/// A header's text: what is not ASCII is escaped as JSON escapes it.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            crate::seal::name::push_escaped(&mut text, character);
        }
    }
    text
}

pub(super) async fn get_file_base64(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<Answer<Encoded>, Refusal> {
    let Json(wanted) = body?;
    let cid = parse_cid("body", &wanted.cid)?;
    let found = node.whole(&caller, &cid, secret(wanted.secret).as_deref()).await;
    Ok(node.answer(match found {
        Ok((filename, bytes)) => Encoded {
            error: None,
            file_base64_str: Some(STANDARD.encode(bytes)),
            filename: Some(filename),
        },
        Err(error) => Encoded {
            error: Some(error),
            file_base64_str: None,
            filename: None,
        },
    }))
}

pub(super) async fn get_yaml(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Answer<Value>, Refusal> {
    let Query(wanted) = query?;
    let cid = parse_cid("query", &wanted.cid)?;
    let found = node.whole(&caller, &cid, secret(wanted.secret).as_deref()).await;
    Ok(node.answer(match found {
        Err(error) => json!({ "error": error }),
        // Upstream answers with this word alone where the name is not that of a YAML file.
        Ok((name, _)) if !name.ends_with(".yaml") && !name.ends_with(".yml") => "error".into(),
        Ok((_, bytes)) => match document::yaml::from_bytes(&bytes) {
            Ok(data) => json!({ "file_data": data }),
            Err(error) => json!({ "error": format!("{cid}: {error}") }),
        },
    }))
}
