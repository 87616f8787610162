//! The node's files: the store, the file plane's network, the members that keep copies, the HTTP front end.

mod blocks;
mod exchange;
pub mod members;
pub mod replicas;
pub mod settings;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use r1_core::{Genesis, NodeAddress};
use r1_identity::NodeKey;
use r1_net::Multiaddr;
use r1_r1fs::{
    api::Identity,
    durability::{Config as KeeperConfig, Keeper, Member},
    files::{NodeFiles, Options, Parts, Replicas},
    http,
    store::{self, Store},
    unixfs::links_of,
};
use r1_r1fs_net::{Event, Handle, SwarmKey};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

pub use self::settings::Settings;
use self::{blocks::StoreBlocks, exchange::Network, members::Members, replicas::Copier};
use crate::{clock::now_ms, node::Node};

/// How often garbage is looked for.
const COLLECT_EVERY: Duration = Duration::from_secs(600);

/// Figures of files.
#[derive(Debug, Clone)]
pub struct Figures {
    net: r1_r1fs_net::Metrics,
    http: http::Figures,
    members: prometheus_client::metrics::gauge::Gauge,
    blocks: prometheus_client::metrics::gauge::Gauge,
    bytes: prometheus_client::metrics::gauge::Gauge,
    damaged: prometheus_client::metrics::gauge::Gauge,
}

impl Figures {
    /// Figures that appear in a registry.
    pub fn register(registry: &mut prometheus_client::registry::Registry) -> Self {
        let it = Self {
            net: r1_r1fs_net::Metrics::register(registry),
            http: http::Figures::register(registry),
            members: Default::default(),
            blocks: Default::default(),
            bytes: Default::default(),
            damaged: Default::default(),
        };
        for (name, help, gauge) in [
            (
                "r1_r1fs_members",
                "Nodes that keep copies for others, this one left out",
                &it.members,
            ),
            ("r1_r1fs_blocks", "Blocks stored", &it.blocks),
            ("r1_r1fs_stored_bytes", "Bytes of blocks stored", &it.bytes),
            (
                "r1_r1fs_damaged_blocks",
                "Blocks found damaged since the start",
                &it.damaged,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        it
    }
}

/// The files of a running node.
pub struct FilePlane {
    /// Objects.
    pub files: NodeFiles,
    /// The file plane's network.
    pub net: Handle,
    settings: Settings,
    members: Arc<Mutex<Members>>,
    copier: Arc<Copier>,
    figures: Figures,
    folder: PathBuf,
}

impl std::fmt::Debug for FilePlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilePlane")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the file plane's tasks need besides.
pub struct Inputs {
    events: mpsc::Receiver<Event>,
}

impl FilePlane {
    /// Opens the store in `<state>/r1fs` and starts the network.
    ///
    /// # Errors
    /// What cannot be opened, listened on or parsed, by name.
    pub fn open(
        settings: Settings,
        genesis: &Genesis,
        key: &NodeKey,
        state: &Path,
        figures: Figures,
    ) -> anyhow::Result<(Arc<Self>, Inputs)> {
        let folder = state.join("r1fs");
        let options = store::Options {
            quota: settings.quota,
            index_bytes: settings.index_bytes,
            ..store::Options::default()
        };
        let clock: store::Clock = Arc::new(now_ms);
        let links = |cid: &_, data: &_| links_of(cid, data).unwrap_or_default();
        let store = Store::open(&folder, options, Arc::clone(&clock), links).context("r1fs")?;
        let blocks = Arc::new(StoreBlocks::new(store.clone()));
        let (net, events) =
            r1_r1fs_net::spawn(net_config(&settings, genesis, key)?, blocks, figures.net.clone())?;
        let timeout = Duration::from_secs(settings.member_timeout_s);
        let members = Arc::new(Mutex::new(Members::new(key.address(), timeout)));
        let options = Options {
            content: settings.content,
            grace: Duration::from_secs(settings.grace_s),
            ..Options::default()
        };
        let keeper = Keeper::new(
            keeper_config(&settings),
            Member {
                node: key.address(),
                operator: *key.eth_address().as_bytes(),
                free: settings.quota,
            },
        );
        let copier = Copier::open(replicas::Parts {
            keeper,
            store: store.clone(),
            net: net.clone(),
            key: Arc::new(NodeKey::from_secret_bytes(&key.secret_bytes())?),
            factor: settings.replicas,
            limits: options.fetch,
        })?;
        let parts = Parts {
            store,
            exchange: Arc::new(Network::new(net.clone(), Arc::clone(&members))),
            replicas: Arc::clone(&copier) as Arc<dyn Replicas>,
            clock,
            randomness: Arc::new(|bytes| rand::RngCore::fill_bytes(&mut rand::rngs::OsRng, bytes)),
            identity: Arc::new(identity(&net, key)),
        };
        let plane = Arc::new(Self {
            files: NodeFiles::new(parts, options),
            net,
            settings,
            members,
            copier,
            figures,
            folder,
        });
        Ok((plane, Inputs { events }))
    }

    /// The nodes that keep copies. Held for microseconds, never across an await.
    pub fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who makes copies.
    pub fn copier(&self) -> &Copier {
        &self.copier
    }

    fn show_figures(&self) {
        let usage = self.files.store().usage();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.figures.blocks.set(number(usage.blocks));
        self.figures.bytes.set(number(usage.bytes));
        self.figures.damaged.set(number(usage.damaged));
        self.figures
            .members
            .set(number(self.members().live(now_ms()).len() as u64));
    }
}

/// Starts the file plane's tasks.
///
/// # Errors
/// If the HTTP front end's address cannot be listened on.
pub async fn spawn(
    node: &Arc<Node>,
    plane: &Arc<FilePlane>,
    inputs: Inputs,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    if let Some(address) = plane.settings.http_listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("r1fs.http_listen {address}"))?;
        let app = http::router(Arc::new(plane.files.clone()), http_config(node, plane));
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the R1FS HTTP front end ended");
            }
        });
    }
    for address in &plane.settings.bootstrap {
        let (net, address) = (
            plane.net.clone(),
            address.parse::<Multiaddr>().context("r1fs.bootstrap")?,
        );
        tasks.spawn(async move {
            if let Err(error) = net.connect(address.clone()).await {
                tracing::warn!(%address, %error, "r1fs.bootstrap: not connected");
            }
            std::future::pending().await
        });
    }
    tasks.spawn(members::announce(Arc::clone(node), Arc::clone(plane)));
    tasks.spawn(upkeep(Arc::clone(plane)));
    tasks.spawn(Arc::clone(&plane.copier).tick());
    tasks.spawn(requests(Arc::clone(&plane.copier), inputs.events));
    Ok(())
}

