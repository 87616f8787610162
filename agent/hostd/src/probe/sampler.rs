//! The one thread of the probe: a tick a second, and the kernel's events.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use r1_ebpf_common::{EVENT_EXEC, EVENT_GAP, EVENT_OOM, Event};
use r1_host_api::Gap;

use super::{
    clock::Clocks,
    heartbeat::{Sampler, kernel_gap},
    kernel::Rings,
};

/// Started programs that are passed on per tick; more wait in the kernel, or are counted as lost there.
const EXECS_PER_TICK: usize = 512;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeEvent {
    /// A time without ticks, or a set wall clock.
    Gap(Gap),
    /// The out-of-memory killer chose a process.
    Oom {
        /// Cgroup v2 id; `None` on kernels before 6.8, which do not tell.
        cgroup: Option<u64>,
        /// The process.
        pid: u32,
    },
    /// A program was started in a watched cgroup.
    Exec {
        /// Cgroup v2 id.
        cgroup: u64,
        /// The process.
        pid: u32,
        /// Its name, at most 15 bytes.
        comm: String,
    },
}

/// What the thread shares with the probe.
#[derive(Debug)]
pub struct Shared {
    /// The user-space tick.
    pub sampler: Mutex<Sampler>,
    /// Events that found the queue full.
    pub dropped: AtomicU64,
}

/// What the thread owns.
pub struct Loop {
    pub rings: Option<Rings>,
    pub stop: OwnedFd,
    pub tick: Duration,
    pub queue: SyncSender<ProbeEvent>,
    pub shared: Arc<Shared>,
}

impl Loop {
    /// Runs until a byte arrives at `stop` or its other end is closed.
    pub fn run(mut self) {
        let tick_ns = u64::try_from(self.tick.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut next = Clocks::now().mono_ns;
        loop {
            let now = Clocks::now();
            self.drain(now);
            if now.mono_ns >= next {
                self.drain_execs(now);
                self.sample(now);
                next += tick_ns * ((now.mono_ns - next) / tick_ns + 1);
            }
            if self.wait(next.saturating_sub(Clocks::now().mono_ns)) {
                return;
            }
        }
    }

    /// Waits for the next tick or event; true if it is time to end.
    fn wait(&self, ns: u64) -> bool {
        // Rounded up, or the loop would spin during the last millisecond.
        let timeout = PollTimeout::try_from(ns.div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        if let Some(rings) = &self.rings {
            fds.push(PollFd::new(rings.events.as_fd(), PollFlags::POLLIN));
        }
        // An interrupted poll is a short wait.
        let _ = poll(&mut fds, timeout);
        fds[0].revents().is_some_and(|r| !r.is_empty())
    }

    fn sample(&self, now: Clocks) {
        let gaps = self
            .shared
            .sampler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .tick(now);
        for gap in gaps {
            self.send(ProbeEvent::Gap(gap));
        }
    }

    fn drain(&mut self, now: Clocks) {
        let Some(mut rings) = self.rings.take() else {
            return;
        };
        while let Some(event) = next(&mut rings.events) {
            self.accept(event, now);
        }
        self.rings = Some(rings);
    }

    /// Takes a bounded number, so that starting programs in a loop cannot keep this thread busy.
    fn drain_execs(&mut self, now: Clocks) {
        let Some(mut rings) = self.rings.take() else {
            return;
        };
        for _ in 0..EXECS_PER_TICK {
            let Some(event) = next(&mut rings.execs) else {
                break;
            };
            self.accept(event, now);
        }
        self.rings = Some(rings);
    }

    fn accept(&self, event: Event, now: Clocks) {
        match event.kind {
            EVENT_GAP => {
                let mut sampler = self.shared.sampler.lock().unwrap_or_else(PoisonError::into_inner);
                sampler.kernel_gap(event.to_boot_ns);
                drop(sampler);
                let gap = kernel_gap(now, event.from_boot_ns, event.to_boot_ns, event.suspended_ns);
                self.send(ProbeEvent::Gap(gap));
            }
            EVENT_OOM => {
                let cgroup = (event.cgroup != 0).then_some(event.cgroup);
                self.send(ProbeEvent::Oom {
                    cgroup,
                    pid: event.id,
                });
            }
            EVENT_EXEC => {
                let name: Vec<u8> = event.comm.into_iter().take_while(|b| *b != 0).collect();
                let comm = String::from_utf8_lossy(&name).into_owned();
                self.send(ProbeEvent::Exec {
                    cgroup: event.cgroup,
                    pid: event.id,
                    comm,
                });
            }
            _ => {}
        }
    }

    fn send(&self, event: ProbeEvent) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(event) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn next(ring: &mut RingBuf<MapData>) -> Option<Event> {
    decode(&ring.next()?)
}

fn decode(bytes: &[u8]) -> Option<Event> {
    let word = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk::<8>()
            .map(|b| u64::from_ne_bytes(*b))
    };
    let half = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk::<4>()
            .map(|b| u32::from_ne_bytes(*b))
    };
    Some(Event {
        kind: half(0)?,
        id: half(4)?,
        cgroup: word(8)?,
        from_boot_ns: word(16)?,
        to_boot_ns: word(24)?,
        suspended_ns: word(32)?,
        comm: *bytes.get(40..)?.first_chunk()?,
    })
}
