//! What the probes cost: `cargo run --release -p r1-hostd --example bench_probe -- [--json] [--rounds N] [--trips N]`.
//!
//! Two threads on one CPU send a byte to and fro through pipes, which is little but context switches: the worst case.
//! It runs without probes, with probes, and with probes while the threads are in a metered cgroup, one after the other
//! in each round, so that a change of the machine's mood hits all three; medians are compared. Afterwards the kernel's
//! own statistics give nanoseconds per run of each program (the statistics add some of their own). Needs root.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::resource::{UsageWho, getrusage},
    unistd::Pid,
};
use r1_hostd::probe::{Probe, ProbeConfig, Rung, SCHED_SWITCH, enable_stats};
use serde_json::json;

/// The programs that run at each switch.
const HOT: [&str; 2] = ["sched_switch", "sched_wakeup"];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| match args.iter().position(|a| a == name) {
        Some(at) => args
            .get(at + 1)
            .context("number missing")?
            .parse()
            .with_context(|| name.to_owned()),
        None => Ok(default),
    };
    let (rounds, trips) = (number("--rounds", 9)?.max(1), number("--trips", 20_000)?.max(1));
    pin()?;
    let mut runs = Runs::default();
    for _ in 0..rounds {
        runs.round(trips)?;
    }
    let costs = [costs(trips, false)?, costs(trips, true)?];
    if args.iter().any(|a| a == "--json") {
        println!("{}", report(rounds, trips, &runs, &costs));
    } else {
        print(rounds, trips, &runs, &costs);
    }
    Ok(())
}

/// One measured run, microseconds per round trip.
#[derive(Clone, Copy)]
struct Cost {
    wall_us: f64,
    cpu_us: f64,
}

/// Runs of the three variants.
#[derive(Default)]
struct Runs {
    base: Vec<Cost>,
    probed: Vec<Cost>,
    metered: Vec<Cost>,
}

impl Runs {
    fn round(&mut self, trips: usize) -> Result<()> {
        self.base.push(ping_pong(trips)?);
        let probe = started()?;
        self.probed.push(ping_pong(trips)?);
        let leaf = Leaf::enter(&probe)?;
        self.metered.push(ping_pong(trips)?);
        drop(leaf);
        Ok(())
    }
}

fn started() -> Result<Probe> {
    let probe = Probe::start(ProbeConfig::default());
    match probe.hook_states().into_iter().find(|h| h.hook == SCHED_SWITCH) {
        Some(h) if h.rung == Rung::TpBtf => Ok(probe),
        Some(h) => bail!("{}: {}", h.hook, h.detail),
        None => bail!("no hook {SCHED_SWITCH}"),
    }
}

/// Keeps both threads on one CPU; otherwise the wake-up of an idle CPU is what is measured.
fn pin() -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("sched_getaffinity")?;
    let cpu = (0..CpuSet::count())
        .rev()
        .find(|c| allowed.is_set(*c).unwrap_or(false))
        .context("no CPU")?;
    let mut one = CpuSet::new();
    one.set(cpu).context("CPU set")?;
    sched_setaffinity(Pid::from_raw(0), &one).context("sched_setaffinity")
}

fn ping_pong(trips: usize) -> Result<Cost> {
    let (mut here_in, mut there_out) = std::io::pipe()?;
    let (mut there_in, mut here_out) = std::io::pipe()?;
    let other = thread::spawn(move || -> std::io::Result<()> {
        let mut byte = [0];
        while there_in.read(&mut byte)? == 1 {
            there_out.write_all(&byte)?;
        }
        Ok(())
    });
    let (wall, cpu) = (Instant::now(), cpu_us()?);
    for _ in 0..trips {
        here_out.write_all(&[1])?;
        here_in.read_exact(&mut [0])?;
    }
    let (wall, cpu) = (wall.elapsed().as_secs_f64() * 1e6, cpu_us()? - cpu);
    drop(here_out);
    other.join().ok().context("the other thread panicked")??;
    Ok(Cost {
        wall_us: wall / trips as f64,
        cpu_us: cpu / trips as f64,
    })
}

fn cpu_us() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let us = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 * 1e6 + t.tv_usec() as f64;
    Ok(us(usage.user_time()) + us(usage.system_time()))
}

/// A metered cgroup with this process in it; left and removed on drop.
struct Leaf {
    path: PathBuf,
    home: PathBuf,
}

