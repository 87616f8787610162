//! One running node: what its tasks share, how it starts and how it ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use r1_core::{Genesis, NodeAddress};
use r1_identity::{NodeKey, PublicKey};
use r1_net::{Event, Multiaddr};
use r1_oraclesync::{Domain, Follower, OracleKey, Store, ValidatorSet};
use r1_poa::{Record, Recorder, Schedule};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    api::view::NodeInfo,
    chain::{Chain, SharedChain},
    clock::now_ms,
    config::Config,
    duties,
    figures::Figures,
    files::{self, FilePlane},
    follower, gossip, heartbeat,
    host::Host,
    ledger::Ledger,
    persistence::Persistence,
    state_dir::StateDir,
    view,
};

/// How long tables of all oracles are waited for after the last heartbeat of an epoch could have come, ms.
const TABLE_WAIT_MS: u64 = 3_000;
/// How often the duties and the agreement look whether something has become due by itself: a tenth of the time
/// between two heartbeats, within these. With long epochs nothing is urgent, and each look wakes the processor.
const LOOK_MIN: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// How long an ending node may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the tasks of a node share.
#[derive(Debug)]
pub struct Node {
    /// The configuration.
    pub config: Config,
    /// The network.
    pub genesis: Genesis,
    /// The node's key.
    pub key: NodeKey,
    /// When heartbeats are due.
    pub schedule: Schedule,
    /// The ledger and what waits for it.
    pub chain: SharedChain,
    /// The swarm.
    pub net: r1_net::Handle,
    /// r1-hostd.
    pub host: Host,
    /// What r1d counts.
    pub figures: Figures,
    /// The whole registry.
    pub metrics: r1_telemetry::Metrics,
    /// What is to be written soon.
    pub persistence: Persistence,
    /// When r1d started, milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// Decided blocks.
    pub store: Arc<Store>,
    /// What the control API shows of the node.
    pub info: NodeInfo,
    /// Files, if this node keeps any.
    pub files: Option<Arc<FilePlane>>,
    recorder: Mutex<Recorder>,
    /// Only an oracle has one; it is taken out when the node stops.
    agreement: Option<RwLock<Option<r1_oraclesync::Handle>>>,
}

impl Node {
    /// The node's address.
    pub fn address(&self) -> NodeAddress {
        self.key.address()
    }

    /// True if this node votes.
    pub fn is_oracle(&self) -> bool {
        self.agreement.is_some()
    }

    /// How often the duties are looked at.
    pub fn tick(&self) -> Duration {
        look_interval(self.schedule)
    }

    /// The recorder. Held for microseconds, never across an await.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the agreement ends by itself; `None` for a node that has none.
    fn agreement_ended(&self) -> Option<impl Future<Output = String> + use<>> {
        let handle = self
            .agreement
            .as_ref()?
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let ended = handle.as_ref()?.ended();
        Some(async move { ended.await.to_string() })
    }

    /// Tells the agreement that there may be something to decide.
    pub fn hint_work(&self) {
        if let Some(handle) = &self.agreement
            && let Some(handle) = &*handle.read().unwrap_or_else(PoisonError::into_inner)
        {
            handle.hint_work();
        }
    }

    /// Everyone whose heartbeats count: oracles, nodes linked to a licence, and `candidates`, whose own key owns a
    /// licence that is free or theirs.
    pub fn refresh_known(&self) {
        let mut known: BTreeSet<NodeAddress> =
            self.genesis.oracles.iter().map(|oracle| oracle.address).collect();
        known.extend(
            self.chain
                .lock()
                .ledger()
                .state()
                .licences()
                .filter_map(|view| view.node),
        );
        let mut recorder = self.recorder();
        let candidates: Vec<_> = recorder.known().difference(&known).copied().collect();
        known.extend(candidates.into_iter().filter(|node| self.is_candidate(node)));
        if recorder.known() != &known {
            recorder.set_known(known);
        }
    }

    /// The EVM address of who runs a node: the owner of the licence it is linked to, or else its own key's.
    pub fn operator_of(&self, node: &NodeAddress) -> [u8; 20] {
        let chain = self.chain.lock();
        let linked = chain
            .ledger()
            .state()
            .licences()
            .find(|view| view.node == Some(*node));
        let own = || PublicKey::try_from(node).map(|key| key.eth_address());
        let operator = linked.map_or_else(own, |view| Ok(view.owner));
        operator.map_or([0; 20], |address| *address.as_bytes())
    }

