//! What the HTTP front end counts.

use axum::http::StatusCode;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type Labels = [(&'static str, String); 2];

/// The calls of the contract; others are counted together, so that strangers cannot make up labels.
const ENDPOINTS: [&str; 13] = [
    "get_status",
    "get_file",
    "get_file_base64",
    "get_yaml",
    "add_file",
    "add_file_base64",
    "add_yaml",
    "add_json",
    "add_pickle",
    "calculate_json_cid",
    "calculate_pickle_cid",
    "delete_file",
    "delete_files",
];

/// Figures of the HTTP front end. A clone counts into the same ones.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    requests: Family<Labels, Counter>,
    /// Bytes of contents taken in.
    pub(super) received: Counter,
    /// Bytes of contents given out.
    pub(super) sent: Counter,
}

impl Figures {
    /// Figures that appear in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let it = Self::default();
        let (requests, received, sent) = (it.requests.clone(), it.received.clone(), it.sent.clone());
        registry.register("r1_r1fs_http_requests", "Requests by call and status", requests);
        registry.register(
            "r1_r1fs_http_received_bytes",
            "Bytes of contents taken in",
            received,
        );
        registry.register("r1_r1fs_http_sent_bytes", "Bytes of contents given out", sent);
        it
    }

    pub(super) fn count(&self, endpoint: &str, status: StatusCode) {
        let known = ENDPOINTS.contains(&endpoint);
        let endpoint = if known { endpoint } else { "other" };
        let labels = [
            ("endpoint", endpoint.to_owned()),
            ("status", status.as_u16().to_string()),
        ];
        self.requests.get_or_create(&labels).inc();
    }
}
