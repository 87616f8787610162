//! How long and how much processor time it takes from creating a container of `true` to its end, for r1-runc beside
//! crun and runc over the same bundle, and for r1-runc's shim and default sandbox. Runs are interleaved, so that a
//! busy minute hits all alike. Needs root and a static busybox; a tool that is missing is named with SKIP.
//!
//! `cargo run --release -p r1-runc --example bench_start [-- --json] [--runs N]`

use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DEFAULT_RUNS: usize = 30;
const WARM_UP_RUNS: usize = 2;
const BUSYBOX: &str = "/usr/bin/busybox";
const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// The shim must have a record by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// One program and the way it is called.
struct Contender {
    name: &'static str,
    program: PathBuf,
    bundle: PathBuf,
    shim: bool,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    wall: Duration,
    cpu: Duration,
    /// Of a shim: its own memory, KiB.
    dirty: Option<u64>,
}

/// The folders of a measurement.
struct Place {
    dir: PathBuf,
    cgroup: String,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let as_json = args.iter().any(|a| a == "--json");
    let runs = match args.iter().position(|a| a == "--runs") {
        Some(at) => args.get(at + 1).ok_or("--runs needs a number")?.parse()?,
        None => DEFAULT_RUNS,
    };
    if !nix::unistd::geteuid().is_root() || !Path::new(BUSYBOX).exists() {
        eprintln!("SKIP bench_start: needs root and {BUSYBOX}");
        return Ok(());
    }
    let program = our_program()?;
    legacy_cgroups()?;
    // SAFETY: an integer argument. Shims become our children, so that their processor time can be had.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let dir = std::env::temp_dir().join(format!("r1-bench-start-{}", std::process::id()));
    let place = Place {
        cgroup: format!("/r1-bench-{}/c", std::process::id()),
        dir,
    };
    let outcome = measure(&place, &program, runs);
    fs::remove_dir_all(&place.dir)?;
    remove_base(&place.cgroup);
    let (contenders, skipped) = outcome?;
    print(&contenders, &skipped, runs, as_json)
}

/// r1-runc of the profile that this program was built in.
fn our_program() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let folder = exe
        .parent()
        .and_then(Path::parent)
        .ok_or("this program lies in no target folder")?;
    let program = folder.join("r1-runc");
    if let Ok(manifest) = std::env::var("CARGO_MANIFEST_DIR") {
        let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        build
            .args(["build", "--quiet", "--bin", "r1-runc"])
            .current_dir(manifest);
        build
            .arg("--target-dir")
            .arg(folder.parent().ok_or("no target folder")?);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        if !build.status()?.success() {
            return Err("r1-runc does not build".into());
        }
    }
    if program.exists() {
        Ok(program)
    } else {
        Err(format!("{} is missing", program.display()).into())
    }
}

/// crun refuses a host with both cgroup versions: hide the second from all contenders alike.
fn legacy_cgroups() -> Result<()> {
    if !Path::new(UNIFIED).join("cgroup.procs").exists() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )?;
    Ok(umount(UNIFIED)?)
}

/// Removes what no container removes: the shims' cgroup and the base above both.
fn remove_base(cgroup: &str) {
    let base = cgroup.trim_start_matches('/').trim_end_matches("/c");
    for mount in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let _ = fs::remove_dir(mount.path().join(base).join("shim"));
        let _ = fs::remove_dir(mount.path().join(base));
    }
}

