//! Making and starting a container.

use std::{fs, path::PathBuf};

use r1_core::{ContainerStatus, ShimRequest, ShimState};
use r1_host_api::{ContainerInfo, HostError, RunRequest};
use tokio::sync::watch;

use super::{Containers, Live, Meta, count};
use crate::{
    facts, process,
    runc::{MAX_STATE_FILE, RuncError, ShimCall, SpecRequest},
    shim::{self, ShimError},
    storage::{self, StorageError},
};

/// First host user id given to containers: above every range that distributions hand to users, below 2^31.
const UID_FIRST: u32 = 0x2000_0000;
/// Ids of one container's user namespace.
const UIDS_EACH: u32 = 65_536;
/// How many such ranges there are; more containers than that cannot live at a time.
const UID_SLOTS: u32 = 8192;

impl Containers {
    /// Makes and starts a container and returns its id. When it fails, nothing of it is left.
    ///
    /// # Errors
    /// [`HostError`] that names the field, the image, the limit or the step at fault.
    pub async fn run(&self, mut request: RunRequest) -> Result<String, HostError> {
        request.validate()?;
        check_capacity(&request)?;
        if let Some(degraded) = self.unsupported() {
            let message = format!("image {:?} cannot be run: {}", request.image, degraded.why);
            return Err(HostError::Unsupported {
                message,
                remedy: degraded.remedy,
            });
        }
        let rootfs = self.rootfs(&request.image)?;
        storage::check_writable(self.records().folder())?;
        if request.id.is_empty() {
            request.id = generate_id()?;
        }
        let (uid_slot, created_at_ms) = self.reserve(&request)?;
        let made = match self.inner.creating.acquire().await {
            Ok(_turn) => self.make(&request, &rootfs, uid_slot, created_at_ms).await,
            Err(_) => Err(HostError::Failed {
                message: format!("container {:?}: shutting down", request.id),
            }),
        };
        match made {
            Ok(state) => {
                count(&self.inner.counts.started);
                self.begin_watching(&request.id, state);
                Ok(request.id)
            }
            Err(error) => {
                count(&self.inner.counts.failed);
                tracing::warn!(container = %request.id, %error, "container could not be started");
                self.clean(&request.id).await;
                self.live().remove(&request.id);
                Err(error)
            }
        }
    }

    /// The installed root file system; no component of it may be a link.
    fn rootfs(&self, image: &str) -> Result<PathBuf, HostError> {
        let folder = self.inner.config.images().join(image);
        let rootfs = folder.join("rootfs");
        let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if is_folder(&folder) && is_folder(&rootfs) {
            return Ok(rootfs);
        }
        Err(HostError::NotFound {
            message: format!(
                "image {image:?} is not installed: {} is not a folder",
                rootfs.display()
            ),
            remedy: format!("unpack its root file system into {}", rootfs.display()),
        })
    }

    /// Takes the id and a range of user ids; also says when that was.
    fn reserve(&self, request: &RunRequest) -> Result<(u32, u64), HostError> {
        let id = &request.id;
        let taken = |what: &str| HostError::Conflict {
            message: format!("container {id:?} {what}"),
        };
        if self.records().get(id).is_some() {
            return Err(taken("has ended and is still on record; remove it first"));
        }
        let mut live = self.live();
        if live.contains_key(id) {
            return Err(taken("lives already"));
        }
        let most = self.inner.config.max_containers;
        if live.len() >= most {
            let message = format!("container {id:?}: {most} containers live already (--max-containers)");
            return Err(HostError::LimitReached { message });
        }
        let free = (0..UID_SLOTS).find(|slot| live.values().all(|other| other.uid_slot != *slot));
        let Some(uid_slot) = free else {
            return Err(HostError::LimitReached {
                message: format!("container {id:?}: no user ids are left"),
            });
        };
        let info = creating(request);
        let created_at_ms = info.created_at_ms;
        live.insert(id.clone(), Live::new(info, uid_slot));
        Ok((uid_slot, created_at_ms))
    }

