//! Start, life and end of the daemon.

use std::{
    collections::BTreeMap,
    fs::File,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use r1_host_api::{Degraded, HookStatus, HostError, HostEvent, Measurements, NodeFacts};
use r1_telemetry::Metrics;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::broadcast,
};

use crate::{
    cgroup::Cgroups,
    config::Config,
    container::Containers,
    facts,
    gpu::{self, Gpus},
    metrics::HostCollector,
    probe::{Probe, ProbeConfig, ProbeEvent},
    process,
    server::Listener,
    storage::{self, StorageError},
};

/// Bytes of stack of the thread that passes on events.
const EVENT_STACK: usize = 128 * 1024;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder cannot be used.
    #[error("{source}; remedy: {}", source.remedy())]
    Storage {
        /// Which and why.
        #[from]
        source: StorageError,
    },
    /// An argument is wrong.
    #[error("{0}")]
    Argument(String),
    /// The system refuses something else.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// The running daemon, as its server and its metrics see it. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    cgroups: Cgroups,
    containers: Containers,
    probe: Arc<Probe>,
    ooms: AtomicU64,
    gpus: Gpus,
    refused_peers: AtomicU64,
    open_connections: AtomicU64,
    refused_requests: Mutex<BTreeMap<&'static str, u64>>,
}

impl Host {
    /// The containers.
    pub fn containers(&self) -> &Containers {
        &self.shared.containers
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.shared.containers.events()
    }

    /// What the machine is and what it lacks.
    pub fn facts(&self) -> NodeFacts {
        let shared = &self.shared;
        facts::collect(&shared.config, &shared.cgroups, &shared.gpus, self.degraded())
    }

    /// What is measured, as of now.
    pub fn measurements(&self) -> Measurements {
        Measurements {
            evidence: self.shared.probe.evidence(),
            hooks: self.shared.probe.hooks(),
            usage: self.shared.containers.usage(),
        }
    }

    /// The metrics in the classic Prometheus text format.
    ///
    /// # Errors
    /// [`HostError::Failed`] if they cannot be written out.
    pub fn metrics(&self) -> Result<String, HostError> {
        let register = |registry: &mut prometheus_client::registry::Registry| {
            registry.register_collector(Box::new(HostCollector::new(self.clone())));
        };
        let own = Metrics::new(Some("r1_hostd"), register).encode();
        let own = own.map_err(|error| HostError::Failed {
            message: format!("Metrics: {error}"),
        })?;
        Ok(r1_telemetry::merge(&[&own, &self.shared.probe.metrics()]))
    }

    /// Counts a refused request and passes the result on.
    pub(crate) fn note<T>(&self, result: Result<T, HostError>) -> Result<T, HostError> {
        if let Err(error) = &result {
            let mut refused = self
                .shared
                .refused_requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *refused.entry(error.code()).or_insert(0) += 1;
        }
        result
    }

    /// Requests refused so far, by reason.
    pub(crate) fn refused_requests(&self) -> BTreeMap<&'static str, u64> {
        self.shared
            .refused_requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts a connection refused because of its user; returns how many there were.
    pub(crate) fn refuse_peer(&self) -> u64 {
        self.shared.refused_peers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Connections refused because of their user.
    pub(crate) fn refused_peers(&self) -> u64 {
        self.shared.refused_peers.load(Ordering::Relaxed)
    }

    /// Connections open.
    pub(crate) fn open_connections(&self) -> u64 {
        self.shared.open_connections.load(Ordering::Relaxed)
    }

    /// Counts a connection as open for as long as the result lives.
    pub(crate) fn open_connection(&self) -> OpenConnection {
        self.shared.open_connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection { host: self.clone() }
    }

    /// Kills by the kernel for lack of memory, anywhere on the machine, since this process started.
    pub(crate) fn ooms(&self) -> u64 {
        self.shared.ooms.load(Ordering::Relaxed)
    }

    fn degraded(&self) -> Vec<Degraded> {
        let mut found: Vec<_> = self.shared.containers.unsupported().into_iter().collect();
        found.extend(degraded_hooks(&self.shared.probe.hooks()));
        found
    }

    /// Passes on what the probes report, in a thread of its own since they wait for it there.
    fn listen_to_probes(&self) -> Result<(), StartError> {
        let Some(events) = self.shared.probe.events() else {
            return Ok(());
        };
        // Weak, so that the daemon's end ends the probes, and these the thread.
        let shared = Arc::downgrade(&self.shared);
        let listen = move || {
            for event in events {
                let Some(shared) = shared.upgrade() else { return };
                shared.hear(event);
            }
        };
        let thread = std::thread::Builder::new()
            .name("r1-events".into())
            .stack_size(EVENT_STACK);
        let started = thread.spawn(listen).map(drop);
        started.map_err(|source| StartError::System {
            action: "start the thread of events",
            source,
        })
    }
}

impl Shared {
    fn hear(&self, event: ProbeEvent) {
        match event {
            ProbeEvent::Gap(gap) => {
                tracing::warn!(cause = ?gap.cause, from_ms = gap.from_ms, to_ms = gap.to_ms, "gap: {}", gap.detail);
                self.containers.tell(HostEvent::Gap(gap));
            }
            ProbeEvent::Oom { cgroup, pid } => {
                self.ooms.fetch_add(1, Ordering::Relaxed);
                tracing::info!(?cgroup, pid, "killed for lack of memory");
            }
            ProbeEvent::Exec { .. } => {}
        }
    }
}

/// One line for each reason for which hooks are not served by the kernel.
fn degraded_hooks(hooks: &BTreeMap<String, HookStatus>) -> Vec<Degraded> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, hook) in hooks.iter().filter(|(_, hook)| !hook.attached) {
        reasons.entry(&hook.detail).or_default().push(name);
    }
    let degraded = |(detail, names): (&str, Vec<&str>)| {
        let (why, remedy) = detail.rsplit_once("; ").unwrap_or((detail, ""));
        Degraded {
            what: "ebpf".into(),
            why: format!("{}: {why}", names.join(", ")),
            remedy: remedy.into(),
        }
    };
    reasons.into_iter().map(degraded).collect()
}

