//! Whose folder it is: a new network is laid out only where nothing of anybody else would be overwritten.
//!
//! A network's folder is known by its `network.json`. Until that is written, [`MARKER`] says that what lies below is
//! the rest of an interrupted first start; only such a rest is removed, file by file and never a whole tree.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, at},
    layout::Role,
};

/// What makes a folder a network's.
pub(crate) const NETWORK: &str = "network.json";
/// There while a network is laid out for the first time.
const MARKER: &str = "network.starting";
/// Most bytes of a lock file: a process id.
const LOCK_BYTES: u64 = 20;

/// Refuses a folder whose files a new network would overwrite or share. Changes nothing.
///
/// # Errors
/// [`Error::Foreign`] with the first such file; [`Error::File`].
pub(crate) fn refuse_foreign(dir: &Path) -> Result<(), Error> {
    if exists(&dir.join(NETWORK))? {
        return Ok(());
    }
    let interrupted = exists(&dir.join(MARKER))?;
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let ours = match name.as_str() {
            "lock" => is_lock(&path)?,
            "genesis.json" | "processes.json" => false,
            node if is_node(node) => is_rest(&path, interrupted)?,
            _ => true,
        };
        if !ours {
            return Err(Error::Foreign { path });
        }
    }
    Ok(())
}

/// Says that the folder is being laid out, and removes what an interrupted first start left for some nodes.
///
/// # Errors
/// [`Error::Foreign`]; [`Error::File`].
pub(crate) fn begin(dir: &Path) -> Result<(), Error> {
    refuse_foreign(dir)?;
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        if !is_node(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let folder = entry.path();
        for path in files(&folder)? {
            fs::remove_file(&path).map_err(at(&path))?;
        }
        // Fails, rather than removes, if something has come meanwhile.
        fs::remove_dir(&folder).map_err(at(&folder))?;
    }
    let marker = dir.join(MARKER);
    fs::File::create(&marker)
        .and_then(|file| file.sync_all())
        .map_err(at(&marker))
}

/// The folder is a network's from now on: its `network.json` is written.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn finish(dir: &Path) -> Result<(), Error> {
    let marker = dir.join(MARKER);
    match fs::remove_file(&marker) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(marker)(error)),
        _ => Ok(()),
    }
}

/// `oracle-1`, `worker-2`.
fn is_node(name: &str) -> bool {
    [Role::Oracle, Role::Worker].iter().any(|role| {
        name.strip_prefix(role.name())
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|number| number.parse::<u16>().is_ok())
    })
}

/// A node's folder as a first start leaves it before the network is whole: empty, or (with the marker) with a key
/// that no network knows.
fn is_rest(path: &Path, interrupted: bool) -> Result<bool, Error> {
    if !fs::symlink_metadata(path).map_err(at(path))?.is_dir() {
        return Ok(false);
    }
    for file in files(path)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_key = name == "key.pem" || (name.starts_with("key.pem.") && name.ends_with(".tmp"));
        let is_file = fs::symlink_metadata(&file).map_err(at(&file))?.is_file();
        if !(interrupted && is_key && is_file) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A lock file of ours holds a process id or nothing.
fn is_lock(path: &Path) -> Result<bool, Error> {
    let metadata = fs::symlink_metadata(path).map_err(at(path))?;
    if !metadata.is_file() || metadata.len() > LOCK_BYTES {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(at(path))?;
    Ok(bytes.iter().all(u8::is_ascii_digit))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(at(folder)))
        .collect()
}

fn exists(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(at(path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Layout, Network, Plan};

    /// A folder of one test; gone when it ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("r1-claim-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path.canonicalize().unwrap())
        }

        fn put(&self, file: &str, text: &str) {
            let path = self.0.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Lays a network out with a program that makes keys as `r1d keygen` does.
        fn open(&self) -> Result<Layout, Error> {
            Layout::open(&self.0, 1, 1, Duration::from_secs(1), &self.keygen())
        }

        fn keygen(&self) -> PathBuf {
            use std::os::unix::fs::PermissionsExt as _;

            let program = self.0.join("r1d");
            let script = "#!/bin/sh\ntest ! -e $3 && echo key > $3 && \
                          echo '{\"address\":\"0xai_x\",\"eth_address\":\"0x0\"}'\n";
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            program
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_of_anybody_else_is_overwritten_or_removed() {
        for (name, file) in [
            ("data", "worker-1/thesis.txt"),
            ("key", "oracle-1/key.pem"),
            ("other", "oracle-7/x"),
            ("deep", "oracle-1/r1d/data.mdb"),
            ("file", "worker-1"),
            ("genesis", "genesis.json"),
            ("lock", "lock"),
        ] {
            let folder = Folder::new(name);
            folder.put(file, "precious, 21 bytes...");
            let refused = folder.open().unwrap_err().to_string();
            assert!(refused.contains("--dir"), "{refused}");
            let plan = Plan {
                dir: folder.0.clone(),
                bin: folder.0.clone(),
                oracles: 1,
                workers: 1,
                epoch: Duration::from_secs(1),
            };
            assert!(Network::prepare(&plan, &mut |_| ()).is_err());
            let left = fs::read_to_string(folder.0.join(file)).unwrap();
            assert_eq!(left, "precious, 21 bytes...");
            assert!(!folder.0.join(MARKER).exists() && !folder.0.join(NETWORK).exists());
        }
    }

    #[test]
    fn what_an_interrupted_first_start_left_is_made_anew() {
        let folder = Folder::new("rest");
        folder.put(MARKER, "");
        folder.put("lock", "4711");
        folder.put("oracle-1/key.pem", "old");
        folder.put("worker-1/key.pem.17.tmp", "half");
        let layout = folder.open().unwrap();
        let key = layout.nodes[0].dir.join("key.pem");
        assert_eq!(fs::read_to_string(&key).unwrap(), "key\n");
        assert!(!folder.0.join("worker-1/key.pem.17.tmp").exists());
        assert!(!folder.0.join(MARKER).exists());
        // The same folder goes on as it is.
        assert_eq!(folder.open().unwrap(), layout);
    }

    #[test]
    fn even_an_interrupted_start_removes_no_more_than_its_keys() {
        let folder = Folder::new("more");
        folder.put(MARKER, "");
        folder.put("oracle-1/key.pem", "old");
        folder.put("worker-1/hostd/state", "somebody's");
        assert!(matches!(folder.open(), Err(Error::Foreign { .. })));
        assert!(folder.0.join("oracle-1/key.pem").exists());
        assert!(folder.0.join("worker-1/hostd/state").exists());
    }

    #[test]
    fn other_files_beside_a_network_do_not_hinder_it() {
        let folder = Folder::new("beside");
        folder.put("notes.txt", "mine");
        folder.put("oracle-x/notes.txt", "mine");
        folder.open().unwrap();
        assert!(folder.0.join("oracle-x/notes.txt").exists());
    }
}