    async fn make(
        &self,
        request: &RunRequest,
        rootfs: &std::path::Path,
        uid_slot: u32,
        created_at_ms: u64,
    ) -> Result<ShimState, HostError> {
        let id = request.id.as_str();
        let folder = self.folder(id);
        let bundle = folder.join("bundle");
        storage::make_folder(&bundle, 0o700)?;
        let meta = Meta {
            version: 1,
            image: request.image.clone(),
            uid_slot,
            boot_id: self.inner.boot_id.clone(),
            created_at_ms,
        };
        let json = serde_json::to_vec(&meta).map_err(|error| failed(id, error))?;
        storage::replace_file(&folder.join("request.json"), &json)?;
        let cgroup = self.inner.cgroups.path_of(id);
        let leaf = self.inner.cgroups.leaf_of(id);
        if let Some(leaf) = &leaf {
            storage::make_folder(leaf, 0o755)?;
            // Before the first process is in it, so that its time is counted from the start.
            self.watch(id);
        }
        let hostname = hostname_of(request);
        let spec = SpecRequest {
            id,
            command: &request.command,
            env: &request.env,
            cpu: request.cpu,
            memory_bytes: request.memory_bytes,
            pids: request.pids,
            hostname: &hostname,
            cgroup: &cgroup,
            uid_base: UID_FIRST + uid_slot * UIDS_EACH,
        };
        self.inner
            .runc
            .spec(&bundle, rootfs, &spec)
            .await
            .map_err(|error| failed_call(id, &error))?;
        let call = ShimCall {
            root: &self.inner.config.live(),
            id,
            bundle: &bundle,
            cgroup: &cgroup,
            cgroup2: leaf.as_ref().map(|_| cgroup.as_str()),
            log_max_bytes: self.inner.config.log_max_bytes,
        };
        self.inner
            .runc
            .shim(&call)
            .await
            .map_err(|error| failed_call(id, &error))?;
        self.watch(id);
        shim::ask(&folder, id, &ShimRequest::Start)
            .await
            .map_err(|error| failed_start(&error))?;
        let path = folder.join("state.json");
        let state = storage::read_json(&path, MAX_STATE_FILE)?;
        state.ok_or_else(|| {
            StorageError::Content {
                path,
                reason: "its shim left no state".into(),
            }
            .into()
        })
    }
}

impl Live {
    pub(super) fn new(info: ContainerInfo, uid_slot: u32) -> Self {
        Self {
            info,
            uid_slot,
            over: watch::Sender::new(false),
            meter: None,
        }
    }
}

/// A limit beyond what the machine has would be no limit.
fn check_capacity(request: &RunRequest) -> Result<(), HostError> {
    let invalid = |field: &str, message: String| {
        Err(HostError::InvalidRequest {
            field: field.to_owned(),
            message: format!("{field} {message}"),
        })
    };
    let cores = facts::cores();
    if request.cpu > f64::from(cores) {
        return invalid(
            "cpu",
            format!("is {}; this machine has {cores} cores", request.cpu),
        );
    }
    let memory = facts::memory().total_bytes;
    if request.memory_bytes > memory {
        return invalid(
            "memory_bytes",
            format!("is {}; this machine has {memory} bytes", request.memory_bytes),
        );
    }
    Ok(())
}

fn creating(request: &RunRequest) -> ContainerInfo {
    ContainerInfo {
        id: request.id.clone(),
        image: request.image.clone(),
        state: ContainerStatus::Creating,
        pid: 0,
        created_at_ms: process::unix_ms(),
        started_at_ms: 0,
        finished_at_ms: None,
        exit_code: None,
        signal: None,
        oom_killed: false,
        cpu_ns: 0,
        memory_peak_bytes: 0,
        warnings: Vec::new(),
    }
}

/// The kernel's random UUID, without its hyphens.
fn generate_id() -> Result<String, HostError> {
    let path = PathBuf::from("/proc/sys/kernel/random/uuid");
    let uuid = fs::read_to_string(&path).map_err(storage::at("read", &path))?;
    Ok(uuid.chars().filter(char::is_ascii_hexdigit).take(16).collect())
}

/// An id may hold characters that a host name may not.
fn hostname_of(request: &RunRequest) -> String {
    if !request.hostname.is_empty() {
        return request.hostname.clone();
    }
    let name = request.id.replace(['.', '_'], "-");
    name.trim_end_matches('-').to_owned()
}

fn failed(id: &str, error: impl std::fmt::Display) -> HostError {
    HostError::Failed {
        message: format!("container {id:?}: {error}"),
    }
}

fn failed_call(id: &str, error: &RuncError) -> HostError {
    failed(id, error)
}

fn failed_start(error: &ShimError) -> HostError {
    HostError::Failed {
        message: error.to_string(),
    }
}
