//! Containers: what lives, what ended, and the way from one to the other.
//!
//! What lives is in `<run>/c/<id>/`, kept there by its shim; this process holds only what can be read again from
//! there. What ended is a record in `<state>/containers/`. A shim is released once the record is on disk.

mod adopt;
mod finish;
mod log;
mod record;
mod run;
mod stop;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use r1_core::ContainerStatus;
use r1_host_api::{
    ContainerInfo, ContainerUsage, Degraded, HostError, HostEvent, LogLine, check_id, check_tail,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, broadcast, watch};

use crate::{cgroup::Cgroups, config::Config, probe::Probe, runc::Runc, storage::StorageError};
use record::Records;

/// Containers that are made at the same time; more wait their turn.
const MAX_CREATING: usize = 8;
/// Events kept for a connection that lags.
const EVENT_QUEUE: usize = 256;

/// What this process knows of a container that lives.
#[derive(Debug)]
struct Live {
    info: ContainerInfo,
    /// Which range of user ids its namespace has.
    uid_slot: u32,
    /// Turns true when it is over and cleaned up.
    over: watch::Sender<bool>,
    /// Its cgroup2 id where the kernel's meters watch it.
    meter: Option<u64>,
}

/// `<run>/c/<id>/request.json`: what the daemon must know of a container after its own restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    /// Format version; 1.
    version: u32,
    /// Name of the root file system.
    image: String,
    /// Which range of user ids its namespace has.
    uid_slot: u32,
    /// The boot in which it was made.
    boot_id: String,
    /// When its making began, milliseconds since 1970-01-01 UTC.
    created_at_ms: u64,
}

/// How often what happened, since this process started.
#[derive(Debug, Default)]
pub struct Counts {
    /// Containers started.
    pub started: AtomicU64,
    /// Containers that could not be started.
    pub failed: AtomicU64,
    /// Containers that ended with an exit record.
    pub exited: AtomicU64,
    /// Containers whose shim disappeared.
    pub lost: AtomicU64,
    /// Containers found alive at the start.
    pub adopted: AtomicU64,
    /// Tries to store a record that failed and will be repeated.
    pub unstored: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// All containers of this node. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Containers {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    cgroups: Cgroups,
    runc: Runc,
    boot_id: String,
    live: Mutex<BTreeMap<String, Live>>,
    records: Mutex<Records>,
    creating: Semaphore,
    events: broadcast::Sender<HostEvent>,
    counts: Counts,
    probe: Arc<Probe>,
}

impl Containers {
    /// Reads the records of what ended; touches nothing that lives (see [`Containers::adopt`]).
    ///
    /// # Errors
    /// [`StorageError`] if the folders cannot be read.
    pub fn open(
        config: Config,
        cgroups: Cgroups,
        boot_id: String,
        probe: Arc<Probe>,
    ) -> Result<Self, StorageError> {
        let records = Records::open(config.records(), config.max_records)?;
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let runc = Runc::new(config.runc.clone());
        let inner = Inner {
            config,
            cgroups,
            runc,
            boot_id,
            live: Mutex::default(),
            records: Mutex::new(records),
            creating: Semaphore::new(MAX_CREATING),
            events,
            counts: Counts::default(),
            probe,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What this host lacks to run containers, if anything. Asked anew each time, so that a remedy works
    /// without a restart.
    pub fn unsupported(&self) -> Option<Degraded> {
        let degraded = |why: String, remedy: &str| {
            Some(Degraded {
                what: "containers".into(),
                why,
                remedy: remedy.into(),
            })
        };
        let uid = nix::unistd::geteuid();
        if !uid.is_root() {
            let why =
                format!("r1-hostd runs as user {uid}, which may make neither control groups nor namespaces");
            return degraded(
                why,
                "start r1-hostd as root, for instance with systemctl start r1-hostd",
            );
        }
        if let Err(why) = self.inner.cgroups.check_writable() {
            return degraded(
                why,
                "mount the cpu, memory and pids controllers writable for r1-hostd",
            );
        }
        let missing = self.inner.runc.missing()?;
        degraded(missing, "install r1-runc there or name it with --runc")
    }

    /// The events from now on.
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.inner.events.subscribe()
    }

    /// Tells an event to whoever listens.
    pub(crate) fn tell(&self, event: HostEvent) {
        // Nobody may be listening; who connects later asks for the state.
        let _ = self.inner.events.send(event);
    }

    /// How often what happened.
    pub fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    /// All that live, with their use so far, and all records, oldest first.
    pub fn list(&self) -> Vec<ContainerInfo> {
        let mut list: Vec<_> = self.live().values().map(|live| live.info.clone()).collect();
        for info in &mut list {
            let usage = self.inner.cgroups.usage(&info.id);
            info.cpu_ns = info.cpu_ns.max(usage.cpu_ns);
            info.memory_peak_bytes = info.memory_peak_bytes.max(usage.memory_peak_bytes);
        }
        list.extend(self.records().all().cloned());
        list.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
        list
    }

    /// How many live in each state.
    pub fn states(&self) -> BTreeMap<&'static str, u64> {
        let mut states = BTreeMap::from([("creating", 0), ("running", 0), ("stopped", 0)]);
        for live in self.live().values() {
            let state = match live.info.state {
                ContainerStatus::Creating | ContainerStatus::Created => "creating",
                ContainerStatus::Running => "running",
                ContainerStatus::Stopped | ContainerStatus::Lost => "stopped",
            };
            *states.entry(state).or_insert(0) += 1;
        }
        states
    }

