//! Refusals in FastAPI's shapes.

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Shared;
use crate::api::FilesError;

/// A status and a body.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    fn plain(status: StatusCode, detail: &str) -> Self {
        Self {
            status,
            body: json!({ "detail": detail }),
        }
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::plain(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn unauthorised() -> Self {
        let detail = "a token is needed: Authorization: Bearer <token>";
        Self::plain(StatusCode::UNAUTHORIZED, detail)
    }

    pub(super) fn busy(limit: usize) -> Self {
        let detail = format!("{limit} requests are worked on, try again (r1fs.http.requests)");
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, &detail)
    }

    pub(super) fn too_large(what: &str, limit: u64) -> Self {
        let detail = format!("{what}: more than {limit} bytes");
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, &detail)
    }

    pub(super) fn range(size: u64) -> Response {
        let refusal = Self::plain(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
        let mut response = refusal.into_response();
        if let Ok(value) = format!("bytes */{size}").parse() {
            response.headers_mut().insert("content-range", value);
        }
        response
    }

    /// A field of the request that is missing or wrong.
    pub(super) fn invalid(kind: &str, place: [&str; 2], message: &str, input: &Value) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({ "detail": [{ "type": kind, "loc": place, "msg": message, "input": input }] }),
        }
    }

    pub(super) fn missing(place: &str, field: &str) -> Self {
        Self::invalid("missing", [place, field], "Field required", &Value::Null)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::plain(StatusCode::PAYLOAD_TOO_LARGE, &text),
            _ => Self::invalid("json_invalid", ["body", field_in(&text)], &text, &Value::Null),
        }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let (kind, message) = if text.contains("missing field") {
            ("missing", "Field required")
        } else {
            ("value_error", text.as_str())
        };
        Self::invalid(kind, ["query", field_in(&text)], message, &Value::Null)
    }
}

/// The field that serde names in backticks.
fn field_in(text: &str) -> &str {
    text.split('`').nth(1).unwrap_or_default()
}

impl Shared {
    /// What went wrong with files, in the words and with the status that upstream's users know.
    pub(super) fn refuse(&self, error: &FilesError) -> Refusal {
        let status = match error {
            FilesError::NotFound { .. } => StatusCode::NOT_FOUND,
            FilesError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            FilesError::Invalid(_) | FilesError::BrokenOff { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            FilesError::Full { .. } | FilesError::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            FilesError::Replicas { .. } => StatusCode::SERVICE_UNAVAILABLE,
            FilesError::Forbidden { .. } => StatusCode::FORBIDDEN,
            FilesError::Sealed { .. } | FilesError::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            return Refusal::invalid("value_error", ["body", ""], &error.to_string(), &Value::Null);
        }
        let mut detail = serde_json::to_value(&self.config.envelope).unwrap_or_default();
        detail["detail"] = error.to_string().into();
        Refusal {
            status,
            body: json!({ "detail": detail }),
        }
    }
}
