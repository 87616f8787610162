//! Errors of the control API: `{"error":{"code","message","remedy"}}` with an HTTP status.

use axum::{
    Json,
    body::to_bytes,
    http::{
        StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use r1_host_api::HostError;
use r1_r1fs::api::FilesError;
use serde_json::json;

use crate::{chain::ChainError, ledger::LedgerError};

/// Longest refusal of axum's that is passed on; they are one line each.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    remedy: String,
}

impl ApiError {
    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, "")
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, "")
    }

    /// 409: the ledger's rules refuse it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", message, "")
    }

    /// 503: r1-hostd is away.
    pub fn no_host() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "host_disconnected",
            "r1-hostd is not connected",
            "start it: systemctl start r1-hostd",
        )
    }

    /// 501: this node keeps no files.
    pub fn no_files() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_files",
            "this node keeps no files",
            "add a table [r1fs] to r1d.toml and restart r1d",
        )
    }

    fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            message,
            "see r1d's log",
        )
    }

    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "remedy": self.remedy });
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

/// Gives what axum itself refuses (a path, query or body that cannot be read, a method that a call does not have), in
/// plain text, the form of all other refusals.
pub async fn uniform(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_REFUSAL_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let reason = status.canonical_reason().unwrap_or("refused");
    let message = if text.trim().is_empty() {
        reason
    } else {
        text.trim()
    };
    let code = match status {
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        status if status.is_client_error() => "bad_request",
        _ => "internal",
    };
    let remedy = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "send JSON with the header content-type: application/json",
        _ => "",
    };
    let mut uniform = ApiError::new(status, code, message, remedy).into_response();
    // The other headers stay: `allow` says which methods there are.
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    uniform.headers_mut().extend(parts.headers);
    uniform
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<ChainError> for ApiError {
    fn from(error: ChainError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<r1_oraclesync::StoreError> for ApiError {
    fn from(error: r1_oraclesync::StoreError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<FilesError> for ApiError {
    fn from(error: FilesError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            FilesError::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            FilesError::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            FilesError::Invalid(_) | FilesError::BrokenOff { .. } => (StatusCode::BAD_REQUEST, "bad_request"),
            FilesError::Sealed { .. } => (StatusCode::FORBIDDEN, "sealed"),
            FilesError::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            FilesError::Full { .. } | FilesError::NoSpace(_) => (StatusCode::INSUFFICIENT_STORAGE, "storage"),
            FilesError::Replicas { .. } => (StatusCode::SERVICE_UNAVAILABLE, "replicas"),
            FilesError::Fault(_) => return Self::internal(message),
        };
        Self::new(status, code, message, "")
    }
}

impl From<HostError> for ApiError {
    fn from(error: HostError) -> Self {
        let message = error.to_string();
        match error {
            HostError::InvalidRequest { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_request", message, "")
            }
            HostError::NotFound { remedy, .. } => {
                Self::new(StatusCode::NOT_FOUND, "not_found", message, remedy)
            }
            HostError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", message, ""),
            HostError::Unsupported { remedy, .. } => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "unsupported", message, remedy)
            }
            HostError::LimitReached { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "limit", message, ""),
            HostError::Storage { remedy, .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage", message, remedy)
            }
            HostError::Disconnected { .. } => Self::no_host(),
            _ => Self::internal(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::ALLOW;

    use super::*;

    async fn error(response: Response) -> (StatusCode, serde_json::Value) {
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_REFUSAL_BYTES).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn refusals_of_axum_look_like_all_others() {
        let plain = (StatusCode::BAD_REQUEST, "limit: invalid digit").into_response();
        let (status, body) = error(uniform(plain).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let expected = json!({ "code": "bad_request", "message": "limit: invalid digit", "remedy": "" });
        assert_eq!(body["error"], expected);

        let method = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]).into_response();
        let method = uniform(method).await;
        assert_eq!(method.headers()[ALLOW], "GET");
        assert_eq!(error(method).await.1["error"]["message"], "Method Not Allowed");
    }

    #[tokio::test]
    async fn other_answers_are_left_alone() {
        let own = ApiError::not_found("epoch 9 is not closed");
        let (status, body) = error(uniform(own.into_response()).await).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found"))
        );
        let good = uniform("figures".into_response()).await;
        assert_eq!(to_bytes(good.into_body(), 100).await.unwrap(), "figures");
    }
}
