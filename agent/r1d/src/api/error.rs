//! Errors of the control API: `{"error":{"code","message","remedy"}}` with an HTTP status.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use r1_host_api::HostError;
use serde_json::json;

use crate::{chain::ChainError, ledger::LedgerError};

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
