//! What the command line remembers of a container between two calls: one folder with a lock and `state.json`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::cgroup::Cgroup;
use crate::engine::Engine;
use crate::error::{Error, Result, io, refused};
use crate::process_id::{Liveness, ProcessId};
use crate::record_lock::{self, RecordLock};

const STATE: &str = "state.json";
const LOCK: &str = "lock";

/// How far a container was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Being made.
    Creating,
    /// Its init waits.
    Created,
    /// Its program was started.
    Started,
}

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format version; 1.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// How far it was brought.
    pub stage: Stage,
    /// Its init, once there is one.
    pub init: Option<ProcessId>,
    /// The OCI bundle.
    pub bundle: PathBuf,
    /// Its root file system.
    pub rootfs: String,
    /// Its cgroup, absolute.
    pub cgroup: String,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub created_at_ms: u64,
    /// Annotations of its configuration.
    pub annotations: BTreeMap<String, String>,
    /// What had to give on this host.
    pub warnings: Vec<String>,
}

impl Record {
    /// OCI status word as of now.
    pub fn status(&self) -> &'static str {
        let alive = self
            .init
            .as_ref()
            .is_some_and(|init| init.liveness() == Liveness::Alive);
        match (self.stage, alive) {
            (Stage::Creating, _) if self.init.is_none() => "creating",
            (_, false) => "stopped",
            (Stage::Creating | Stage::Created, true) => "created",
            (Stage::Started, true) => {
                let frozen = Cgroup::new(&self.cgroup).is_ok_and(|c| c.is_frozen());
                if frozen { "paused" } else { "running" }
            }
        }
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::new(&self.cgroup)
    }
}

/// All containers below one folder.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

/// A container's folder, held exclusively.
#[derive(Debug)]
pub struct Held {
    /// The folder.
    pub dir: PathBuf,
    _lock: RecordLock,
}

impl Store {
    /// The containers below `root`.
    pub fn new(root: &Path) -> Store {
        Store {
            root: root.to_path_buf(),
        }
    }

    fn dir(&self, id: &str) -> Result<PathBuf> {
        crate::spec::check_id(id)?;
        Ok(self.root.join(id))
    }

    /// Makes the folder of a new container.
    pub fn claim(&self, id: &str) -> Result<Held> {
        let dir = self.dir(id)?;
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true);
        builder
            .create(&self.root)
            .map_err(io(format!("create {}", self.root.display())))?;
        match builder.recursive(false).create(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                refused(format!("container {id}: container with given ID already exists"))
            }
            Err(e) => Err(io(format!("create {}", dir.display()))(e)),
            Ok(()) => lock(dir),
        }
    }

    /// Waits for the exclusive use of a container.
    pub fn hold(&self, id: &str) -> Result<(Held, Record)> {
        let dir = self.dir(id)?;
        if !dir.join(LOCK).exists() {
            return refused(format!("container {id}: container does not exist"));
        }
        let held = lock(dir)?;
        let record = self.read(id)?;
        Ok((held, record))
    }

    /// Reads a container's record without holding it.
    pub fn read(&self, id: &str) -> Result<Record> {
        let path = self.dir(id)?.join(STATE);
        if !path.exists() {
            return refused(format!("container {id}: container does not exist"));
        }
        let record: Record = atomic_file::read_json(&path)?;
        if record.version != 1 {
            return refused(format!(
                "container {id}: state of version {} is not known",
                record.version
            ));
        }
        Ok(record)
    }

    /// All records that can be read, by id.
    pub fn all(&self) -> Vec<Record> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let names = entries.filter_map(|e| e.file_name().into_string().ok());
        let mut records: Vec<Record> = names.filter_map(|id| self.read(&id).ok()).collect();
        records.sort_by(|a, b| a.id.cmp(&b.id));
        records
    }
}

fn lock(dir: PathBuf) -> Result<Held> {
    let lock = record_lock::wait(&dir.join(LOCK))?;
    Ok(Held { dir, _lock: lock })
}

impl Held {
    /// Replaces the record.
    pub fn save(&self, record: &Record) -> Result<()> {
        atomic_file::write_json(&self.dir, STATE, record)
    }

    /// libcontainer's view.
    pub fn engine(&self, id: &str) -> Engine {
        Engine::new(id, &self.dir)
    }

    /// Removes the folder.
    pub fn remove(self) -> Result<()> {
        // The record goes first: a folder without one is no container.
        let _ = fs::remove_file(self.dir.join(STATE));
        fs::remove_dir_all(&self.dir).map_err(|e| Error::Io {
            what: format!("remove {}", self.dir.display()),
            source: e,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, init: Option<ProcessId>) -> Record {
        Record {
            version: 1,
            id: id.to_owned(),
            stage: Stage::Created,
            init,
            bundle: PathBuf::from("/b"),
            rootfs: "/b/rootfs".to_owned(),
            cgroup: "/r1-runc-none/x".to_owned(),
            created_at_ms: 1,
            annotations: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_reused_pid_is_a_stopped_container() {
        let mut me = ProcessId::of(std::process::id() as i32).unwrap();
        assert_eq!(record("a", Some(me.clone())).status(), "created");
        me.starttime += 1;
        assert_eq!(record("a", Some(me)).status(), "stopped");
        assert_eq!(record("a", None).status(), "stopped");
    }

    #[test]
    fn one_folder_per_id() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let held = store.claim("a").unwrap();
        assert!(
            store
                .claim("a")
                .unwrap_err()
                .to_string()
                .contains("already exists")
        );
        assert!(store.read("a").is_err());
        held.save(&record("a", None)).unwrap();
        assert_eq!(store.all().len(), 1);
        held.remove().unwrap();
        assert!(
            store
                .hold("a")
                .unwrap_err()
                .to_string()
                .contains("does not exist")
        );
        assert!(store.claim("../a").is_err());
    }
}