    /// True if a node's own key owns a licence that it could link to itself.
    pub fn is_candidate(&self, node: &NodeAddress) -> bool {
        let Ok(key) = PublicKey::try_from(node) else {
            return false;
        };
        let eth = key.eth_address();
        let chain = self.chain.lock();
        let mut own = chain.ledger().state().licences().filter(|view| view.owner == eth);
        own.any(|view| view.node.is_none_or(|linked| linked == *node))
    }
}

/// A node and its tasks.
#[derive(Debug)]
pub struct Running {
    /// What its tasks share.
    pub node: Arc<Node>,
    tasks: JoinSet<()>,
    _state: StateDir,
}

/// Starts a node. Must be called inside a multi-threaded tokio runtime.
///
/// # Errors
/// What is wrong with its configuration, state folder, key, addresses or sockets, by name.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let genesis = config.load_genesis()?;
    let state = StateDir::open(&config.state_dir)?;
    let key = NodeKey::load_or_generate(&config.key, &mut rand::rngs::OsRng)?;
    let set = ValidatorSet::from_genesis(&genesis).context("genesis")?;
    let domain = Domain::of(&genesis);
    let schedule = Schedule::new(genesis.epoch);
    let ledger = Ledger::open(&state.path().join("ledger"), &genesis, set)?;
    let recorder = restore(&ledger, schedule, &genesis)?;
    let table_wait_ms = schedule.spacing_ms() + TABLE_WAIT_MS;
    let chain = SharedChain::new(Chain::new(ledger, domain, table_wait_ms));

    let mut registered = None;
    let metrics = r1_telemetry::Metrics::new(None, |registry| {
        registered = Some((
            Figures::register(registry),
            r1_net::Metrics::register(registry),
            r1_oraclesync::Metrics::register(registry),
            config.r1fs.is_some().then(|| files::Figures::register(registry)),
        ));
    });
    let (figures, net_metrics, agreement_metrics, files_figures) = registered.context("metrics registry")?;
    let (net, events) = r1_net::spawn(net_config(&config, &genesis, &key)?, net_metrics)?;
    std::fs::create_dir_all(&config.run_dir)
        .with_context(|| format!("run folder {}", config.run_dir.display()))?;
    let host = Host::spawn(&config.host_socket());
    let (store, agreement) = if genesis.is_oracle(&key.address()) {
        let handle = agree(
            &config,
            &genesis,
            &key,
            state.path(),
            chain.clone(),
            agreement_metrics,
        )
        .await?;
        (Arc::clone(handle.store()), Some(RwLock::new(Some(handle))))
    } else {
        (Arc::new(Store::open(&state.path().join("blocks"))?), None)
    };
    let (files, files_inputs) = match (config.r1fs.clone(), files_figures) {
        (Some(settings), Some(figures)) => {
            let (plane, inputs) = FilePlane::open(settings, &genesis, &key, state.path(), figures)?;
            (Some(plane), Some(inputs))
        }
        _ => (None, None),
    };
    let info = NodeInfo {
        address: key.address(),
        eth_address: key.eth_address(),
        alias: config.alias.clone(),
        genesis: Arc::new(genesis.clone()),
    };
    let node = Arc::new(Node {
        persistence: Persistence::default(),
        started_ms: now_ms(),
        recorder: Mutex::new(recorder),
        config,
        genesis,
        key,
        schedule,
        chain,
        net,
        host,
        figures,
        metrics,
        store,
        info,
        agreement,
        files,
    });
    let tasks = spawn_tasks(&node, events, files_inputs).await?;
    tracing::info!(
        address = %node.address(),
        network = node.genesis.network,
        role = if node.is_oracle() { "oracle" } else { "worker" },
        height = node.chain.lock().ledger().height(),
        "r1d is running"
    );
    Ok(Running {
        node,
        tasks,
        _state: state,
    })
}

fn restore(ledger: &Ledger, schedule: Schedule, genesis: &Genesis) -> anyhow::Result<Recorder> {
    let mut recorder = Recorder::new(schedule, genesis.network.clone());
    for prefix in [b"s", b"l", b"g"] {
        for (key, value) in ledger.records(prefix)? {
            match Record::parse(&key, &value) {
                Some(record) => recorder.restore(record),
                None => tracing::warn!(bytes = key.len(), "a stored heartbeat record is not understood"),
            }
        }
    }
    Ok(recorder)
}

