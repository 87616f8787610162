//! Finding again, after a restart of the daemon, what lives or ended meanwhile.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use r1_core::{ContainerStatus, ShimState};
use r1_host_api::{ContainerInfo, check_id};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Containers, Live, Meta, count, finish::End};
use crate::{
    process::Process,
    runc::{self, MAX_STATE_FILE},
    storage::{self, StorageError, at},
};

/// Longest wait for a shim that was just starting when the daemon died.
const STARTING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time between a shim's start and its lock.
const LOCKING_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause between two looks at such a shim.
const STARTING_PAUSE: Duration = Duration::from_millis(50);

/// What is to be done with a folder that was found.
#[derive(Debug)]
enum Found {
    /// Its shim lives and its program was started: wait for its end.
    Lives(ShimState),
    /// It is over.
    Over(ShimState, End),
    /// Nobody was ever told of it: remove it without a trace.
    Unfinished,
}

impl Containers {
    /// Looks through the run folder once, before the first request: takes over what lives, stores what ended,
    /// removes what was never finished.
    ///
    /// # Errors
    /// [`StorageError`] if the folder cannot be listed; a fault of one container is logged, not returned.
    pub async fn adopt(&self) -> Result<(), StorageError> {
        let root = self.inner.config.live();
        let mut tasks = JoinSet::new();
        for entry in fs::read_dir(&root).map_err(at("list", &root))? {
            let name = entry.map_err(at("list", &root))?.file_name();
            match name.to_str().filter(|id| check_id(id).is_ok()) {
                Some(id) => {
                    let (containers, id) = (self.clone(), id.to_owned());
                    tasks.spawn(async move { containers.adopt_one(&id).await });
                }
                None => tracing::warn!(?name, "is no container's folder and stays"),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "adoption failed");
            }
        }
        Ok(())
    }

    async fn adopt_one(&self, id: &str) {
        let meta = storage::read_json::<Meta>(&self.folder(id).join("request.json"), MAX_STATE_FILE);
        let meta = meta.unwrap_or_else(|error| {
            tracing::warn!(%error, "container's own notes are not usable");
            None
        });
        match self.look_at(id, meta.as_ref()).await {
            Found::Lives(state) => {
                count(&self.inner.counts.adopted);
                tracing::info!(container = %id, pid = state.pid, "container is adopted");
                self.enter(id, meta, &state);
                self.watch(id);
                self.begin_watching(id, state);
            }
            Found::Over(state, end) => {
                self.enter(id, meta, &state);
                self.finish(id, end).await;
            }
            Found::Unfinished => {
                tracing::warn!(container = %id, "container was being made when r1-hostd ended; it is removed");
                self.clean(id).await;
            }
        }
    }

    /// Decides by what the folder says and by what still runs.
    async fn look_at(&self, id: &str, meta: Option<&Meta>) -> Found {
        let folder = self.folder(id);
        let Some(state) = wait_for_state(&folder).await else {
            return Found::Unfinished;
        };
        let boot_id = &self.inner.boot_id;
        if state.boot_id != *boot_id || meta.is_some_and(|meta| meta.boot_id != *boot_id) {
            return Found::Over(state, End::Lost("the machine was rebooted while it ran".into()));
        }
        match runc::exit_record(&folder) {
            Ok(Some(record)) => return Found::Over(state, End::Exited(record)),
            Ok(None) => {}
            Err(error) => return Found::Over(state, End::Lost(error.to_string())),
        }
        let started = matches!(state.status, ContainerStatus::Running | ContainerStatus::Stopped);
        match Process::find(state.shim_pid, state.shim_starttime, &state.boot_id) {
            Ok(Some(_)) if started => Found::Lives(state),
            _ if !started => Found::Unfinished,
            Ok(_) => {
                let why = format!(
                    "its shim (pid {}) ended without leaving an exit record",
                    state.shim_pid
                );
                Found::Over(state, End::Lost(why))
            }
            Err(error) => Found::Over(state, End::Lost(format!("its shim cannot be watched: {error}"))),
        }
    }

    fn enter(&self, id: &str, meta: Option<Meta>, state: &ShimState) {
        let info = ContainerInfo {
            id: id.to_owned(),
            image: meta.as_ref().map(|meta| meta.image.clone()).unwrap_or_default(),
            state: state.status,
            pid: state.pid,
            created_at_ms: meta
                .as_ref()
                .map_or(state.created_at_ms, |meta| meta.created_at_ms),
            started_at_ms: state.started_at_ms,
            finished_at_ms: None,
            exit_code: None,
            signal: None,
            oom_killed: false,
            cpu_ns: 0,
            memory_peak_bytes: 0,
            warnings: state.warnings.clone(),
        };
        // Without notes its range of ids is unknown; no range is given away that it could have.
        let uid_slot = meta.map_or(u32::MAX, |meta| meta.uid_slot);
        self.live().insert(id.to_owned(), Live::new(info, uid_slot));
    }
}

/// The shim's state; if it has written none yet but is at work (it holds its lock), that is waited for.
async fn wait_for_state(folder: &Path) -> Option<ShimState> {
    let found_at = Instant::now();
    loop {
        let state = storage::read_json::<ShimState>(&folder.join("state.json"), MAX_STATE_FILE);
        // A shim that was just being started has not taken its lock yet.
        let busy = is_locked(&folder.join("lock")) || found_at.elapsed() < LOCKING_TIMEOUT;
        let late = found_at.elapsed() > STARTING_TIMEOUT;
        match state {
            Ok(Some(state)) if state.status != ContainerStatus::Creating => return Some(state),
            // One that is not yet made, and nobody makes it any more.
            Ok(Some(state)) if !busy || late => return Some(state),
            Ok(None) if !busy || late => return None,
            Err(error) => {
                tracing::warn!(%error, "state of a container is not usable");
                return None;
            }
            _ => sleep(STARTING_PAUSE).await,
        }
    }
}

/// True if somebody holds the lock of a file. Asked of the kernel's list, since a try would take the lock for a
/// moment, just when the shim may want it.
fn is_locked(path: &Path) -> bool {
    let Ok(meta) = fs::metadata(path) else {
        return false;
    };
    let (major, minor) = (
        nix::sys::stat::major(meta.dev()),
        nix::sys::stat::minor(meta.dev()),
    );
    let name = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let held = fs::read_to_string("/proc/locks").unwrap_or_default();
    held.lines()
        .any(|line| line.split_ascii_whitespace().any(|word| word == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_seen_without_touching_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = fs::File::create(&path).unwrap();
        assert!(!is_locked(&path));
        file.lock().unwrap();
        assert!(is_locked(&path));
        file.unlock().unwrap();
        assert!(!is_locked(&path));
        assert!(!is_locked(&folder.path().join("none")));
    }
}
