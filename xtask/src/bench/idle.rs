//! What the daemons cost while nothing happens, beside prometheus-node-exporter on the same machine.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::time::TimeValLike as _,
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use r1_localnet::{Network, Plan, request};
use serde_json::{Value, json};

use crate::{interrupt, programs};

/// The epoch of the main network: heartbeats every 10 s.
const EPOCH: Duration = Duration::from_secs(24 * 3600);
/// What passes before anything is measured: the first block, the first heartbeats.
const SETTLE: Duration = Duration::from_secs(20);
/// How long idleness is measured.
const WINDOW: Duration = Duration::from_secs(60);
/// Scrapes of each.
const SCRAPES: u32 = 200;
/// Budgets of SPECIFICATION.md: RSS in KiB, share of a core in percent, CPU of a scrape in milliseconds.
const R1D_RSS_KIB: u64 = 48 * 1024;
const HOSTD_RSS_KIB: u64 = 12 * 1024;
const IDLE_PERCENT: f64 = 0.3;
const SCRAPE_MS: f64 = 2.0;

/// One process's figures.
struct Figures {
    name: &'static str,
    rss_kib: u64,
    idle_percent: f64,
}

/// Measures and prints.
///
/// # Errors
/// What could not be started or read.
pub fn run(json: bool) -> Result<(), String> {
    let bin = programs::build(true)?;
    let dir = std::env::temp_dir().join(format!("r1-bench-idle-{}", std::process::id()));
    let result = measure(bin, dir.clone());
    // The network is ended; its folder holds nothing worth keeping.
    let _ = fs::remove_dir_all(dir);
    let report = result?;
    if json {
        println!("{report}");
    } else {
        print(&report);
    }
    Ok(())
}

fn measure(bin: PathBuf, dir: PathBuf) -> Result<Value, String> {
    let plan = Plan {
        dir,
        bin,
        oracles: 1,
        workers: 0,
        epoch: EPOCH,
    };
    interrupt::catch();
    let mut network =
        Network::start(&plan, &mut |line| eprintln!("{line}")).map_err(|error| error.to_string())?;
    let exporter = Exporter::start()?;
    eprintln!(
        "settling for {} s, then measuring for {} s",
        SETTLE.as_secs(),
        WINDOW.as_secs()
    );
    wait(SETTLE)?;
    let node = network.nodes.first_mut().ok_or("no node")?;
    let pid = |pid: Option<i32>| pid.ok_or("a daemon does not run");
    let (r1d, hostd) = (pid(node.r1d.pid())?, pid(node.hostd.pid())?);
    let processes = [
        ("r1d", r1d),
        ("r1-hostd", hostd),
        ("node-exporter", exporter.pid()?),
    ];
    let before = cpu_of(&processes)?;
    let begun = Instant::now();
    wait(WINDOW)?;
    let wall_ns = begun.elapsed().as_nanos() as f64;
    let after = cpu_of(&processes)?;
    let mut figures = Vec::new();
    for (index, (name, pid)) in processes.iter().enumerate() {
        let idle_percent = after[index].saturating_sub(before[index]) as f64 / wall_ns * 100.0;
        figures.push(Figures {
            name,
            rss_kib: rss_kib(*pid)?,
            idle_percent,
        });
    }
    let socket = node.layout.control_socket();
    let ours = scrape_ms(&[r1d, hostd], || {
        let answer = request(&socket, "GET", "/metrics", "").map_err(|error| error.to_string())?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(format!("/metrics answered {}", answer.status))
        }
    })?;
    let theirs = scrape_ms(&[exporter.pid()?], || exporter.scrape())?;
    let left = network.end();
    if !left.is_empty() {
        return Err(left.join("; "));
    }
    Ok(report(&figures, ours, theirs))
}