/// A connection that is open.
pub(crate) struct OpenConnection {
    host: Host,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.host.shared.open_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] that names the folder, argument or call at fault.
pub async fn run(config: Config) -> Result<(), StartError> {
    let system = |action| move |source| StartError::System { action, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("handle SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("handle SIGINT"))?;
    let cgroups = Cgroups::detect(&config.cgroup).map_err(StartError::Argument)?;
    let _locks = prepare_folders(&config)?;
    let boot_id = process::boot_id().map_err(system("read the boot id"))?;
    let probe = Arc::new(Probe::start(ProbeConfig {
        bpf: !config.without_bpf,
        ..ProbeConfig::default()
    }));
    let containers = Containers::open(config.clone(), cgroups.clone(), boot_id, Arc::clone(&probe))?;
    let shared = Shared {
        probe,
        ooms: AtomicU64::new(0),
        gpus: gpu::look().await,
        config,
        cgroups,
        containers,
        refused_peers: AtomicU64::new(0),
        open_connections: AtomicU64::new(0),
        refused_requests: Mutex::default(),
    };
    let host = Host {
        shared: Arc::new(shared),
    };
    for degraded in host.degraded() {
        tracing::warn!(what = %degraded.what, why = %degraded.why, remedy = %degraded.remedy, "degraded");
    }
    host.listen_to_probes()?;
    host.containers().adopt().await?;
    let listener = Listener::bind(&host.shared.config.socket(), &host.shared.config.allow_uids)?;
    tracing::info!(socket = %host.shared.config.socket().display(), "ready");
    notify_systemd();
    tokio::select! {
        () = listener.serve(host.clone()) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(listener);
    if host.shared.config.stop_containers_on_exit {
        host.containers().stop_all().await;
    }
    tracing::info!("ended");
    Ok(())
}

/// Tells systemd that the socket answers (sd_notify(3)), where it asked to be told. A failure only delays what
/// waits for this unit, so it is logged and no more.
fn notify_systemd() {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let abstract_name = name.as_encoded_bytes().strip_prefix(b"@");
    let address = match abstract_name {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let socket = UnixDatagram::unbound();
    let sent = address.and_then(|address| socket?.send_to_addr(b"READY=1", &address));
    if let Err(error) = sent {
        tracing::warn!(%error, ?name, "systemd was not told that r1-hostd is ready");
    }
}

/// Makes the folders and takes the locks, which last as long as the files returned.
fn prepare_folders(config: &Config) -> Result<[File; 2], StorageError> {
    storage::make_folder(&config.state, 0o755)?;
    let state = storage::lock_folder(&config.state, "lock")?;
    storage::make_folder(&config.images(), 0o755)?;
    storage::make_folder(&config.run, 0o755)?;
    storage::make_folder(&config.live(), 0o700)?;
    let run = storage::lock_folder(&config.run, "hostd.lock")?;
    Ok([state, run])
}
