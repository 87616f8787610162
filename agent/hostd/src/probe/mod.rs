//! Kernel probes: evidence that the machine was up, use per container, and events.
//!
//! BPF programs (see `ebpf/programs`) do the measuring. Where they cannot run, each of them is replaced by the next
//! rung of a ladder, on its own: files of the cgroup, the clocks read by a thread, or nothing. [`Probe::start`]
//! therefore never fails; [`Probe::hooks`] says for each hook how it is served, why, and what to do about it.
//!
//! Everything is blocking and takes microseconds to milliseconds. Dropping the [`Probe`] detaches and unloads all
//! programs; nothing is pinned.
//!
//! Privileges: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (CAP_SYS_ADMIN before Linux 5.8). Kernel: 6.1 or newer with BTF
//! for all programs.
//!
//! What this is worth: evidence, not proof. The machine's owner can forge it, and a pause of a virtual machine that
//! stops the guest's clocks too is invisible from inside.

mod btf;
mod clock;
mod error;
mod heartbeat;
mod hooks;
mod kernel;
mod meter;
mod metrics;
mod offsets;
mod sampler;
mod stats;
mod tracefs;

use std::{
    collections::BTreeMap,
    fs,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::unistd::pipe2;
use r1_host_api::{Evidence, EvidenceSource, HookStatus};

use self::{
    clock::Clocks,
    heartbeat::{Sampler, Ticks},
    hooks::HOOKS,
    kernel::{Kernel, Loaded},
    meter::{Meter, Served},
    sampler::{Loop, Shared},
};
pub use self::{
    error::ProbeError,
    hooks::{HEARTBEAT, HookState, NET_EGRESS, NET_INGRESS, Rung, SCHED_SWITCH},
    meter::Usage,
    sampler::ProbeEvent,
    stats::ProgramStats,
};

/// How the probe works.
#[derive(Debug, Clone)]
pub struct ProbeConfig {
    /// A time without ticks above this is a gap. Default 3 s; the kernel ticks once a second.
    pub gap_threshold: Duration,
    /// Interval of the user-space tick. Default 1 s.
    pub tick: Duration,
    /// Events kept until they are received; what does not fit is counted and dropped. Default 1024.
    pub event_queue: usize,
    /// False: do not use BPF at all.
    pub bpf: bool,
    /// False: do as on a kernel without BTF.
    pub btf: bool,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            gap_threshold: Duration::from_secs(3),
            tick: Duration::from_secs(1),
            event_queue: 1024,
            bpf: true,
            btf: true,
        }
    }
}

/// The running probe.
pub struct Probe {
    inner: Mutex<Inner>,
    shared: Arc<Shared>,
    events: Mutex<Option<Receiver<ProbeEvent>>>,
    boot_id: String,
    since: Clocks,
    /// Closing it ends the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    kernel: Option<Kernel>,
    hooks: Vec<HookState>,
    meter: Meter,
}

impl Probe {
    /// Loads and attaches what this kernel and these privileges allow, and starts the thread. Takes about half a
    /// second and, for its time, tens of megabytes of memory (the kernel's type information), all given back.
    #[must_use]
    pub fn start(config: ProbeConfig) -> Self {
        let since = Clocks::now();
        let threshold_ns = u64::try_from(config.gap_threshold.as_nanos()).unwrap_or(u64::MAX);
        let (kernel, rings, hooks) = match load(&config, threshold_ns) {
            Ok(loaded) => (Some(loaded.kernel), Some(loaded.rings), loaded.hooks),
            Err(reason) => (None, None, HOOKS.iter().map(|h| h.degraded(&reason)).collect()),
        };
        give_back_memory();
        let beats = hooks
            .iter()
            .any(|h| h.hook == HEARTBEAT && h.rung == Rung::PerfEvent);
        let shared = Arc::new(Shared {
            sampler: Mutex::new(Sampler::new(threshold_ns, beats)),
            dropped: AtomicU64::new(0),
        });
        let (queue, events) = sync_channel(config.event_queue.max(1));
        let mut probe = Self {
            inner: Mutex::new(Inner {
                kernel,
                hooks,
                meter: Meter::default(),
            }),
            shared: Arc::clone(&shared),
            events: Mutex::new(Some(events)),
            boot_id: boot_id(),
            since,
            stop: None,
            thread: None,
        };
        if let Ok((stop, closing)) = pipe2(nix::fcntl::OFlag::O_CLOEXEC) {
            let work = Loop {
                rings,
                stop,
                tick: config.tick,
                queue,
                shared,
            };
            probe.thread = std::thread::Builder::new()
                .name("r1-probe".to_owned())
                .stack_size(THREAD_STACK)
                .spawn(move || work.run())
                .ok();
            probe.stop = Some(closing);
        }
        probe
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a heartbeat should carry now.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let now = Clocks::now();
        let (source, ticks) = self.ticks();
        Evidence {
            boot_id: self.boot_id.clone(),
            source,
            boottime_ns: now.boot_ns,
            monotonic_ns: now.mono_ns,
            ticks: ticks.ticks,
            max_gap_ns: ticks.max_gap_now(now.boot_ns),
            gaps: ticks.gaps,
            gap_total_ns: ticks.gap_total_ns,
            suspended_ns: now.suspended_ns().saturating_sub(self.since.suspended_ns()),
            since_ms: self.since.wall_ms(self.since.boot_ns),
        }
    }

