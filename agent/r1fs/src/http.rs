//! The R1FS HTTP contract of Ratio1 (port 31235), so that its official SDKs work unmodified.
//!
//! Every success is an envelope around `result`; refusals have the shapes of FastAPI, which upstream is built on.
//! Contents stream in both directions and are never held whole.

mod callers;
mod delete;
mod documents;
mod download;
mod envelope;
mod error;
mod figures;
mod upload;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::sync::Semaphore;

pub use self::{callers::Callers, envelope::Envelope, figures::Figures};
use self::{envelope::Answer, error::Refusal};
use crate::Files;

/// Limits of the HTTP front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest JSON request, bytes. Default 64 MiB.
    pub json: usize,
    /// Largest request that carries a file in base64, bytes. Default 256 MiB.
    pub base64: usize,
    /// Largest form field besides the file, bytes. Default 64 KiB.
    pub field: usize,
    /// Largest content of an upload, bytes. Default 5 GiB, upstream's.
    pub content: u64,
    /// Largest content that is answered in base64 or as a document, bytes. Default 256 MiB.
    pub inline_answer: u64,
    /// Requests that are worked on at a time; others are refused as busy. Default 64.
    pub requests: usize,
    /// Names in one `delete_files`. Default 1000.
    pub deletes: usize,
    /// How long an upload may pause. Default 60 s.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json: 64 << 20,
            base64: 256 << 20,
            field: 64 << 10,
            content: 5 << 30,
            inline_answer: 256 << 20,
            requests: 64,
            deletes: 1000,
            pause: Duration::from_secs(60),
        }
    }
}

/// What the front end is made of.
pub struct Config {
    /// The node's words around each result.
    pub envelope: Envelope,
    /// Limits.
    pub limits: Limits,
    /// Who asks.
    pub callers: Callers,
    /// Where `get_file` puts files for callers that want a path, and uploads wait for their options.
    pub folder: PathBuf,
    /// What is counted.
    pub figures: Figures,
}

struct Shared {
    files: Arc<dyn Files>,
    config: Config,
    busy: Semaphore,
}

type Node = State<Arc<Shared>>;

/// The routes. Cancel-safe: a request whose connection is lost stores nothing that stays.
pub fn router(files: Arc<dyn Files>, config: Config) -> Router {
    let limits = config.limits.clone();
    let shared = Arc::new(Shared {
        files,
        busy: Semaphore::new(limits.requests),
        config,
    });
    let large = Router::new()
        .route("/add_file", post(upload::add_file))
        .layer(DefaultBodyLimit::disable());
    let base64 = Router::new()
        .route("/add_file_base64", post(documents::add_file_base64))
        .layer(DefaultBodyLimit::max(limits.base64));
    Router::new()
        .route("/get_status", get(status))
        .route("/get_file", get(download::get_file))
        .route("/get_file_base64", post(download::get_file_base64))
        .route("/get_yaml", get(download::get_yaml))
        .route("/add_yaml", post(documents::add_yaml))
        .route("/add_json", post(documents::add_json))
        .route("/add_pickle", post(documents::add_pickle))
        .route("/calculate_json_cid", post(documents::calculate_json))
        .route("/calculate_pickle_cid", post(documents::calculate_pickle))
        .route("/delete_file", post(delete::delete_file))
        .route("/delete_files", post(delete::delete_files))
        .layer(DefaultBodyLimit::max(limits.json))
        .merge(large)
        .merge(base64)
        .fallback(async || Refusal::not_found("Not Found"))
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .layer(from_fn(cross_origin))
        .with_state(shared)
}

async fn status(State(node): Node) -> Answer<crate::api::Identity> {
    let identity = node.files.identity().await;
    node.answer(identity)
}

/// Finds out who asks, keeps the number of requests within its limit, and counts.
async fn guard(State(node): Node, mut request: Request, next: Next) -> Response {
    let endpoint = request.uri().path().trim_start_matches('/').to_owned();
    let figures = node.config.figures.clone();
    let response = match (node.config.callers.caller(&request), node.busy.try_acquire()) {
        (None, _) => Refusal::unauthorised().into_response(),
        (_, Err(_)) => Refusal::busy(node.config.limits.requests).into_response(),
        (Some(caller), Ok(_permit)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
    };
    figures.count(&endpoint, response.status());
    response
}

/// Browsers of any origin may ask, as upstream lets them; credentials are never sent by them.
async fn cross_origin(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let allowed: [(HeaderName, &str); 4] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "x-meta, content-range"),
    ];
    for (name, value) in allowed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
