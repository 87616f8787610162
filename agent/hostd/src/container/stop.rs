//! Ending containers on request.

use std::time::Duration;

use nix::libc::{SIGKILL, SIGTERM};
use r1_core::ShimRequest;
use r1_host_api::{HostError, check_id, check_stop_timeout};
use tokio::time::timeout;

use super::{Containers, not_found};
use crate::shim;

/// Longest wait for the end of a container that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait of a removal for an end that is being stored.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// What containers are given when the daemon ends them all.
const EXIT_STOP_MS: u64 = 2000;

impl Containers {
    /// Ends a container: SIGTERM to its init, SIGKILL to all of it after `timeout_ms`. Returns when its end is
    /// stored and nothing of it is left; one that has ended already is fine.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or [`HostError::Failed`] if it does not end.
    pub async fn stop(&self, id: &str, timeout_ms: u64) -> Result<(), HostError> {
        check_id(id)?;
        check_stop_timeout(timeout_ms)?;
        let watched = self.live().get(id).map(|live| live.over.subscribe());
        let Some(mut over) = watched else {
            return self.records().get(id).map(drop).ok_or_else(|| not_found(id));
        };
        if !self.is_over(id) {
            self.send(id, SIGTERM, false).await;
        }
        // An error means that the sender is gone, which it is once the container is over.
        if timeout(Duration::from_millis(timeout_ms), over.wait_for(|over| *over))
            .await
            .is_ok()
        {
            return Ok(());
        }
        if !self.is_over(id) && !self.send(id, SIGKILL, true).await {
            self.kill_group(id).await;
        }
        match timeout(KILL_TIMEOUT, over.wait_for(|over| *over)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(HostError::Failed {
                message: format!("container {id:?} was killed and is not over after {KILL_TIMEOUT:?}"),
            }),
        }
    }

    /// Forgets a container that has ended; waits a moment for one whose end is being stored.
    ///
    /// # Errors
    /// [`HostError::NotFound`], [`HostError::Conflict`] while it lives, [`HostError::Storage`].
    pub async fn remove(&self, id: &str) -> Result<(), HostError> {
        check_id(id)?;
        let ending = self
            .live()
            .get(id)
            .filter(|live| live.info.is_over())
            .map(|live| live.over.subscribe());
        if let Some(mut over) = ending {
            // Its outcome is seen below.
            let _ = timeout(STORE_TIMEOUT, over.wait_for(|over| *over)).await;
        }
        if let Some(live) = self.live().get(id) {
            let what = if live.info.is_over() {
                "has ended, which is not stored yet"
            } else {
                "lives; stop it first"
            };
            return Err(HostError::Conflict {
                message: format!("container {id:?} {what}"),
            });
        }
        if !self.records().remove(id)? {
            return Err(not_found(id));
        }
        Ok(())
    }

    /// True if its end is known, though perhaps not stored yet.
    fn is_over(&self, id: &str) -> bool {
        self.live().get(id).is_none_or(|live| live.info.is_over())
    }

    /// Ends and cleans up everything that lives, then removes the daemon's own groups.
    pub async fn stop_all(&self) {
        let ids: Vec<_> = self.live().keys().cloned().collect();
        let mut tasks = tokio::task::JoinSet::new();
        for id in ids {
            let containers = self.clone();
            tasks.spawn(async move { containers.stop(&id, EXIT_STOP_MS).await });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::error!(%error, "container does not end");
            }
        }
        let containers = self.clone();
        // Blocks for a while: groups of what has just ended linger in the kernel.
        let _ = tokio::task::spawn_blocking(move || containers.inner.cgroups.remove_base()).await;
    }

    /// Sends a signal through the shim; false if that was not possible.
    async fn send(&self, id: &str, signal: i32, all: bool) -> bool {
        let sent = shim::ask(&self.folder(id), id, &ShimRequest::Kill { signal, all }).await;
        if let Err(error) = &sent {
            tracing::debug!(%error, signal, "signal was not sent");
        }
        sent.is_ok()
    }
}