    fn ticks(&self) -> (EvidenceSource, Ticks) {
        let inner = self.inner();
        let maps = inner
            .kernel
            .as_ref()
            .filter(|_| inner.serves(HEARTBEAT))
            .and_then(|k| k.beats().ok());
        if let Some((machine, beats)) = maps {
            return (EvidenceSource::Bpf, Ticks::from_maps(&machine, &beats));
        }
        drop(inner);
        (
            EvidenceSource::Proc,
            self.shared
                .sampler
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .ticks,
        )
    }

    /// Begins to watch a folder of the cgroup v2 hierarchy and returns its id. CPU time from before is included, as
    /// the cgroup's file tells it; everything else counts from now. Packets are metered too where that can be done. Watching it again changes nothing. The meters count what
    /// the folder itself holds, not folders inside it.
    ///
    /// # Errors
    /// If the folder cannot be opened or is not of cgroup v2. A missing meter is no error, see [`Usage::source`].
    pub fn watch_cgroup(&self, path: &Path) -> Result<u64, ProbeError> {
        let mut inner = self.inner();
        let packets: Vec<_> = [NET_INGRESS, NET_EGRESS]
            .into_iter()
            .filter(|h| inner.serves(h))
            .collect();
        let served = Served {
            cpu: inner.serves(SCHED_SWITCH),
            packets: &packets,
        };
        let Inner { kernel, meter, hooks } = &mut *inner;
        let (id, refused) = meter.watch(path, kernel.as_mut(), served)?;
        for (hook, reason) in refused {
            let known = HOOKS.iter().find(|h| h.name == hook);
            let state = hooks.iter_mut().find(|h| h.hook == hook);
            if let (Some(known), Some(state)) = (known, state) {
                *state = known.degraded(&reason);
            }
        }
        Ok(id)
    }

    /// Ends watching a cgroup and returns its last figures; `None` if it is not watched.
    pub fn unwatch(&self, cgroup: u64) -> Option<Usage> {
        let mut inner = self.inner();
        let Inner { kernel, meter, .. } = &mut *inner;
        meter.unwatch(cgroup, kernel.as_mut(), Clocks::now().mono_ns)
    }

    /// What a watched cgroup has used so far; `None` if it is not watched.
    #[must_use]
    pub fn usage(&self, cgroup: u64) -> Option<Usage> {
        let mut inner = self.inner();
        let Inner { kernel, meter, .. } = &mut *inner;
        meter.usage(cgroup, kernel.as_ref(), Clocks::now().mono_ns)
    }

    /// The receiver of events; `None` if it was taken before. It reports disconnection when the probe ends.
    pub fn events(&self) -> Option<Receiver<ProbeEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Events that were lost because a queue was full, in the kernel or here.
    #[must_use]
    pub fn dropped_events(&self) -> u64 {
        let kernel = self
            .inner()
            .kernel
            .as_ref()
            .and_then(|k| k.beats().ok())
            .map_or(0, |(m, _)| m.lost_events);
        kernel + self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How each hook is served.
    #[must_use]
    pub fn hook_states(&self) -> Vec<HookState> {
        self.inner().hooks.clone()
    }

    /// How each hook is served, as the contract with r1d has it.
    #[must_use]
    pub fn hooks(&self) -> BTreeMap<String, HookStatus> {
        hooks::statuses(&self.inner().hooks)
    }

    /// The kernel's statistics of the loaded programs.
    #[must_use]
    pub fn program_stats(&self) -> Vec<ProgramStats> {
        self.inner()
            .kernel
            .as_ref()
            .map(Kernel::stats)
            .unwrap_or_default()
    }

    /// Metrics of the probe in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        let (_, ticks) = self.ticks();
        let (dropped, stats) = (self.dropped_events(), self.program_stats());
        let inner = self.inner();
        metrics::render(&metrics::Figures {
            hooks: &inner.hooks,
            ticks,
            dropped,
            watched: inner.meter.len(),
            stats: &stats,
        })
    }

    /// Stops (`false`) or restarts (`true`) the kernel's tick, as a frozen machine would; for exercises of what
    /// follows from a gap.
    ///
    /// # Errors
    /// If there is no kernel tick, or the kernel refuses.
    pub fn set_heartbeat(&self, on: bool) -> Result<(), ProbeError> {
        let fail = |reason| ProbeError::Program {
            name: HEARTBEAT,
            reason,
        };
        let mut inner = self.inner();
        let kernel = inner
            .kernel
            .as_mut()
            .ok_or_else(|| fail("not loaded".to_owned()))?;
        let done = if on {
            kernel.start_beats()
        } else {
            kernel.stop_beats()
        };
        done.map_err(|e| fail(kernel::chain(&e)))
    }
}

impl Inner {
    fn serves(&self, hook: &str) -> bool {
        self.hooks.iter().any(|h| h.hook == hook && h.rung.is_bpf())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nobody to tell.
            let _ = thread.join();
        }
    }
}

/// Makes the kernel count time and runs of all BPF programs of the machine, until the result is dropped. Costs
/// some tens of nanoseconds per run. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// If the kernel refuses.
pub fn enable_stats() -> Result<OwnedFd, ProbeError> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|e| ProbeError::Stats(kernel::chain(&e)))
}

/// Bytes of stack of the thread.
const THREAD_STACK: usize = 128 * 1024;

fn load(config: &ProbeConfig, threshold_ns: u64) -> Result<Loaded, String> {
    if !config.bpf {
        return Err("BPF is switched off".to_owned());
    }
    Kernel::load(threshold_ns, config.btf).map_err(|e| kernel::chain(&e))
}

/// Reading the kernel's type information leaves a large free heap behind; a daemon that promises a small memory
/// hands it back.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions; glibc takes its own locks.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
