//! Calls of the runtime, one short-lived process each. It alone links the container library, which must not run
//! in a threaded process.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use r1_core::ExitRecord;
use serde::Serialize;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use crate::storage;

/// Longest time a call may take; making namespaces and groups takes tens of milliseconds on an idle machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// Most bytes of its error output that are repeated.
const MAX_ERROR: u64 = 4096;

/// What `r1-runc spec` reads: a request that was validated, with the places this host gives it.
#[derive(Debug, Clone, Serialize)]
pub struct SpecRequest<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Program and arguments.
    pub command: &'a [String],
    /// Environment variables.
    pub env: &'a std::collections::BTreeMap<String, String>,
    /// Cores.
    pub cpu: f64,
    /// Memory and swap, bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Host name inside.
    pub hostname: &'a str,
    /// Path of its control group below each mount point.
    pub cgroup: &'a str,
    /// First of the 65536 host user ids of its user namespace.
    pub uid_base: u32,
}

/// What `r1-runc shim` is told.
#[derive(Debug, Clone)]
pub struct ShimCall<'a> {
    /// `<run>/c`.
    pub root: &'a Path,
    /// The container's id.
    pub id: &'a str,
    /// Folder with its `config.json`.
    pub bundle: &'a Path,
    /// Path of its control group below each mount point.
    pub cgroup: &'a str,
    /// Path of its group in the version 2 tree of a hybrid host.
    pub cgroup2: Option<&'a str>,
    /// Most bytes of log.
    pub log_max_bytes: u64,
}

/// A call of the runtime failed.
#[derive(Debug, thiserror::Error)]
pub enum RuncError {
    /// It could not be run.
    #[error("cannot run {}: {source}", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("r1-runc {what} did not end within {CALL_TIMEOUT:?}")]
    Slow {
        /// The subcommand.
        what: &'static str,
    },
    /// It said no.
    #[error("r1-runc {what}: {message}")]
    Refused {
        /// The subcommand.
        what: &'static str,
        /// Its error output.
        message: String,
    },
}

/// The runtime's program.
#[derive(Debug, Clone)]
pub struct Runc {
    path: PathBuf,
}

impl Runc {
    /// The runtime at a path.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Why it cannot be used, if so.
    pub fn missing(&self) -> Option<String> {
        let found = nix::unistd::access(&self.path, nix::unistd::AccessFlags::X_OK);
        found
            .err()
            .map(|error| format!("the runtime {}: {}", self.path.display(), error.desc()))
    }

    /// Writes `config.json` into the bundle.
    ///
    /// # Errors
    /// [`RuncError`], with the runtime's own words if it refused.
    pub async fn spec(
        &self,
        bundle: &Path,
        rootfs: &Path,
        request: &SpecRequest<'_>,
    ) -> Result<(), RuncError> {
        let json = serde_json::to_vec(request).map_err(|error| self.spawn_error(error.into()))?;
        let mut command = Command::new(&self.path);
        command
            .arg("spec")
            .arg("--bundle")
            .arg(bundle)
            .arg("--rootfs")
            .arg(rootfs);
        self.call("spec", command, &json, &bundle.join("spec.err")).await
    }

    /// Makes the container; its shim stays behind, outside this process's tree.
    ///
    /// # Errors
    /// [`RuncError`], with the runtime's own words if it refused.
    pub async fn shim(&self, call: &ShimCall<'_>) -> Result<(), RuncError> {
        let mut command = Command::new(&self.path);
        command
            .arg("shim")
            .arg("--root")
            .arg(call.root)
            .arg("--id")
            .arg(call.id);
        command
            .arg("--bundle")
            .arg(call.bundle)
            .arg("--cgroup")
            .arg(call.cgroup);
        if let Some(path) = call.cgroup2 {
            command.arg("--cgroup2").arg(path);
        }
        command.arg("--log-max-bytes").arg(call.log_max_bytes.to_string());
        self.call("shim", command, &[], &call.bundle.join("shim.err"))
            .await
    }

    /// Error output goes to a file: a shim may keep it open after its parent has ended, and a pipe would then
    /// never report its end.
    async fn call(
        &self,
        what: &'static str,
        mut command: Command,
        input: &[u8],
        errors: &Path,
    ) -> Result<(), RuncError> {
        let file = File::create(errors).map_err(|error| self.spawn_error(error))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true);
        // Nothing of the daemon's environment is the container's or the runtime's business.
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/");
        let mut child = command.spawn().map_err(|error| self.spawn_error(error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that refuses before it reads closes its end; its own words say why.
            let _ = stdin.write_all(input).await;
        }
        let ended = timeout(CALL_TIMEOUT, child.wait())
            .await
            .map_err(|_| RuncError::Slow { what })?;
        self.judge(what, ended, errors)
    }

    fn judge(
        &self,
        what: &'static str,
        ended: io::Result<ExitStatus>,
        errors: &Path,
    ) -> Result<(), RuncError> {
        let status = ended.map_err(|error| self.spawn_error(error))?;
        if status.success() {
            return Ok(());
        }
        let said = storage::read_bounded(errors, MAX_ERROR)
            .ok()
            .flatten()
            .unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        let message = if said.is_empty() { status.to_string() } else { said };
        Err(RuncError::Refused { what, message })
    }

    fn spawn_error(&self, source: io::Error) -> RuncError {
        RuncError::Spawn {
            path: self.path.clone(),
            source,
        }
    }
}

/// Largest `exit.json` or `state.json` that is read.
pub const MAX_STATE_FILE: u64 = 256 * 1024;

/// The exit record in a container's folder, if its shim has left one.
///
/// # Errors
/// If it is there and cannot be read.
pub fn exit_record(folder: &Path) -> Result<Option<ExitRecord>, storage::StorageError> {
    storage::read_json(&folder.join("exit.json"), MAX_STATE_FILE)
}