/// Sleeps, unless Ctrl-C ends the benchmark: then everything it started is ended on the way out.
fn wait(time: Duration) -> Result<(), String> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if interrupt::interrupted() {
            return Err("interrupted".into());
        }
        sleep(Duration::from_millis(200).min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

fn report(figures: &[Figures], ours: f64, theirs: f64) -> Value {
    let processes: Vec<Value> = figures
        .iter()
        .map(|figure| json!({ "name": figure.name, "rss_kib": figure.rss_kib, "idle_percent": figure.idle_percent }))
        .collect();
    json!({
        "processes": processes,
        "scrape_cpu_ms": { "r1d_and_hostd": ours, "node_exporter": theirs, "ratio": ours / theirs },
        "budgets": {
            "r1d_rss_kib": R1D_RSS_KIB, "hostd_rss_kib": HOSTD_RSS_KIB,
            "idle_percent": IDLE_PERCENT, "scrape_cpu_ms": SCRAPE_MS,
        },
        "window_s": WINDOW.as_secs(),
        "scrapes": SCRAPES,
    })
}

fn print(report: &Value) {
    println!(
        "{:<16} {:>12} {:>12} {:>16}",
        "PROCESS", "RSS MiB", "BUDGET MiB", "CPU % OF A CORE"
    );
    let budgets = [Some(R1D_RSS_KIB), Some(HOSTD_RSS_KIB), None];
    let mut together = 0.0;
    for (process, budget) in report["processes"].as_array().into_iter().flatten().zip(budgets) {
        let percent = process["idle_percent"].as_f64().unwrap_or(0.0);
        if budget.is_some() {
            together += percent;
        }
        println!(
            "{:<16} {:>12.1} {:>12} {:>16.3}",
            process["name"].as_str().unwrap_or("-"),
            process["rss_kib"].as_f64().unwrap_or(0.0) / 1024.0,
            budget.map_or("-".into(), |kib| (kib / 1024).to_string()),
            percent
        );
    }
    println!("r1d and r1-hostd together: {together:.3} % of a core (budget {IDLE_PERCENT} %)");
    let scrape = &report["scrape_cpu_ms"];
    println!(
        "one scrape: {:.3} ms CPU of r1d and r1-hostd, {:.3} ms of node-exporter, ratio {:.2} (budget {SCRAPE_MS} ms)",
        scrape["r1d_and_hostd"].as_f64().unwrap_or(0.0),
        scrape["node_exporter"].as_f64().unwrap_or(0.0),
        scrape["ratio"].as_f64().unwrap_or(0.0)
    );
}

/// Time on a CPU of each process so far, all threads, nanoseconds.
fn cpu_of(processes: &[(&str, i32)]) -> Result<Vec<u64>, String> {
    processes.iter().map(|(_, pid)| cpu_ns(*pid)).collect()
}

/// The kernel's CPU clock of the whole process: threads that have ended are in it.
fn cpu_ns(pid: i32) -> Result<u64, String> {
    let time = clock_getcpuclockid(Pid::from_raw(pid))
        .and_then(clock_gettime)
        .map_err(|error| format!("cpu clock of process {pid}: {error}"))?;
    u64::try_from(time.num_nanoseconds()).map_err(|error| error.to_string())
}

fn rss_kib(pid: i32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{path}: no VmRSS"))
}

/// CPU time of one scrape in some processes together, milliseconds.
fn scrape_ms(pids: &[i32], scrape: impl Fn() -> Result<(), String>) -> Result<f64, String> {
    let cpu = || pids.iter().map(|pid| cpu_ns(*pid)).sum::<Result<u64, _>>();
    scrape()?;
    let before = cpu()?;
    for _ in 0..SCRAPES {
        scrape()?;
    }
    Ok(cpu()?.saturating_sub(before) as f64 / f64::from(SCRAPES) / 1e6)
}

/// The peer, on a free loopback port.
struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    fn start() -> Result<Self, String> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("127.0.0.1: {error}"))?
            .port();
        let child = Command::new("prometheus-node-exporter")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("prometheus-node-exporter: {error}"))?;
        Ok(Self { child, port })
    }

    fn pid(&self) -> Result<i32, String> {
        i32::try_from(self.child.id()).map_err(|error| error.to_string())
    }

    fn scrape(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("node-exporter: {error}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(failed)?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .map_err(failed)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.starts_with(b"HTTP/1.1 200") {
            Ok(())
        } else {
            Err("node-exporter: no metrics".into())
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It ends with the benchmark, whatever it was doing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