fn measure(place: &Place, program: &Path, runs: usize) -> Result<(Vec<Contender>, Vec<String>)> {
    let rootfs = place.dir.join("rootfs/bin");
    fs::create_dir_all(&rootfs)?;
    fs::copy(BUSYBOX, rootfs.join("busybox"))?;
    symlink("busybox", rootfs.join("true"))?;
    let (plain, full) = bundles(place, program)?;
    let mut contenders = Vec::new();
    let mut skipped = Vec::new();
    let mut add = |name, program: PathBuf, bundle: &Path, shim| {
        contenders.push(Contender {
            name,
            program,
            bundle: bundle.to_owned(),
            shim,
            samples: Vec::new(),
        });
    };
    add("r1-runc run", program.to_owned(), &plain, false);
    for (name, tool) in [("crun run", "crun"), ("runc run", "runc")] {
        match find(tool) {
            Some(path) => add(name, path, &plain, false),
            None => skipped.push(tool.to_owned()),
        }
    }
    add("r1-runc run, default sandbox", program.to_owned(), &full, false);
    add("r1-runc shim, default sandbox", program.to_owned(), &full, true);
    for round in 0..runs + WARM_UP_RUNS {
        for contender in &mut contenders {
            let sample = if contender.shim {
                shim(place, contender)?
            } else {
                run(place, contender)?
            };
            if round >= WARM_UP_RUNS {
                contender.samples.push(sample);
            }
        }
    }
    Ok((contenders, skipped))
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/usr/bin"])
        .map(|d| Path::new(d).join(tool))
        .find(|f| f.exists())
}

/// A bundle that all runtimes understand, and the default sandbox.
fn bundles(place: &Place, program: &Path) -> Result<(PathBuf, PathBuf)> {
    let (plain, full) = (place.dir.join("plain"), place.dir.join("full"));
    fs::create_dir_all(&plain)?;
    fs::create_dir_all(&full)?;
    let request = json!({
        "id": "bench", "command": ["true"], "cpu": 2.0, "memory_bytes": 64 << 20, "pids": 64,
        "cgroup": place.cgroup, "uid_base": 100_000,
    });
    let mut spec = Command::new(program)
        .args(["spec", "--bundle"])
        .arg(&full)
        .arg("--rootfs")
        .arg(place.dir.join("rootfs"))
        .stdin(Stdio::piped())
        .spawn()?;
    spec.stdin
        .take()
        .ok_or("no pipe")?
        .write_all(request.to_string().as_bytes())?;
    if !spec.wait()?.success() {
        return Err("r1-runc spec failed".into());
    }
    let mut config: Value = serde_json::from_slice(&fs::read(full.join("config.json"))?)?;
    config["annotations"] = json!({});
    // Older runtimes refuse what they do not know.
    config["ociVersion"] = json!("1.0.2");
    config["process"]["rlimits"] = json!([]);
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("uidMappings");
        linux.remove("gidMappings");
        if let Some(namespaces) = linux["namespaces"].as_array_mut() {
            namespaces.retain(|n| n["type"] != "user");
        }
    }
    fs::write(plain.join("config.json"), config.to_string())?;
    Ok((plain, full))
}

/// `RUNTIME run`: one process from beginning to end.
fn run(place: &Place, contender: &Contender) -> Result<Sample> {
    let began = Instant::now();
    let child = Command::new(&contender.program)
        .arg("--root")
        .arg(place.dir.join("state"))
        .args(["run", "--bundle"])
        .arg(&contender.bundle)
        .arg("bench")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let (status, cpu) = wait4(child.id() as i32)?;
    let wall = began.elapsed();
    if status != 0 {
        return Err(format!("{}: wait status {status:#x}", contender.name).into());
    }
    Ok(Sample {
        wall,
        cpu,
        dirty: None,
    })
}

