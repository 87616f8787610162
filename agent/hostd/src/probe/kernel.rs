//! The kernel's side: loads the object, attaches each program on its own, reads the maps.

use std::{
    error::Error,
    fs::File,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    Btf, Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues, RingBuf},
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, PerfEvent, ProgramError, TracePoint,
        cgroup_skb::CgroupSkbLink,
        perf_event::{PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    util::{nr_cpus, online_cpus},
};
use r1_ebpf_common::{Beat, Config, Machine, Running, Usage as Row};

use super::{
    error::ProbeError,
    hooks::{HEARTBEAT, HOOKS, Hook, HookState, NET_EGRESS, NET_INGRESS, Plain, Rung},
    offsets,
    stats::ProgramStats,
    tracefs::with_tracefs,
};

/// The programs, built by `cargo xtask ebpf`.
static OBJECT: &[u8] = include_bytes_aligned!("../../../../ebpf/prebuilt/r1.bpf.o");
/// Ticks of the heartbeat, per second and CPU.
const TICK_HZ: u64 = 1;
/// A reason is cut to this length: a verifier log can have megabytes.
const MAX_REASON: usize = 400;

/// Loaded programs and their maps. Dropping it detaches and unloads everything.
pub struct Kernel {
    programs: Ebpf,
    usage: PerCpuHashMap<MapData, u64, Row>,
    running: PerCpuArray<MapData, Running>,
    beat: PerCpuArray<MapData, Beat>,
    machine: Array<MapData, Machine>,
    beats: Vec<PerfEventLinkId>,
    cpus: usize,
}

/// The ring buffers.
pub struct Rings {
    /// Gaps and out-of-memory kills; readable when there is one.
    pub events: RingBuf<MapData>,
    /// Started programs; has to be looked at from time to time.
    pub execs: RingBuf<MapData>,
}

/// What [`Kernel::load`] brings up.
pub struct Loaded {
    /// Programs and maps.
    pub kernel: Kernel,
    /// What the programs tell.
    pub rings: Rings,
    /// One state per hook.
    pub hooks: Vec<HookState>,
}

impl Kernel {
    /// Loads the object and attaches what can be attached. Needs CAP_BPF and CAP_PERFMON, CAP_NET_ADMIN for the
    /// packet meters, CAP_SYS_ADMIN for classic tracepoints where tracefs is not mounted.
    ///
    /// # Errors
    /// If nothing at all can run: no right to create maps, a kernel without ring buffers.
    pub fn load(gap_threshold_ns: u64, use_btf: bool) -> Result<Loaded, ProbeError> {
        let (offsets, btf) = types(use_btf);
        let mut config = offsets.unwrap_or_default();
        config.gap_threshold_ns = gap_threshold_ns;
        let mut loader = EbpfLoader::new();
        let mut programs = loader
            .override_global("CONFIG", &config, true)
            .load(OBJECT)
            .map_err(|e| ProbeError::Object(chain(&e)))?;
        drop(loader);
        let rings = Rings {
            events: RingBuf::try_from(take(&mut programs, "EVENTS")?).map_err(map_error)?,
            execs: RingBuf::try_from(take(&mut programs, "EXECS")?).map_err(map_error)?,
        };
        let mut kernel = Self {
            usage: PerCpuHashMap::try_from(take(&mut programs, "USAGE")?).map_err(map_error)?,
            running: PerCpuArray::try_from(take(&mut programs, "RUNNING")?).map_err(map_error)?,
            beat: PerCpuArray::try_from(take(&mut programs, "BEAT")?).map_err(map_error)?,
            machine: Array::try_from(take(&mut programs, "MACHINE")?).map_err(map_error)?,
            programs,
            beats: Vec::new(),
            cpus: nr_cpus().map_err(|(file, e)| ProbeError::Object(format!("{file}: {e}")))?,
        };
        let hooks = HOOKS.iter().map(|hook| kernel.raise(hook, &btf)).collect();
        Ok(Loaded { kernel, rings, hooks })
    }

    /// Climbs down the ladder until a rung holds.
    fn raise(&mut self, hook: &Hook, btf: &Result<Btf, String>) -> HookState {
        let reason = match (self.attach(hook, btf), &hook.plain) {
            (Ok(()), _) => return hook.served(),
            (Err(reason), None) => reason,
            (Err(reason), Some(plain)) => match self.attach_plain(hook.name, plain) {
                Ok(()) => return hook.plain(&reason),
                Err(e) => format!("{reason}; tracepoint: {}", chain(&e)),
            },
        };
        hook.degraded(&reason)
    }

    fn attach(&mut self, hook: &Hook, btf: &Result<Btf, String>) -> Result<(), String> {
        let attached = match hook.best {
            Rung::TpBtf => {
                let btf = btf.as_ref().map_err(Clone::clone)?;
                self.attach_typed(hook.name, btf)
            }
            Rung::PerfEvent => self
                .program::<PerfEvent>(hook.name)
                .and_then(PerfEvent::load)
                .and_then(|()| self.start_beats()),
            _ => self.program::<CgroupSkb>(hook.name).and_then(CgroupSkb::load),
        };
        attached.map_err(|e| chain(&e))
    }

