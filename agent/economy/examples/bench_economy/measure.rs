//! Wall time, processor time and memory of steps.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use serde_json::{Value, json};

use crate::Result;

/// One measured step.
pub struct Step {
    name: &'static str,
    /// How many things it did.
    count: u64,
    wall_ns: u128,
    cpu_us: i64,
    /// Memory that it allocated and did not give back, or gave back, bytes.
    grown: i64,
    /// Most memory that was allocated during the step, bytes.
    peak: usize,
}

impl Step {
    /// For the report.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "count": self.count,
            "wall_s": self.wall_ns as f64 / 1e9,
            "cpu_s": self.cpu_us as f64 / 1e6,
            "grown_bytes": self.grown,
            "peak_bytes": self.peak,
        })
    }
}

/// The steps so far.
#[derive(Default)]
pub struct Meter {
    pub steps: Vec<Step>,
}

impl Meter {
    /// Measures a step that does `count` things.
    pub fn step<T>(&mut self, name: &'static str, count: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let held = HELD.load(Relaxed);
        PEAK.store(held, Relaxed);
        let (cpu, begun) = (cpu_us()?, Instant::now());
        let done = black_box(work()?);
        let (wall_ns, cpu_us) = (begun.elapsed().as_nanos(), cpu_us()? - cpu);
        self.steps.push(Step {
            name,
            count,
            wall_ns,
            cpu_us,
            grown: i64::try_from(HELD.load(Relaxed))? - i64::try_from(held)?,
            peak: PEAK.load(Relaxed),
        });
        Ok(done)
    }
}

/// Time on a processor so far, microseconds; this program has one thread.
fn cpu_us() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds())
}

/// Bytes that are allocated now.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// Most bytes that were allocated since the step began.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted. The kernel's own figures would tell of memory that was given back, but not to it.
/// There is one thread, so the counters are read and written without locking the bus.
struct Counted;

impl Counted {
    fn count(given: usize, back: usize) {
        let held = HELD.load(Relaxed).wrapping_add(given).wrapping_sub(back);
        HELD.store(held, Relaxed);
        PEAK.store(PEAK.load(Relaxed).max(held), Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Self::count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;
