//! The node as the control API sees it, and the sockets it is served on.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use r1_host_api::HostClient;
use r1_oraclesync::Store;
use r1_poa::Recorder;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use crate::{
    api::{
        self,
        view::{BoxFuture, NodeAction, NodeInfo, NodeView},
    },
    chain::SharedChain,
    clock::now_ms,
    files::FilePlane,
    gossip::{self, TRANSACTION},
    licence,
    node::Node,
};

/// How long a scrape waits for r1-hostd's part.
const HOST_PATIENCE: Duration = Duration::from_secs(2);
/// Longest path of a Unix socket (`sun_path` without its terminator).
const MAX_SOCKET_PATH: usize = 107;

struct View(Arc<Node>);

impl View {
    fn publish(&self, bytes: Vec<u8>) {
        let node = Arc::clone(&self.0);
        tokio::spawn(async move { gossip::publish_again(&node, TRANSACTION, &bytes).await });
    }
}

impl NodeView for View {
    fn info(&self) -> &NodeInfo {
        &self.0.info
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn chain(&self) -> &SharedChain {
        &self.0.chain
    }

    fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    fn with_recorder(&self, look: &mut dyn FnMut(&Recorder)) {
        look(&self.0.recorder());
    }

    fn files(&self) -> Option<Arc<FilePlane>> {
        self.0.files.clone()
    }

    fn peers(&self) -> usize {
        self.0.net.peers().len()
    }

    fn host(&self) -> Option<HostClient> {
        self.0.host.client().ok()
    }

    fn hooks(&self) -> BTreeMap<String, String> {
        let hooks = self.0.host.hooks().into_iter();
        hooks
            .map(|(name, hook)| {
                (
                    name,
                    if hook.attached {
                        "attached".into()
                    } else {
                        hook.detail
                    },
                )
            })
            .collect()
    }

    fn degraded(&self) -> Vec<String> {
        self.0.host.degraded()
    }

    fn submit(&self, action: NodeAction) -> Result<[u8; 32], String> {
        let action = match action {
            NodeAction::Link(licence) => licence::link(&self.0, licence),
            NodeAction::Send(action) => Ok(*action),
        };
        let submitted = action.and_then(|action| licence::submit(&self.0, action));
        let (hash, bytes) = submitted.map_err(|error| error.to_string())?;
        self.publish(bytes);
        Ok(hash)
    }

    fn submit_signed(&self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        let taken = self.0.chain.lock().add_transaction(now_ms(), &bytes);
        let hash = taken.map_err(|error| error.to_string())?;
        self.0.hint_work();
        self.publish(bytes);
        Ok(hash)
    }

    fn metrics(&self) -> BoxFuture<String> {
        let node = Arc::clone(&self.0);
        Box::pin(async move {
            let own = node.metrics.encode().unwrap_or_else(|error| {
                tracing::error!(%error, "own metrics are left out");
                String::new()
            });
            let host = match node.host.client() {
                Ok(client) => timeout(HOST_PATIENCE, client.metrics())
                    .await
                    .ok()
                    .and_then(Result::ok),
                Err(_) => None,
            };
            r1_telemetry::merge(&[&own, &host.unwrap_or_default()])
        })
    }
}

/// Serves the control API on its socket and, if configured, metrics on TCP.
///
/// # Errors
/// Which socket cannot be made and why.
pub async fn serve(node: &Arc<Node>, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let path = node.config.control_socket();
    check_length(&path)?;
    let listener = api::listen(&path).with_context(|| format!("control socket {}", path.display()))?;
    let app = api::router(Arc::new(View(Arc::clone(node))));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the control API ended");
        }
    });
    if let Some(address) = node.config.metrics_listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("metrics_listen {address}"))?;
        let app = api::metrics_router(Arc::new(View(Arc::clone(node))));
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the metrics page ended");
            }
        });
    }
    Ok(())
}

fn check_length(path: &Path) -> anyhow::Result<()> {
    let length = path.as_os_str().len();
    anyhow::ensure!(
        length <= MAX_SOCKET_PATH,
        "control socket {}: the path has {length} bytes, at most {MAX_SOCKET_PATH} are possible; shorten run_dir",
        path.display()
    );
    Ok(())
}