    fn attach_typed(&mut self, name: &str, btf: &Btf) -> Result<(), ProgramError> {
        let program: &mut BtfTracePoint = self.program(name)?;
        program.load(name, btf)?;
        program.attach().map(drop)
    }

    fn attach_plain(&mut self, event: &str, plain: &Plain) -> Result<(), ProgramError> {
        let program: &mut TracePoint = self.program(plain.program)?;
        program.load()?;
        let attach = || program.attach(plain.category, event).map(drop);
        with_tracefs(attach).unwrap_or(Err(ProgramError::NotAttached))
    }

    fn program<'a, P>(&'a mut self, name: &str) -> Result<&'a mut P, ProgramError>
    where
        &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
    {
        self.programs
            .program_mut(name)
            .ok_or(ProgramError::NotLoaded)?
            .try_into()
    }

    /// Starts the tick on every CPU that is online.
    pub fn start_beats(&mut self) -> Result<(), ProgramError> {
        let cpus = online_cpus().map_err(|(_, io_error)| aya::sys::SyscallError {
            call: "online cpus",
            io_error,
        })?;
        for cpu in cpus {
            let link = self.program::<PerfEvent>(HEARTBEAT)?.attach(
                PerfEventConfig::Software(SoftwareEvent::CpuClock),
                PerfEventScope::AllProcessesOneCpu { cpu },
                SamplePolicy::Frequency(TICK_HZ),
                false,
            )?;
            self.beats.push(link);
        }
        Ok(())
    }

    /// Stops the tick on every CPU.
    pub fn stop_beats(&mut self) -> Result<(), ProgramError> {
        for link in std::mem::take(&mut self.beats) {
            self.program::<PerfEvent>(HEARTBEAT)?.detach(link)?;
        }
        Ok(())
    }

    /// Attaches one of the two packet meters to a cgroup; it stays until the link is dropped.
    pub fn meter_packets(
        &mut self,
        hook: &'static str,
        cgroup: &File,
    ) -> Result<CgroupSkbLink, ProgramError> {
        let direction = match hook {
            NET_INGRESS => CgroupSkbAttachType::Ingress,
            NET_EGRESS => CgroupSkbAttachType::Egress,
            _ => return Err(ProgramError::UnexpectedProgramType),
        };
        let program: &mut CgroupSkb = self.program(hook)?;
        let id = program.attach(cgroup, direction, CgroupAttachMode::Single)?;
        program.take_link(id)
    }

    /// Begins to meter a cgroup.
    pub fn open_row(&mut self, cgroup: u64) -> Result<(), MapError> {
        self.usage
            .insert(cgroup, PerCpuValues::try_from(vec![Row::ZERO; self.cpus])?, 0)
    }

    /// Ends metering a cgroup.
    pub fn close_row(&mut self, cgroup: u64) {
        // The row may be gone already; there is nothing left to do then.
        let _ = self.usage.remove(&cgroup);
    }

    /// What each CPU has counted for a cgroup.
    pub fn row(&self, cgroup: u64) -> Result<PerCpuValues<Row>, MapError> {
        self.usage.get(&cgroup, 0)
    }

    /// What runs on each CPU.
    pub fn running(&self) -> Result<PerCpuValues<Running>, MapError> {
        self.running.get(&0, 0)
    }

    /// The ticks: of the machine, and of each CPU.
    pub fn beats(&self) -> Result<(Machine, PerCpuValues<Beat>), MapError> {
        Ok((self.machine.get(&0, 0)?, self.beat.get(&0, 0)?))
    }

    /// Statistics of the programs that are loaded.
    pub fn stats(&self) -> Vec<ProgramStats> {
        let of = |(name, program): (&str, &aya::programs::Program)| {
            ProgramStats::of_fd(name, program.fd().ok()?.as_fd().as_raw_fd())
        };
        let mut stats: Vec<_> = self.programs.programs().filter_map(of).collect();
        stats.sort_by(|a, b| a.name.cmp(&b.name));
        stats
    }
}

/// Offsets and types of the running kernel, or why there are none. All or nothing: the tick's program has to know
/// which of the two kinds of meters runs beside it.
fn types(use_btf: bool) -> (Option<Config>, Result<Btf, String>) {
    if !use_btf {
        return (None, Err("BTF is switched off".to_owned()));
    }
    match (offsets::of_running_kernel(), Btf::from_sys_fs()) {
        (Ok(offsets), Ok(btf)) => (Some(offsets), Ok(btf)),
        (Err(e), _) => (None, Err(chain(&e))),
        (_, Err(e)) => (None, Err(chain(&e))),
    }
}

fn take(programs: &mut Ebpf, name: &str) -> Result<aya::maps::Map, ProbeError> {
    programs
        .take_map(name)
        .ok_or_else(|| ProbeError::Object(format!("no map {name}")))
}

fn map_error(e: MapError) -> ProbeError {
    ProbeError::Object(chain(&e))
}

/// The error and its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let part = e.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = e.source();
    }
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let count = line.chars().count();
    if count <= MAX_REASON {
        return line;
    }
    // A verifier log says at its end what is wrong.
    let head: String = line.chars().take(MAX_REASON / 4).collect();
    let tail: String = line.chars().skip(count - MAX_REASON * 3 / 4).collect();
    format!("{head} … {tail}")
}
