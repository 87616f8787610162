//! Records of containers that ended: `<state>/containers/<id>.json`, with the end of its log in `<id>.log`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use r1_host_api::{ContainerInfo, check_id};
use serde::{Deserialize, Serialize};

use crate::storage::{self, StorageError, at};

/// Format of a record.
const VERSION: u32 = 1;
/// Largest record that is read.
const MAX_RECORD: u64 = 256 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    container: ContainerInfo,
}

/// The records, all of them also in memory.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
    most: usize,
    known: BTreeMap<String, ContainerInfo>,
}

impl Records {
    /// Reads what is there. A record that cannot be read is set aside with a warning, not a reason to stop.
    pub(super) fn open(folder: PathBuf, most: usize) -> Result<Self, StorageError> {
        storage::make_folder(&folder, 0o700)?;
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(at("list", &folder))? {
            let path = entry.map_err(at("list", &folder))?.path();
            let Some(id) = record_id(&path) else { continue };
            match storage::read_json::<Stored>(&path, MAX_RECORD) {
                Ok(Some(stored)) if stored.version == VERSION && stored.container.id == id => {
                    known.insert(id, stored.container);
                }
                Ok(_) => tracing::warn!(path = %path.display(), "record is of another version or container"),
                Err(error) => tracing::warn!(%error, "record is not usable"),
            }
        }
        Ok(Self {
            folder,
            most: most.max(1),
            known,
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &ContainerInfo> {
        self.known.values()
    }

    pub(super) fn get(&self, id: &str) -> Option<&ContainerInfo> {
        self.known.get(id)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn log_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.log"))
    }

    /// Stores a container that ended; on return it survives a crash. The oldest records beyond the limit go.
    pub(super) fn store(&mut self, info: ContainerInfo, log: &[u8]) -> Result<(), StorageError> {
        // The log first: a log without record is dropped at the next storing, a record always finds its log.
        storage::replace_file(&self.log_path(&info.id), log)?;
        let stored = Stored {
            version: VERSION,
            container: info,
        };
        let path = self.record_path(&stored.container.id);
        let json = serde_json::to_vec(&stored).map_err(|error| StorageError::Content {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        if let Err(error) = storage::replace_file(&path, &json) {
            // Nothing half-stored: whoever retries brings the log again.
            let _ = storage::remove_file(&self.log_path(&stored.container.id));
            return Err(error);
        }
        self.known.insert(stored.container.id.clone(), stored.container);
        self.drop_oldest();
        Ok(())
    }

    /// Removes a record; false if there was none.
    pub(super) fn remove(&mut self, id: &str) -> Result<bool, StorageError> {
        if !self.known.contains_key(id) {
            return Ok(false);
        }
        storage::remove_file(&self.record_path(id))?;
        storage::remove_file(&self.log_path(id))?;
        Ok(self.known.remove(id).is_some())
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn drop_oldest(&mut self) {
        while self.known.len() > self.most {
            let oldest = self
                .known
                .values()
                .min_by_key(|info| info.finished_at_ms.unwrap_or(info.created_at_ms));
            let Some(id) = oldest.map(|info| info.id.clone()) else {
                return;
            };
            if let Err(error) = self.remove(&id) {
                tracing::warn!(%error, container = %id, "old record stays");
                return;
            }
        }
    }
}

/// The id in the name of a record file; other files are not records.
fn record_id(path: &Path) -> Option<String> {
    let id = path.file_name()?.to_str()?.strip_suffix(".json")?;
    check_id(id).ok().map(|()| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use r1_core::ContainerStatus;

    fn ended(id: &str, at_ms: u64) -> ContainerInfo {
        ContainerInfo {
            id: id.into(),
            image: "busybox".into(),
            state: ContainerStatus::Stopped,
            pid: 0,
            created_at_ms: at_ms,
            started_at_ms: at_ms,
            finished_at_ms: Some(at_ms),
            exit_code: Some(0),
            signal: None,
            oom_killed: false,
            cpu_ns: 1,
            memory_peak_bytes: 1,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn records_survive_and_the_oldest_give_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::open(folder.path().into(), 2).unwrap();
        for (id, at_ms) in [("b", 1), ("c", 3), ("a", 2)] {
            records.store(ended(id, at_ms), b"log").unwrap();
        }
        fs::write(folder.path().join("torn.json"), b"{").unwrap();
        let records = Records::open(folder.path().into(), 2).unwrap();
        let ids: Vec<_> = records.all().map(|info| info.id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
        assert!(!records.log_path("b").exists());
        assert!(records.log_path("c").exists());
    }

    #[test]
    fn a_removed_record_is_gone_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::open(folder.path().into(), 9).unwrap();
        records.store(ended("a", 1), b"").unwrap();
        assert!(records.remove("a").unwrap());
        assert!(!records.remove("a").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
