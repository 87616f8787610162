//! Time and memory of this process.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use r1_r1fs::cid;
use serde_json::{Value, json};

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(5);
/// Bytes that are hashed at a time: a chunk of a file.
const CHUNK: usize = 256 << 10;

/// User and system time of this process, seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    // Fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// Wall and CPU time of a piece of work.
pub struct Timer {
    start: Instant,
    cpu: f64,
}

impl Timer {
    /// Begins.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            cpu: cpu(),
        }
    }

    /// What has passed.
    pub fn figures(&self) -> Value {
        json!({ "wall_s": self.start.elapsed().as_secs_f64(), "cpu_s": cpu() - self.cpu })
    }
}

/// A line of /proc/self/status, bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Resident memory from now on.
pub struct Memory {
    idle: u64,
    idle_anon: u64,
    anon: Arc<AtomicU64>,
}

impl Memory {
    /// What there is now is idle; watches from here on.
    pub fn watch() -> Self {
        let idle_anon = status("RssAnon:");
        let anon = Arc::new(AtomicU64::new(idle_anon));
        let seen = Arc::clone(&anon);
        thread::spawn(move || {
            loop {
                seen.fetch_max(status("RssAnon:"), Ordering::Relaxed);
                thread::sleep(SAMPLE);
            }
        });
        Self {
            idle: status("VmRSS:"),
            idle_anon,
            anon,
        }
    }

    /// Peaks so far. `peak` counts pages of the index that the kernel keeps in its cache too, `anon` does not.
    pub fn figures(&self) -> Value {
        json!({
            "idle": self.idle,
            "peak_above_idle": status("VmHWM:").saturating_sub(self.idle),
            "anon_above_idle": self.anon.load(Ordering::Relaxed).saturating_sub(self.idle_anon),
        })
    }
}

/// Hashes a file chunk by chunk, on one thread.
pub fn hash(path: &Path) -> io::Result<Value> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    let timer = Timer::start();
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        bytes += read;
        std::hint::black_box(cid::v1(cid::RAW, &chunk[..read]));
    }
    let mut figures = timer.figures();
    figures["bytes"] = json!(bytes);
    Ok(figures)
}
