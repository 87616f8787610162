//! Create, start, kill, delete, pause, resume, update.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::CreateArgs;
use super::record::{Held, Record, Stage, Store};
use crate::atomic_file;
use crate::cgroup::Limits;
use crate::clock::now_ms;
use crate::engine::CreateOptions;
use crate::error::{Error, Result, io, refused};
use crate::fit::{self, Fitted};
use crate::process_id::Liveness;

/// How long a killed init may take to end, milliseconds.
const KILL_TIMEOUT_MS: u16 = 10_000;
/// Largest file of resources.
const MAX_RESOURCES_BYTES: u64 = 1 << 20;

/// Makes a container. `foreground`: this process stays to wait for it.
pub fn create(store: &Store, args: &CreateArgs, foreground: bool) -> Result<(Held, Record)> {
    let bundle =
        std::fs::canonicalize(&args.bundle).map_err(io(format!("bundle {}", args.bundle.display())))?;
    let pid_file = args.pid_file.as_deref().map(absolute).transpose()?;
    let console_socket = args.console_socket.as_deref().map(absolute).transpose()?;
    let config = fit::load(&bundle)?;
    let mut fitted = fit::fit(config, &bundle, &args.id, None)?;
    let held = store.claim(&args.id)?;
    let mut record = new_record(args, &bundle, &fitted);
    let options = CreateOptions {
        console_socket,
        preserve_fds: args.preserve_fds,
        foreground,
        ..Default::default()
    };
    match make(&held, &mut record, &mut fitted, options, pid_file.as_deref()) {
        Ok(()) => Ok((held, record)),
        Err(error) => {
            if let Some(init) = &record.init {
                let _ = init.signal(libc::SIGKILL);
            }
            let _ = record.cgroup().and_then(|c| c.remove());
            let _ = held.remove();
            Err(error)
        }
    }
}

fn make(
    held: &Held,
    record: &mut Record,
    fitted: &mut Fitted,
    options: CreateOptions,
    pid_file: Option<&Path>,
) -> Result<()> {
    held.save(record)?;
    let bundle = record.bundle.clone();
    fit::map_rootfs(fitted, &[&held.dir, &bundle])?;
    record.warnings.clone_from(&fitted.warnings);
    let init = held.engine(&record.id).create(fitted, options)?;
    let pid = init.pid;
    record.init = Some(init);
    record.stage = Stage::Created;
    held.save(record)?;
    match pid_file.and_then(|file| Some((file.parent()?, file.file_name()?.to_str()?))) {
        Some((dir, name)) => atomic_file::write(dir, name, pid.to_string().as_bytes()),
        None => Ok(()),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(io(format!("path {}", path.display())))
}

fn new_record(args: &CreateArgs, bundle: &Path, fitted: &Fitted) -> Record {
    let annotations: BTreeMap<String, String> = fitted.config["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect();
    Record {
        version: 1,
        id: args.id.clone(),
        stage: Stage::Creating,
        init: None,
        bundle: bundle.to_path_buf(),
        rootfs: fitted.config["root"]["path"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        cgroup: fitted.cgroup.clone(),
        created_at_ms: now_ms(),
        annotations,
        warnings: fitted.warnings.clone(),
    }
}

/// Lets a created container's program run.
pub fn start(store: &Store, id: &str) -> Result<()> {
    let (held, mut record) = store.hold(id)?;
    start_held(&held, &mut record)
}

/// The same for one that is held.
pub fn start_held(held: &Held, record: &mut Record) -> Result<()> {
    match record.status() {
        "created" => {}
        status => {
            return refused(format!(
                "container {}: cannot start a container that is {status}",
                record.id
            ));
        }
    }
    held.engine(&record.id).start()?;
    record.stage = Stage::Started;
    held.save(record)
}

/// Sends a signal to its init, or to all its processes.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let (_held, record) = store.hold(id)?;
    let cgroup = record.cgroup()?;
    if all {
        return cgroup.signal_all(signal);
    }
    let not_running = || Error::Refused(format!("container {id}: container not running"));
    let init = record.init.as_ref().ok_or_else(not_running)?;
    if init.liveness() != Liveness::Alive {
        return Err(not_running());
    }
    let sent = init
        .signal(signal)
        .map_err(io(format!("container {id}: signal {signal}")))?;
    if !sent {
        return Err(not_running());
    }
    // A frozen v1 process keeps even SIGKILL waiting.
    if signal == libc::SIGKILL && cgroup.is_frozen() {
        cgroup.freeze(false)
    } else {
        Ok(())
    }
}

/// Removes a container that has ended; with `force` ends it first.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<()> {
    let (held, record) = match store.hold(id) {
        Ok(found) => found,
        Err(_) if force && store.read(id).is_err() => return Ok(()),
        Err(error) => return Err(error),
    };
    match record.status() {
        "stopped" | "created" | "creating" => {}
        _ if force => {}
        status => {
            return refused(format!(
                "container {id}: cannot delete a container that is {status}"
            ));
        }
    }
    destroy(held, &record)
}

/// Ends whatever is left of a container and removes it.
pub fn destroy(held: Held, record: &Record) -> Result<()> {
    let cgroup = record.cgroup()?;
    if let Some(init) = &record.init
        && let Some(pidfd) = init
            .pidfd()
            .map_err(io(format!("container {}: its init", record.id)))?
        && init.liveness() == Liveness::Alive
    {
        init.signal(libc::SIGKILL)
            .map_err(io(format!("container {}: kill", record.id)))?;
        if cgroup.is_frozen() {
            let _ = cgroup.freeze(false);
        }
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(KILL_TIMEOUT_MS)) == Ok(0) {
            return refused(format!("container {}: its init does not end", record.id));
        }
    }
    cgroup.remove()?;
    held.engine(&record.id).clean()?;
    held.remove()
}

/// Stops all processes of a running container, or lets them go on.
pub fn freeze(store: &Store, id: &str, frozen: bool) -> Result<()> {
    let (_held, record) = store.hold(id)?;
    match (record.status(), frozen) {
        ("running" | "created", true) | ("paused", false) => record.cgroup()?.freeze(frozen),
        (status, true) => refused(format!(
            "container {id}: cannot pause a container that is {status}"
        )),
        (status, false) => refused(format!(
            "container {id}: cannot resume a container that is {status}"
        )),
    }
}

/// Reads new limits from a file.
pub fn read_limits(file: Option<&Path>) -> Result<Limits> {
    let Some(file) = file else {
        return Ok(Limits::default());
    };
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(io(format!("open {}", file.display())))?)
    };
    let mut text = Vec::new();
    input
        .take(MAX_RESOURCES_BYTES)
        .read_to_end(&mut text)
        .map_err(io(format!("read {}", file.display())))?;
    serde_json::from_slice::<Value>(&text)
        .and_then(serde_json::from_value)
        .map_err(|e| Error::Refused(format!("{}: {e}", file.display())))
}

/// Changes the limits of a container that has not ended.
pub fn update(store: &Store, id: &str, limits: &Limits) -> Result<()> {
    let (_held, record) = store.hold(id)?;
    if record.status() == "stopped" {
        return refused(format!("container {id}: container not running"));
    }
    record.cgroup()?.update(limits)
}
