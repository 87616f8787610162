//! The control API: JSON over HTTP/1.1 on a Unix socket. Who may write the socket file may control the node.

pub mod containers;
pub mod economy;
pub mod epochs;
pub mod error;
pub mod prove;
pub mod r1fs;
pub mod reward;
pub mod status;
pub mod view;
pub mod why;

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::header::CONTENT_TYPE,
    middleware::map_response,
    response::IntoResponse,
    routing::{delete, get, post},
};
use tokio::net::UnixListener;

use self::view::Node;

/// Longest request body.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Mode of the socket file: the owner and the operators' group.
const SOCKET_MODE: u32 = 0o660;

/// The routes of the control API.
pub fn router(node: Node) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/nodes", get(status::nodes))
        .route("/v1/epochs", get(epochs::epochs))
        .route("/v1/epochs/{epoch}/certificate", get(epochs::certificate))
        .route("/v1/economy", get(economy::economy))
        .route("/v1/economy/params", get(economy::params))
        .route("/v1/licences", get(economy::licences))
        .route("/v1/licences/{licence}/link", post(economy::link))
        .route("/v1/licences/{licence}/claim", post(economy::claim))
        .route("/v1/accounts/{account}", get(economy::account))
        .route("/v1/jobs", get(economy::jobs))
        .route("/v1/jobs/{id}", get(economy::job))
        .route("/v1/escrows/{account}", get(economy::escrow))
        .route("/v1/transactions", post(economy::transaction))
        .route("/v1/containers", get(containers::list).post(containers::run))
        .route("/v1/containers/{id}", delete(containers::remove))
        .route("/v1/containers/{id}/logs", get(containers::logs))
        .route("/v1/containers/{id}/stop", post(containers::stop))
        .route("/v1/prove/account/{address}", get(prove::account))
        .route("/v1/prove/licence/{licence}", get(prove::licence))
        .route("/v1/prove/availability/{epoch}/{node}", get(prove::availability))
        .route("/v1/why/node/{address}", get(why::node))
        .route("/v1/why/epoch/{epoch}", get(why::epoch))
        .route("/v1/why/reward/{epoch}", get(reward::reward))
        .route("/metrics", get(metrics))
        .merge(r1fs::routes())
        .fallback(async || error::ApiError::not_found("no such call; see r1ctl --help"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(error::uniform))
        .with_state(node)
}

/// The routes that Prometheus may reach over TCP: metrics only.
pub fn metrics_router(node: Node) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(node)
}

async fn metrics(State(node): State<Node>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        node.metrics().await,
    )
}

/// Makes the control socket; a socket file that nobody listens on is replaced. The caller holds the state folder's
/// lock, so no other r1d of this node can be listening.
///
/// # Errors
/// What the operating system says; the caller names the path.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}
