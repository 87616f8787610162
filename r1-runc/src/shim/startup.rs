//! From the command line to a created container: the double fork, and all that must be settled before libcontainer
//! touches a namespace.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::libc;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};
use r1_core::{ContainerStatus, ShimState};

use super::Options;
use super::control::Listener;
use super::log::LogFile;
use super::supervisor::{Parts, Supervisor};
use crate::atomic_file;
use crate::cgroup::{self, Cgroup};
use crate::clock::now_ms;
use crate::engine::{CreateOptions, Engine, Stdio};
use crate::error::{Error, Result, io, sys};
use crate::fit::{self, Fitted};
use crate::process_id::{ProcessId, boot_id};
use crate::record_lock;

/// Names of a container's files, as described in `r1_core::ShimState`'s module.
const STATE: &str = "state.json";
const LOCK: &str = "lock";
const SHIM_PID: &str = "shim.pid";
/// What the shim itself has to say.
const SHIM_LOG: &str = "shim.log";
/// First byte of the success message to the waiting parent.
const READY: u8 = b'+';
/// Longest error line that the parent reads.
const MAX_ERROR_BYTES: u64 = 8192;

/// Starts the supervisor and returns when its container is created or could not be.
pub fn run(mut options: Options) -> Result<ExitCode> {
    crate::spec::check_id(&options.id)?;
    crate::spec::check_cgroup(&options.cgroup)?;
    if let Some(path) = &options.cgroup2 {
        crate::spec::check_cgroup(path)?;
    }
    options.root = absolute(&options.root)?;
    options.bundle = absolute(&options.bundle)?;
    let (answer, tell) = pipe2(OFlag::O_CLOEXEC).map_err(sys("pipe"))?;
    // SAFETY: this program has one thread, so the child may use every function.
    match unsafe { fork() }.map_err(sys("fork"))? {
        ForkResult::Parent { child } => {
            drop(tell);
            let _ = waitpid(child, None);
            await_answer(File::from(answer))
        }
        ForkResult::Child => {
            drop(answer);
            let _ = setsid();
            // SAFETY: as above.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => Ok(supervise(&options, File::from(tell))),
                // SAFETY: ends the process in the middle without running its parent's exit handlers.
                _ => unsafe { libc::_exit(0) },
            }
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(io(format!("folder {}", path.display())))
}

/// The first byte decides: until its program starts, the container's init holds the pipe open too.
fn await_answer(mut answer: File) -> Result<ExitCode> {
    let mut first = [0u8];
    let got = answer.read(&mut first).map_err(io("read the shim's answer"))?;
    if got == 1 && first[0] == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = first[..got].to_vec();
    answer
        .take(MAX_ERROR_BYTES)
        .read_to_end(&mut text)
        .map_err(io("read the shim's answer"))?;
    let reason = String::from_utf8_lossy(&text).into_owned();
    Err(Error::Refused(if reason.is_empty() {
        "the shim ended without a word".to_owned()
    } else {
        reason
    }))
}

/// The supervisor's process.
fn supervise(options: &Options, mut tell: File) -> ExitCode {
    match prepare(options) {
        Ok(mut supervisor) => {
            let _ = tell.write_all(&[READY]);
            drop(tell);
            supervisor.run()
        }
        Err(error) => {
            let _ = tell.write_all(error.to_string().as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn prepare(options: &Options) -> Result<Supervisor> {
    let dir = options.root.join(&options.id);
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(io(format!("create {}", dir.display())))?;
    let lock = take_lock(&dir)?;
    let prepared = prepare_locked(options, dir.clone(), lock);
    if prepared.is_err() {
        for name in [STATE, SHIM_PID, SHIM_LOG, LOCK] {
            let _ = fs::remove_file(dir.join(name));
        }
    }
    prepared
}

fn prepare_locked(options: &Options, dir: PathBuf, lock: Flock<File>) -> Result<Supervisor> {
    detach(&dir)?;
    leave_daemon(&options.cgroup)?;
    let mask = SigSet::all();
    mask.thread_block().map_err(sys("block signals"))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(sys("signalfd"))?;

    let mut fitted = fit::fit(
        fit::load(&options.bundle)?,
        &options.bundle,
        &options.id,
        Some(&options.cgroup),
    )?;
    let mut state = first_state(options, &fitted)?;
    atomic_file::write(
        &dir,
        SHIM_PID,
        format!("{} {}\n", state.shim_pid, state.shim_starttime).as_bytes(),
    )?;
    atomic_file::write_json(&dir, STATE, &state)?;

    let cgroup = Cgroup::new(&options.cgroup)?;
    let leaf = match &options.cgroup2 {
        Some(path) => cgroup::unified_dir(path)?,
        None => None,
    };
    let engine = Engine::new(&options.id, &dir);
    match create(&dir, options, &engine, &mut fitted, leaf.as_deref()) {
        Ok(made) => {
            state.status = ContainerStatus::Created;
            state.pid = made.init.pid;
            state.pid_starttime = made.init.starttime;
            state.warnings.clone_from(&fitted.warnings);
            atomic_file::write_json(&dir, STATE, &state)?;
            let log = LogFile::open(&dir, options.log_max_bytes)?;
            let oom = cgroup.watch_oom();
            let listener = Listener::bind(&dir)?;
            let parts = Parts {
                dir,
                lock,
                signals,
                listener,
                engine,
                cgroup,
                leaf,
                oom,
                log,
            };
            Ok(Supervisor::new(parts, state, made.stdout, made.stderr))
        }
        Err(error) => {
            let _ = engine.clean();
            let _ = cgroup.remove();
            if let Some(leaf) = &leaf {
                let _ = cgroup::remove_tree(leaf);
            }
            Err(error)
        }
    }
}

fn take_lock(dir: &Path) -> Result<Flock<File>> {
    let path = dir.join(LOCK);
    let file = record_lock::open(&path)?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| sys(format!("lock {}: another shim holds it", path.display()))(errno))?;
    // A folder that was used before belongs to a container whose record r1-hostd has not collected.
    for name in ["exit.json", STATE] {
        if dir.join(name).exists() {
            return Err(Error::Refused(format!(
                "{}: a former container's {name} is still there",
                dir.display()
            )));
        }
    }
    Ok(lock)
}

/// Cuts the ties to whoever started us.
fn detach(dir: &Path) -> Result<()> {
    // SAFETY: marks descriptors, takes integers only.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    let path = dir.join(SHIM_LOG);
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(io(format!("open {}", path.display())))?;
    dup2_stdin(dev_null()?).map_err(sys("redirect stdin"))?;
    dup2_stdout(&log).map_err(sys("redirect stdout"))?;
    dup2_stderr(&log).map_err(sys("redirect stderr"))?;
    std::env::set_current_dir("/").map_err(io("change to /"))?;
    // SAFETY: three prctl calls with integer and static string arguments.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::prctl(libc::PR_SET_PDEATHSIG, 0);
        libc::prctl(libc::PR_SET_NAME, c"r1-shim".as_ptr());
    }
    Ok(())
}

fn dev_null() -> Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(io("open /dev/null"))?;
    Ok(file.into())
}

/// Moves this process out of the daemon's cgroup into `shim` beside the container's, so that neither the daemon's
/// stop nor its memory limit takes it. In a hierarchy's root there is nothing to escape from.
fn leave_daemon(container: &str) -> Result<()> {
    let path = match container.rsplit_once('/') {
        Some((base, _)) if !base.is_empty() => format!("{base}/shim"),
        _ => "/r1-shim".to_owned(),
    };
    cgroup::move_away(std::process::id() as i32, &path)
}

fn first_state(options: &Options, fitted: &Fitted) -> Result<ShimState> {
    let me = ProcessId::of(std::process::id() as i32).map_err(io("read this process's start time"))?;
    Ok(ShimState {
        version: 1,
        id: options.id.clone(),
        status: ContainerStatus::Creating,
        pid: 0,
        pid_starttime: 0,
        shim_pid: me.pid,
        shim_starttime: me.starttime,
        boot_id: boot_id().map_err(io("read boot_id"))?,
        bundle: options.bundle.display().to_string(),
        cgroup: options.cgroup.clone(),
        cgroup2: options.cgroup2.clone(),
        created_at_ms: now_ms(),
        started_at_ms: 0,
        warnings: fitted.warnings.clone(),
    })
}

struct Made {
    init: ProcessId,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn create(
    dir: &Path,
    options: &Options,
    engine: &Engine,
    fitted: &mut Fitted,
    leaf: Option<&Path>,
) -> Result<Made> {
    if fitted.terminal {
        return Err(Error::Refused(format!(
            "container {}: a shim gives no terminal",
            options.id
        )));
    }
    fit::map_rootfs(fitted, &[dir, &options.bundle])?;
    let (stdout, child_stdout) = output_pipe(fitted)?;
    let (stderr, child_stderr) = output_pipe(fitted)?;
    let stdio = Stdio {
        stdin: Some(dev_null()?),
        stdout: Some(child_stdout),
        stderr: Some(child_stderr),
    };
    let init = engine.create(
        fitted,
        CreateOptions {
            stdio,
            ..CreateOptions::default()
        },
    )?;
    if let Some(leaf) = leaf
        && let Err(error) = cgroup::join_dir(leaf, init.pid)
    {
        let _ = init.signal(libc::SIGKILL);
        return Err(error);
    }
    Ok(Made { init, stdout, stderr })
}

/// A pipe whose reading end stays here. It belongs to the container's root, which may open /dev/stdout anew.
fn output_pipe(fitted: &Fitted) -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(sys("pipe"))?;
    if let Some((uid, gid)) = fitted.owner {
        std::os::unix::fs::fchown(&write, Some(uid), Some(gid))
            .map_err(io("give the pipe to the container"))?;
    }
    // SAFETY: sets a flag of a descriptor that we own.
    unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    Ok((read, write))
}
