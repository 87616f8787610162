//! The connection to r1-hostd: kept up in the background, and what is known of the host without it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use r1_host_api::{EvidenceSource, HookStatus, HostClient, HostError, HostEvent, NodeFacts};
use r1_poa::{Evidence, Source};
use tokio::time::{interval, sleep, timeout};

use crate::clock::now_ms;

/// First pause before r1-hostd is tried again; doubles at each failure.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often the facts (free memory, free disk) are asked for again.
const REFRESH: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct View {
    client: Option<HostClient>,
    error: Option<String>,
    facts: Option<NodeFacts>,
    hooks: BTreeMap<String, HookStatus>,
}

/// r1-hostd as r1d sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    view: Arc<Mutex<View>>,
    socket: PathBuf,
    boot_id: Arc<str>,
    since_ms: u64,
}

impl Host {
    /// Starts to connect to r1-hostd's socket, for ever. Must be called inside a tokio runtime.
    pub fn spawn(socket: &Path) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let host = Self {
            view: Arc::default(),
            socket: socket.to_owned(),
            boot_id: boot_id.trim().into(),
            since_ms: now_ms(),
        };
        tokio::spawn(host.clone().keep_connected());
        host
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep_connected(self) {
        let mut pause = RETRY_MIN;
        loop {
            match HostClient::connect(&self.socket).await {
                Ok(client) => {
                    tracing::info!(socket = %self.socket.display(), "r1-hostd is connected");
                    pause = RETRY_MIN;
                    self.serve(client).await;
                    tracing::warn!(socket = %self.socket.display(), "r1-hostd is disconnected");
                    *self.view() = View {
                        error: Some("the connection was closed".into()),
                        ..View::default()
                    };
                }
                Err(error) => self.view().error = Some(error.to_string()),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Returns when the connection is closed.
    async fn serve(&self, client: HostClient) {
        let mut events = client.events();
        {
            let mut view = self.view();
            view.client = Some(client.clone());
            view.error = None;
        }
        let mut refresh = interval(REFRESH);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(HostEvent::Exited(info)) => {
                        tracing::info!(id = info.id, code = ?info.exit_code, oom = info.oom_killed, "container ended");
                    }
                    Some(HostEvent::Gap(gap)) => {
                        tracing::warn!(from_ms = gap.from_ms, to_ms = gap.to_ms, detail = gap.detail, "host gap");
                    }
                    Some(HostEvent::Missed(_)) => {}
                    None => return,
                },
                _ = refresh.tick() => self.look(&client).await,
                () = client.closed() => return,
            }
        }
    }

    /// Asks for what changes slowly.
    async fn look(&self, client: &HostClient) {
        match client.facts().await {
            Ok(facts) => self.view().facts = Some(facts),
            Err(error) => tracing::warn!(%error, "r1-hostd does not tell facts"),
        }
        match client.measurements().await {
            Ok(measured) => self.view().hooks = measured.hooks,
            Err(error) => tracing::warn!(%error, "r1-hostd does not measure"),
        }
    }

    /// The connection.
    ///
    /// # Errors
    /// [`HostError::Disconnected`] while there is none.
    pub fn client(&self) -> Result<HostClient, HostError> {
        let view = self.view();
        view.client.clone().ok_or_else(|| HostError::Disconnected {
            message: view
                .error
                .clone()
                .unwrap_or_else(|| format!("r1-hostd at {}: not connected yet", self.socket.display())),
        })
    }

    /// True while r1-hostd is connected.
    pub fn is_connected(&self) -> bool {
        self.view().client.is_some()
    }

    /// The kernel hooks, by name; empty without r1-hostd.
    pub fn hooks(&self) -> BTreeMap<String, HookStatus> {
        self.view().hooks.clone()
    }

    /// What the machine is, if r1-hostd has told.
    pub fn facts(&self) -> Option<NodeFacts> {
        self.view().facts.clone()
    }

    /// What does not work here, one line each.
    pub fn degraded(&self) -> Vec<String> {
        let view = self.view();
        let mut lines = Vec::new();
        if view.client.is_none() {
            let why = view.error.clone().unwrap_or_else(|| "not connected yet".into());
            lines.push(format!(
                "host: {why}: no containers, and heartbeats carry /proc evidence only; start r1-hostd"
            ));
        }
        for degraded in view.facts.iter().flat_map(|facts| &facts.degraded) {
            let remedy = if degraded.remedy.is_empty() {
                String::new()
            } else {
                format!("; {}", degraded.remedy)
            };
            lines.push(format!("{}: {}{remedy}", degraded.what, degraded.why));
        }
        for (name, hook) in &view.hooks {
            if !hook.attached {
                lines.push(format!("hook {name}: {}", hook.detail));
            }
        }
        lines
    }

    /// Evidence for a heartbeat: r1-hostd's if it answers within `limit`, else what this process can read itself.
    pub async fn evidence(&self, limit: Duration) -> Evidence {
        let Ok(client) = self.client() else {
            return self.own_evidence();
        };
        match timeout(limit, client.measurements()).await {
            Ok(Ok(measured)) => {
                self.view().hooks = measured.hooks;
                from_host(measured.evidence)
            }
            _ => self.own_evidence(),
        }
    }

    fn own_evidence(&self) -> Evidence {
        let nanoseconds = |clock| {
            clock_gettime(clock).map_or(0, |time| {
                let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
                seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
            })
        };
        Evidence {
            boot_id: self.boot_id.to_string(),
            source: Source::Proc,
            boottime_ns: nanoseconds(ClockId::CLOCK_BOOTTIME),
            monotonic_ns: nanoseconds(ClockId::CLOCK_MONOTONIC),
            since_ms: self.since_ms,
            ..Evidence::default()
        }
    }
}

fn from_host(evidence: r1_host_api::Evidence) -> Evidence {
    Evidence {
        boot_id: evidence.boot_id,
        source: match evidence.source {
            EvidenceSource::Bpf => Source::Bpf,
            EvidenceSource::Proc => Source::Proc,
        },
        boottime_ns: evidence.boottime_ns,
        monotonic_ns: evidence.monotonic_ns,
        ticks: evidence.ticks,
        max_gap_ns: evidence.max_gap_ns,
        gaps: evidence.gaps,
        gap_total_ns: evidence.gap_total_ns,
        suspended_ns: evidence.suspended_ns,
        since_ms: evidence.since_ms,
    }
}