    /// How many records are kept.
    pub fn record_count(&self) -> usize {
        self.records().all().count()
    }

    /// What each living container has used: CPU time and traffic by the kernel's meters where they watch it, the
    /// rest by its cgroup's files.
    pub fn usage(&self) -> BTreeMap<String, ContainerUsage> {
        let meters: Vec<_> = self
            .live()
            .iter()
            .map(|(id, live)| (id.clone(), live.meter))
            .collect();
        let usage = |(id, meter): (String, Option<u64>)| {
            let mut usage = self.inner.cgroups.usage(&id);
            if let Some(metered) = meter.and_then(|meter| self.inner.probe.usage(meter)) {
                usage.source = metered.source;
                usage.cpu_ns = metered.cpu_ns;
                usage.rx_bytes = metered.rx_bytes;
                usage.tx_bytes = metered.tx_bytes;
            }
            (id, usage)
        };
        meters.into_iter().map(usage).collect()
    }

    /// Lets the kernel's meters watch a container's group; what they cannot watch is read from files instead.
    fn watch(&self, id: &str) {
        let Some(folder) = self.inner.cgroups.unified_of(id).filter(|folder| folder.is_dir()) else {
            return;
        };
        match self.inner.probe.watch_cgroup(&folder) {
            Ok(meter) => {
                if let Some(live) = self.live().get_mut(id) {
                    live.meter = Some(meter);
                }
            }
            Err(error) => tracing::warn!(container = %id, %error, "container is not metered"),
        }
    }

    /// Takes the meters off a container's group, so that it can be removed.
    fn unwatch(&self, id: &str) {
        let meter = self.live().get_mut(id).and_then(|live| live.meter.take());
        if let Some(meter) = meter {
            self.inner.probe.unwatch(meter);
        }
    }

    /// The last lines a container wrote, oldest first.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or [`HostError::Storage`] if its log cannot be read.
    pub fn logs(&self, id: &str, tail: u32) -> Result<Vec<LogLine>, HostError> {
        check_id(id)?;
        check_tail(tail)?;
        let files = if self.live().contains_key(id) {
            let folder = self.folder(id);
            vec![folder.join("log.1"), folder.join("log")]
        } else if self.records().get(id).is_some() {
            vec![self.records().log_path(id)]
        } else {
            return Err(not_found(id));
        };
        Ok(log::tail(&files, tail as usize)?)
    }

    /// `<run>/c/<id>`.
    fn folder(&self, id: &str) -> PathBuf {
        self.inner.config.live().join(id)
    }

    /// The table of what lives. Never held across an await.
    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.inner.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records of what ended. Never held across an await.
    fn records(&self) -> MutexGuard<'_, Records> {
        self.inner.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found(id: &str) -> HostError {
    HostError::NotFound {
        message: format!("container {id:?} is not known here"),
        remedy: String::new(),
    }
}