/// Removes garbage from time to time, after what a crash may have left.
async fn upkeep(plane: Arc<FilePlane>) {
    let store = plane.files.store().clone();
    match tokio::task::spawn_blocking(move || store.remove_strangers()).await {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(count)) => tracing::info!(count, "block files that a crash left were removed"),
        Ok(Err(error)) => tracing::warn!(%error, "block files that a crash left were not removed"),
    }
    let mut next = tokio::time::interval(COLLECT_EVERY);
    next.tick().await;
    loop {
        next.tick().await;
        match plane.files.collect(None).await {
            Ok(collected) if collected.blocks > 0 => {
                tracing::info!(
                    blocks = collected.blocks,
                    bytes = collected.bytes,
                    "garbage collected"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "garbage is not collected"),
        }
    }
}

async fn requests(copier: Arc<Copier>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        if let Event::Request(request) = event {
            copier.asked(request);
        }
    }
}

fn keeper_config(settings: &Settings) -> KeeperConfig {
    let check_interval_ms = settings.check_s * 1000;
    let defaults = KeeperConfig::default();
    KeeperConfig {
        ack_timeout_ms: settings.ack_timeout_s * 1000,
        check_interval_ms,
        recheck_ms: defaults.recheck_ms.min(check_interval_ms),
        member_timeout_ms: settings.member_timeout_s * 1000,
        ..defaults
    }
}

fn net_config(settings: &Settings, genesis: &Genesis, key: &NodeKey) -> anyhow::Result<r1_r1fs_net::Config> {
    let mut config = r1_r1fs_net::Config::new(genesis.network.clone(), key.secret_bytes());
    let parse = |text: &String| {
        let parsed = text.parse::<Multiaddr>();
        parsed.with_context(|| format!("r1fs.listen: {text:?} is not a multiaddress"))
    };
    config.listen = settings.listen.iter().map(parse).collect::<Result<_, _>>()?;
    config.limits.strangers = settings.strangers;
    config.limits.stranger_bytes_per_second = settings.stranger_bytes_per_second;
    if let Some(path) = &settings.swarm_key {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("r1fs.swarm_key {}", path.display()))?;
        let parsed = SwarmKey::parse(&text);
        config.swarm_key = Some(parsed.with_context(|| format!("r1fs.swarm_key {}", path.display()))?);
    }
    Ok(config)
}

fn identity(net: &Handle, key: &NodeKey) -> impl Fn() -> Identity + Send + Sync + 'static {
    let (net, public) = (net.clone(), public_key(&key.address()));
    move || {
        let id = net.local_peer_id();
        let addresses = net
            .listen_addrs()
            .into_iter()
            .map(|address| format!("{address}/p2p/{id}"));
        Identity {
            id: id.to_string(),
            public_key: public.clone(),
            addresses: addresses.collect(),
            agent_version: concat!("r1-agent/", env!("CARGO_PKG_VERSION")).into(),
            protocols: net.protocols().to_vec(),
        }
    }
}

/// The key as libp2p's protobuf in base64, as `ipfs id` shows it.
fn public_key(address: &NodeAddress) -> String {
    // A peer id of this kind of key is the identity multihash of that protobuf: two bytes stand before it.
    STANDARD.encode(&r1_net::peer_id(address).to_bytes()[2..])
}

fn http_config(node: &Node, plane: &FilePlane) -> http::Config {
    let address = node.address().to_string();
    http::Config {
        envelope: http::Envelope {
            server_node_addr: address.clone(),
            evm_network: node.genesis.network.clone(),
            ee_node_alias: node.config.alias.clone(),
            ee_node_address: address,
            ee_node_eth_address: node.key.eth_address().to_string(),
            ee_node_network: node.genesis.network.clone(),
            ee_node_ver: env!("CARGO_PKG_VERSION").into(),
        },
        limits: http::Limits {
            content: plane.settings.content,
            ..http::Limits::default()
        },
        callers: http::Callers::new(true),
        folder: plane.folder.join("http"),
        figures: plane.figures.http.clone(),
    }
}