impl Leaf {
    fn enter(probe: &Probe) -> Result<Self> {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let root = roots
            .into_iter()
            .find(|r| r.join("cgroup.procs").exists())
            .context("no cgroup2 hierarchy")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own
            .lines()
            .find_map(|l| l.strip_prefix("0::/"))
            .context("no cgroup2 in /proc/self/cgroup")?;
        let leaf = Self {
            path: root.join(format!("r1bench-{}", std::process::id())),
            home: root.join(own),
        };
        fs::create_dir(&leaf.path).with_context(|| leaf.path.display().to_string())?;
        probe.watch_cgroup(&leaf.path)?;
        fs::write(leaf.path.join("cgroup.procs"), "0")?;
        Ok(leaf)
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        let left = fs::write(self.home.join("cgroup.procs"), "0").and_then(|()| fs::remove_dir(&self.path));
        if let Err(e) = left {
            eprintln!("{}: {e}", self.path.display());
        }
    }
}

/// Mean nanoseconds of each hot program by the kernel's statistics.
fn costs(trips: usize, metered: bool) -> Result<[f64; 2]> {
    let probe = started()?;
    let leaf = if metered { Some(Leaf::enter(&probe)?) } else { None };
    let stats = enable_stats()?;
    let before = probe.program_stats();
    ping_pong(trips)?;
    let after = probe.program_stats();
    drop((stats, leaf));
    let mean = |name: &str| {
        let find = |list: &[r1_hostd::probe::ProgramStats]| list.iter().find(|s| s.name == name).cloned();
        let (a, b) = (find(&after)?, find(&before)?);
        let runs = a.run_cnt.checked_sub(b.run_cnt).filter(|n| *n > 0)?;
        Some((a.run_time_ns - b.run_time_ns) as f64 / runs as f64)
    };
    let of = |name| mean(name).with_context(|| format!("{name} did not run"));
    Ok([of(HOT[0])?, of(HOT[1])?])
}

fn median(runs: &[Cost], part: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(part).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `[wall, cpu]` medians and their ratios to the base.
fn summary(runs: &Runs, variant: &[Cost]) -> [f64; 4] {
    let (wall, cpu) = (median(variant, |c| c.wall_us), median(variant, |c| c.cpu_us));
    [
        wall,
        cpu,
        wall / median(&runs.base, |c| c.wall_us),
        cpu / median(&runs.base, |c| c.cpu_us),
    ]
}

fn report(rounds: usize, trips: usize, runs: &Runs, costs: &[[f64; 2]; 2]) -> serde_json::Value {
    let ping_pong = |variant: &[Cost]| {
        let [wall, cpu, wall_ratio, cpu_ratio] = summary(runs, variant);
        json!({ "wall_us": wall, "cpu_us": cpu, "wall_ratio": wall_ratio, "cpu_ratio": cpu_ratio })
    };
    json!({
        "rounds": rounds,
        "round_trips": trips,
        "sched_switch_ns": { "unmetered": costs[0][0], "metered": costs[1][0] },
        "sched_wakeup_ns": { "unmetered": costs[0][1], "metered": costs[1][1] },
        "ping_pong": {
            "base": ping_pong(&runs.base),
            "probes": ping_pong(&runs.probed),
            "metered": ping_pong(&runs.metered),
        },
    })
}

fn print(rounds: usize, trips: usize, runs: &Runs, costs: &[[f64; 2]; 2]) {
    println!(
        "{:<34}{:>12}{:>12}",
        "ns per run (kernel statistics)", "unmetered", "metered"
    );
    for (i, name) in HOT.iter().enumerate() {
        println!("{name:<34}{:>12.0}{:>12.0}", costs[0][i], costs[1][i]);
    }
    println!(
        "\npipe ping-pong on one CPU, µs per round trip, medians of {rounds} interleaved runs of {trips}"
    );
    println!(
        "{:<22}{:>10}{:>10}{:>12}{:>12}",
        "", "wall", "cpu", "wall ratio", "cpu ratio"
    );
    for (name, variant) in [
        ("without probes", &runs.base),
        ("with probes", &runs.probed),
        ("with probes, metered", &runs.metered),
    ] {
        let [wall, cpu, wall_ratio, cpu_ratio] = summary(runs, variant);
        println!("{name:<22}{wall:>10.2}{cpu:>10.2}{wall_ratio:>12.3}{cpu_ratio:>12.3}");
    }
}