/// As r1-hostd does it: start the shim, say start, wait for the record, acknowledge.
fn shim(place: &Place, contender: &Contender) -> Result<Sample> {
    let root = place.dir.join("run");
    fs::create_dir_all(&root)?;
    let began = Instant::now();
    let starter = Command::new(&contender.program)
        .args(["shim", "--id", "bench", "--cgroup", &place.cgroup, "--root"])
        .arg(&root)
        .arg("--bundle")
        .arg(&contender.bundle)
        .stdin(Stdio::null())
        .spawn()?;
    let (status, starter_cpu) = wait4(starter.id() as i32)?;
    if status != 0 {
        return Err(format!("{}: wait status {status:#x}", contender.name).into());
    }
    let dir = root.join("bench");
    let fd = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    connect(fd.as_raw_fd(), &UnixAddr::new(&dir.join("ctl.sock"))?)?;
    let ask = |request: &str| -> Result<Value> {
        send(fd.as_raw_fd(), request.as_bytes(), MsgFlags::empty())?;
        let mut buffer = [0; 65_536];
        let n = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        Ok(serde_json::from_slice(&buffer[..n])?)
    };
    let pid = ask(r#"{"op":"state"}"#)?["state"]["shim_pid"]
        .as_i64()
        .ok_or("no shim pid")?;
    let dirty = written_memory(pid)?;
    ask(r#"{"op":"start"}"#)?;
    while !dir.join("exit.json").exists() {
        if began.elapsed() > PATIENCE {
            return Err("the shim leaves no record".into());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let wall = began.elapsed();
    ask(r#"{"op":"ack"}"#)?;
    let (_, shim_cpu) = wait4(pid as i32)?;
    fs::remove_dir_all(&dir)?;
    Ok(Sample {
        wall,
        cpu: starter_cpu + shim_cpu,
        dirty: Some(dirty),
    })
}

/// KiB that one more shim costs: the pages it wrote to. Its program's other pages are shared by all shims.
fn written_memory(pid: i64) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("Anonymous:"))
        .ok_or("no Anonymous in smaps_rollup")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Waits for a child; its status and the processor time of it and of all it waited for.
fn wait4(pid: i32) -> Result<(i32, Duration)> {
    let mut status = 0;
    // SAFETY: rusage is a plain C struct, valid in zeroes.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live locals.
        let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if got == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Ok((status, time(usage.ru_utime) + time(usage.ru_stime)))
}

fn median(values: impl Iterator<Item = Duration>) -> f64 {
    let mut values: Vec<f64> = values.map(|d| d.as_secs_f64() * 1000.0).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn print(contenders: &[Contender], skipped: &[String], runs: usize, as_json: bool) -> Result<()> {
    let row = |c: &Contender| {
        let walls = || c.samples.iter().map(|s| s.wall);
        let min = walls().min().unwrap_or_default().as_secs_f64() * 1000.0;
        (median(walls()), min, median(c.samples.iter().map(|s| s.cpu)))
    };
    let (our_wall, _, our_cpu) = row(&contenders[0]);
    for tool in skipped {
        eprintln!("SKIP {tool}: not installed");
    }
    if as_json {
        let rows: Vec<Value> = contenders
            .iter()
            .map(|c| {
                let (wall, min, cpu) = row(c);
                json!({
                    "name": c.name, "wall_ms_median": wall, "wall_ms_min": min, "cpu_ms_median": cpu,
                    "written_memory_kib": c.samples.last().and_then(|s| s.dirty),
                    "wall_ratio": our_wall / wall, "cpu_ratio": our_cpu / cpu,
                })
            })
            .collect();
        println!(
            "{:#}",
            json!({ "bench": "start", "runs": runs, "rows": rows, "skipped": skipped })
        );
        return Ok(());
    }
    println!("create to exit of `true`, {runs} interleaved runs, ms; ratios: r1-runc run / this");
    println!(
        "{:<32} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "", "wall med", "wall min", "cpu med", "wall", "cpu"
    );
    for c in contenders {
        let (wall, min, cpu) = row(c);
        println!(
            "{:<32} {wall:>9.1} {min:>9.1} {cpu:>9.1} {:>7.2} {:>7.2}",
            c.name,
            our_wall / wall,
            our_cpu / cpu
        );
    }
    if let Some(kib) = contenders.iter().find_map(|c| c.samples.last()?.dirty) {
        println!("a shim's own (written) memory: {kib} KiB");
    }
    Ok(())
}
