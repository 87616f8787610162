//! Waiting for a container's end, storing it and cleaning up behind it.

use std::{path::PathBuf, time::Duration};

use r1_core::{ContainerStatus, ExitRecord, ShimRequest, ShimState};
use r1_host_api::{ContainerInfo, HostEvent};
use tokio::time::{Instant, sleep};

use super::{Containers, count, log};
use crate::{
    process::{self, Process},
    runc, shim, storage,
};

/// Longest wait for a shim to write its record after its container's init has ended.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a shim to end after it was released.
const SHIM_END_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a shim is told that it may go.
const ACK_TRIES: u32 = 20;
/// Pause between two such tries.
const ACK_PAUSE: Duration = Duration::from_millis(50);
/// First and longest pause between two looks for the record.
const LOOK_PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(200));
/// Pause before a record that could not be stored is tried again.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// How a container came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// With the record its shim wrote.
    Exited(ExitRecord),
    /// Without one; why.
    Lost(String),
}

impl Containers {
    /// Enters a started or adopted container in the table and waits for its end in a task of its own.
    pub(super) fn begin_watching(&self, id: &str, state: ShimState) {
        if let Some(live) = self.live().get_mut(id) {
            live.info.state = state.status;
            live.info.pid = state.pid;
            live.info.started_at_ms = state.started_at_ms;
            live.info.warnings.clone_from(&state.warnings);
        }
        let (containers, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            let end = containers.end_of(&id, &state).await;
            containers.finish(&id, end).await;
        });
    }

    /// Waits until the container is over.
    async fn end_of(&self, id: &str, state: &ShimState) -> End {
        let find = |pid, starttime| Process::find(pid, starttime, &state.boot_id);
        let (shim, init) = match (
            find(state.shim_pid, state.shim_starttime),
            find(state.pid, state.pid_starttime),
        ) {
            (Ok(shim), Ok(init)) => (shim, init),
            (Err(error), _) | (_, Err(error)) => {
                return End::Lost(format!("its processes cannot be watched: {error}"));
            }
        };
        if let (Some(shim), Some(init)) = (&shim, &init) {
            tokio::select! {
                _ = shim.ended() => {}
                _ = init.ended() => {}
            }
        }
        self.record_of(id, state, shim.as_ref()).await
    }

    /// The record, once the shim has written it; with a shim that is gone or hangs, the lack of it.
    async fn record_of(&self, id: &str, state: &ShimState, shim: Option<&Process>) -> End {
        let folder = self.folder(id);
        let deadline = Instant::now() + RECORD_TIMEOUT;
        let mut pause = LOOK_PAUSES.0;
        loop {
            // Whether the shim lives is asked before the file is looked for, since it may do both in between.
            let shim_lives = shim.is_some_and(|shim| shim.signal(0))
                && process::start_time(state.shim_pid) == Some(state.shim_starttime);
            match runc::exit_record(&folder) {
                Ok(Some(record)) => return End::Exited(record),
                Ok(None) if !shim_lives => {
                    let pid = state.shim_pid;
                    return End::Lost(format!(
                        "its shim (pid {pid}) ended without leaving an exit record"
                    ));
                }
                Ok(None) if Instant::now() < deadline => sleep(pause).await,
                Ok(None) => {
                    return End::Lost(format!("its shim left no exit record within {RECORD_TIMEOUT:?}"));
                }
                Err(error) => return End::Lost(error.to_string()),
            }
            pause = (pause * 2).min(LOOK_PAUSES.1);
        }
    }

    /// Stores how it ended, releases the shim, removes all that is left of the container and says so.
    pub(super) async fn finish(&self, id: &str, end: End) {
        if let End::Lost(why) = &end {
            tracing::warn!(container = %id, %why, "container is lost");
            self.kill_group(id).await;
        }
        let Some(info) = self.settle(id, &end) else { return };
        self.store(&info).await;
        count(match end {
            End::Exited(_) => &self.inner.counts.exited,
            End::Lost(_) => &self.inner.counts.lost,
        });
        self.clean(id).await;
        let gone = self.live().remove(id);
        tracing::info!(container = %id, state = ?info.state, code = ?info.exit_code, "container is over");
        self.tell(HostEvent::Exited(info));
        if let Some(live) = gone {
            live.over.send_replace(true);
        }
    }

    /// Fills in how it ended.
    fn settle(&self, id: &str, end: &End) -> Option<ContainerInfo> {
        let usage = self.inner.cgroups.usage(id);
        let mut table = self.live();
        let info = &mut table.get_mut(id)?.info;
        info.pid = 0;
        match end {
            End::Exited(record) => {
                info.state = ContainerStatus::Stopped;
                info.exit_code = Some(record.code);
                info.signal = record.signal;
                info.oom_killed = record.oom_killed;
                info.started_at_ms = record.started_at_ms;
                info.finished_at_ms = Some(record.finished_at_ms);
                info.cpu_ns = record.cpu_ns;
                info.memory_peak_bytes = record.memory_peak_bytes;
            }
            End::Lost(why) => {
                info.state = ContainerStatus::Lost;
                info.finished_at_ms = Some(process::unix_ms());
                info.cpu_ns = usage.cpu_ns;
                info.memory_peak_bytes = usage.memory_peak_bytes;
                info.warnings.push(why.clone());
            }
        }
        Some(info.clone())
    }

    /// Stores the record, however long it takes: until then everything stays in the run folder.
    async fn store(&self, info: &ContainerInfo) {
        loop {
            let kept = log::end(&self.log_files(&info.id), log::KEPT).unwrap_or_else(|error| {
                tracing::warn!(container = %info.id, %error, "log is not kept");
                Vec::new()
            });
            let stored = self.records().store(info.clone(), &kept);
            let Err(error) = stored else { return };
            count(&self.inner.counts.unstored);
            tracing::error!(container = %info.id, %error, remedy = error.remedy(), "end is not stored yet");
            sleep(STORE_PAUSE).await;
        }
    }

    pub(super) fn log_files(&self, id: &str) -> [PathBuf; 2] {
        let folder = self.folder(id);
        [folder.join("log.1"), folder.join("log")]
    }

    /// Ends whatever is left of a container and removes its groups and its folder.
    pub(super) async fn clean(&self, id: &str) {
        let folder = self.folder(id);
        self.release_shim(id).await;
        self.kill_group(id).await;
        self.unwatch(id);
        let (containers, name) = (self.clone(), id.to_owned());
        let removed = tokio::task::spawn_blocking(move || {
            containers.inner.cgroups.remove(&name)?;
            storage::remove_folder(&folder).map_err(|error| error.to_string())
        });
        match removed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(container = %id, %error, "something of it is left"),
            Err(error) => tracing::error!(container = %id, %error, "cleaning failed"),
        }
    }

    /// Tells the shim that it may go, and makes it go if it does not.
    async fn release_shim(&self, id: &str) {
        let folder = self.folder(id);
        let state = storage::read_json::<ShimState>(&folder.join("state.json"), runc::MAX_STATE_FILE);
        let Ok(Some(state)) = state else { return };
        let found = Process::find(state.shim_pid, state.shim_starttime, &state.boot_id);
        let Ok(Some(process)) = found else { return };
        for _ in 0..ACK_TRIES {
            let Err(error) = shim::ask(&folder, id, &ShimRequest::Ack).await else {
                break;
            };
            // It may not let go of a container that was made and never started, or that just now ends.
            tracing::debug!(%error, "acknowledgement was not taken");
            self.kill_group(id).await;
            sleep(ACK_PAUSE).await;
        }
        if tokio::time::timeout(SHIM_END_TIMEOUT, process.ended())
            .await
            .is_err()
        {
            tracing::warn!(container = %id, pid = state.shim_pid, "its shim does not end and is killed");
            process.signal(nix::libc::SIGKILL);
        }
    }

    /// Kills every process in the container's groups.
    pub(super) async fn kill_group(&self, id: &str) {
        let (containers, name) = (self.clone(), id.to_owned());
        let killed = tokio::task::spawn_blocking(move || containers.inner.cgroups.kill(&name)).await;
        match killed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "kill failed"),
            Err(error) => tracing::error!(container = %id, %error, "kill failed"),
        }
    }
}