fn net_config(config: &Config, genesis: &Genesis, key: &NodeKey) -> anyhow::Result<r1_net::Config> {
    let parse = |what: &str, text: &str| {
        text.parse::<Multiaddr>()
            .with_context(|| format!("{what}: {text:?} is not a multiaddress"))
    };
    let mut net = r1_net::Config::new(genesis.network.clone(), key.secret_bytes());
    net.topics = gossip::topics();
    net.protocols = follower::protocols();
    net.listen = config
        .net_listen
        .iter()
        .map(|text| parse("net_listen", text))
        .collect::<Result<_, _>>()?;
    net.bootstrap = config
        .bootstrap
        .iter()
        .map(|text| parse("bootstrap", text))
        .collect::<Result<_, _>>()?;
    for oracle in genesis
        .oracles
        .iter()
        .filter(|oracle| oracle.address != key.address())
    {
        if !oracle.net_addr.is_empty() {
            let address = parse("genesis net_addr", &oracle.net_addr)?;
            net.bootstrap.push(r1_net::with_peer(&address, &oracle.address));
        }
    }
    Ok(net)
}

fn look_interval(schedule: Schedule) -> Duration {
    Duration::from_millis(schedule.spacing_ms() / 10).clamp(LOOK_MIN, LOOK_MAX)
}

async fn agree(
    config: &Config,
    genesis: &Genesis,
    key: &NodeKey,
    state_dir: &std::path::Path,
    chain: SharedChain,
    metrics: r1_oraclesync::Metrics,
) -> anyhow::Result<r1_oraclesync::Handle> {
    let listen = config.consensus_listen.clone();
    let listen = listen.context("consensus_listen: this node is an oracle of the genesis and needs it")?;
    let timing = r1_oraclesync::Timing::default();
    let timing = r1_oraclesync::Timing {
        poll: timing.poll.max(look_interval(Schedule::new(genesis.epoch))),
        ..timing
    };
    let agreement = r1_oraclesync::Config {
        genesis: genesis.clone(),
        key: OracleKey::from_secret(&key.secret_bytes())?,
        listen,
        state_dir: state_dir.join("agreement"),
        moniker: config.alias.clone(),
        timing,
        metrics,
    };
    Ok(r1_oraclesync::spawn(agreement, chain).await?)
}

async fn spawn_tasks(
    node: &Arc<Node>,
    events: mpsc::Receiver<Event>,
    files: Option<files::Inputs>,
) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    node.refresh_known();
    view::serve(node, &mut tasks).await?;
    tasks.spawn(gossip::run(Arc::clone(node), events));
    tasks.spawn(heartbeat::run(Arc::clone(node)));
    tasks.spawn(duties::run(Arc::clone(node)));
    if let (Some(plane), Some(inputs)) = (&node.files, files) {
        files::spawn(node, plane, inputs, &mut tasks).await?;
    }
    if !node.is_oracle() {
        let follower = Follower::new(&node.genesis)?;
        tasks.spawn(follower::run(Arc::clone(node), follower));
    }
    Ok(tasks)
}

impl Running {
    /// Waits until the node cannot go on.
    pub async fn failed(&mut self) -> String {
        let ended = async {
            let Some(ended) = self.node.agreement_ended() else {
                return std::future::pending().await;
            };
            ended.await
        };
        tokio::select! {
            error = ended => error,
            task = self.tasks.join_next() => match task {
                Some(Err(error)) => format!("a task failed: {error}"),
                _ => "a task ended".to_owned(),
            },
        }
    }

    /// Stops all tasks, closes all sockets and writes what is pending.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.node.persistence.flush(&self.node);
        let _ = timeout(STOP_TIMEOUT, self.node.net.shutdown()).await;
        if let Some(plane) = &self.node.files {
            let _ = timeout(STOP_TIMEOUT, plane.net.shutdown()).await;
        }
        if let Some(handle) = &self.node.agreement {
            let handle = handle.write().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(handle) = handle
                && timeout(STOP_TIMEOUT, handle.stop()).await.is_err()
            {
                tracing::warn!("the agreement did not stop in time");
            }
        }
        let _ = std::fs::remove_file(self.node.config.control_socket());
    }
}
