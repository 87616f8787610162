//! Control groups: which kind the host has, the groups of containers, their use, and killing by group.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::libc;
use r1_host_api::{CgroupMode, ContainerUsage};

use crate::process::Process;

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Controllers without which a container would have no limits.
const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];
/// A version 1 hierarchy without controller, which systemd uses for its own bookkeeping.
const SYSTEMD: &str = "systemd";
/// How often a group is asked to empty before it is given up.
const KILL_ROUNDS: u32 = 200;
/// Time between two such rounds.
const KILL_PAUSE: Duration = Duration::from_millis(10);
/// How often a group is tried to be removed.
const REMOVE_ROUNDS: u32 = 100;
/// Deepest nesting of groups inside a container's group that is cleaned up.
const MAX_DEPTH: u32 = 8;

/// The control groups of this host, and the part of them that belongs to this daemon.
#[derive(Debug, Clone)]
pub struct Cgroups {
    mode: CgroupMode,
    /// Mount points of the controllers found: several on version 1, one on version 2.
    hierarchies: Vec<(String, PathBuf)>,
    /// Mount point of the version 2 tree, if any.
    unified: Option<PathBuf>,
    /// This daemon's group below each mount point, without a leading slash.
    base: String,
}

impl Cgroups {
    /// Looks at what is mounted under `/sys/fs/cgroup`; changes nothing.
    ///
    /// # Errors
    /// A line that names the fault if `base` is not an absolute path of plain components.
    pub fn detect(base: &str) -> Result<Self, String> {
        let plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\n']);
        let relative = base.strip_prefix('/').unwrap_or_default();
        if !relative.split('/').all(plain) {
            return Err(format!(
                "--cgroup {base:?} is not an absolute path below the mount point, like /r1/containers"
            ));
        }
        let root = Path::new(ROOT);
        let is_v2 = |path: &Path| path.join("cgroup.controllers").is_file();
        let base = relative.to_owned();
        if is_v2(root) {
            let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            let names = controllers.split_ascii_whitespace();
            let hierarchies = names.map(|name| (name.to_owned(), root.to_owned())).collect();
            return Ok(Self {
                mode: CgroupMode::V2,
                hierarchies,
                unified: Some(root.to_owned()),
                base,
            });
        }
        let hierarchies = version_1(root);
        let unified = Some(root.join("unified")).filter(|path| is_v2(path));
        let mode = match (hierarchies.is_empty(), unified.is_some()) {
            (true, _) => CgroupMode::None,
            (false, true) => CgroupMode::Hybrid,
            (false, false) => CgroupMode::V1,
        };
        Ok(Self {
            mode,
            hierarchies,
            unified,
            base,
        })
    }

    /// How the controllers are mounted.
    pub fn mode(&self) -> CgroupMode {
        self.mode
    }

    /// Names of the controllers found.
    pub fn controllers(&self) -> Vec<String> {
        self.hierarchies.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Tries whether groups can be made under the base, by making it.
    ///
    /// # Errors
    /// A line that says which controller or path stands in the way.
    pub fn check_writable(&self) -> Result<(), String> {
        let found = self.controllers();
        if let Some(missing) = NEEDED.iter().find(|name| !found.iter().any(|has| has == *name)) {
            return Err(format!("the {missing} controller is not mounted under {ROOT}"));
        }
        let needed = self
            .hierarchies
            .iter()
            .filter(|(name, _)| NEEDED.contains(&name.as_str()));
        let needed = needed.map(|(_, root)| root).chain(&self.unified);
        for path in needed.map(|root| root.join(&self.base)) {
            fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Path of a container's group below each mount point, as `r1-runc` wants it.
    pub fn path_of(&self, id: &str) -> String {
        format!("/{}/{id}", self.base)
    }

    /// Folder of a container's group in the version 2 tree of a hybrid host, where kernel meters look for it.
    pub fn leaf_of(&self, id: &str) -> Option<PathBuf> {
        self.unified
            .as_ref()
            .filter(|_| self.mode == CgroupMode::Hybrid)
            .map(|root| root.join(&self.base).join(id))
    }

    /// Folder of a container's group in a version 2 tree, whether that carries the controllers or not.
    pub fn unified_of(&self, id: &str) -> Option<PathBuf> {
        self.unified.as_ref().map(|root| root.join(&self.base).join(id))
    }

    /// Use of a container so far, as far as its groups say.
    pub fn usage(&self, id: &str) -> ContainerUsage {
        let number = |controller: &str, file: &str| -> u64 {
            let Some((_, root)) = self.hierarchies.iter().find(|(name, _)| name == controller) else {
                return 0;
            };
            let text = fs::read_to_string(root.join(&self.base).join(id).join(file)).unwrap_or_default();
            text.trim_end().parse().unwrap_or(0)
        };
        if self.mode == CgroupMode::V2 {
            return ContainerUsage {
                cpu_ns: self.cpu_stat_ns(id),
                memory_bytes: number("memory", "memory.current"),
                memory_peak_bytes: number("memory", "memory.peak"),
                pids: number("pids", "pids.current"),
                ..ContainerUsage::default()
            };
        }
        ContainerUsage {
            cpu_ns: number("cpuacct", "cpuacct.usage"),
            memory_bytes: number("memory", "memory.usage_in_bytes"),
            memory_peak_bytes: number("memory", "memory.max_usage_in_bytes"),
            pids: number("pids", "pids.current"),
            ..ContainerUsage::default()
        }
    }

    fn cpu_stat_ns(&self, id: &str) -> u64 {
        let path = Path::new(ROOT).join(&self.base).join(id).join("cpu.stat");
        let text = fs::read_to_string(path).unwrap_or_default();
        let micros = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok());
        micros.unwrap_or(0) * 1000
    }

    /// Kills every process of a container, found through its groups, and waits until there is none. Blocks for
    /// up to two seconds.
    ///
    /// # Errors
    /// A line that names the group which does not empty.
    pub fn kill(&self, id: &str) -> Result<(), String> {
        let folders: Vec<_> = self
            .folders_of(id)
            .into_iter()
            .filter(|folder| folder.is_dir())
            .collect();
        for round in 0..KILL_ROUNDS {
            let mut left = 0;
            for folder in &folders {
                left += kill_once(folder, MAX_DEPTH);
            }
            if left == 0 {
                return Ok(());
            }
            if round + 1 < KILL_ROUNDS {
                thread::sleep(KILL_PAUSE);
            }
        }
        Err(format!(
            "container {id:?}: processes in its control group {} do not end",
            self.path_of(id)
        ))
    }

    /// Removes the (empty) groups of a container; those that are not there are fine.
    ///
    /// # Errors
    /// A line that names the folder that stays.
    pub fn remove(&self, id: &str) -> Result<(), String> {
        self.folders_of(id)
            .iter()
            .try_for_each(|folder| remove_tree(folder, MAX_DEPTH))
    }

    /// Removes the base groups with what is empty in them (the shims' own group, say), and parents that nobody
    /// else uses. Blocks for up to a second per hierarchy.
    pub fn remove_base(&self) {
        for folder in self.folders_of("") {
            // What is not empty belongs to someone who lives.
            if remove_tree(&folder, MAX_DEPTH).is_ok() {
                let parents = folder.ancestors().skip(1).take(self.base.split('/').count() - 1);
                parents
                    .take_while(|parent| fs::remove_dir(parent).is_ok())
                    .for_each(drop);
            }
        }
    }

    /// The folder of a group in every hierarchy, each once.
    fn folders_of(&self, id: &str) -> Vec<PathBuf> {
        let below = |root: &PathBuf| {
            if id.is_empty() {
                root.join(&self.base)
            } else {
                root.join(&self.base).join(id)
            }
        };
        let mut folders: Vec<_> = self.hierarchies.iter().map(|(_, root)| below(root)).collect();
        folders.extend(self.unified.as_ref().map(below));
        folders.sort();
        folders.dedup();
        folders
    }
}

/// Every version 1 hierarchy, also those that this daemon sets no limits in: the runtime makes groups in all.
fn version_1(root: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // Controllers that are mounted together have one folder and links to it, so paths are made canonical.
    for path in entries
        .flatten()
        .filter_map(|entry| entry.path().canonicalize().ok())
    {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name != SYSTEMD && path.join("tasks").is_file() {
            found.extend(name.split(',').map(|name| (name.to_owned(), path.clone())));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Tries again for a while where the kernel has not yet taken leave of processes or child groups that are gone.
fn remove_group(folder: &Path) -> io::Result<()> {
    for _ in 0..REMOVE_ROUNDS {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(KILL_PAUSE),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => return removed,
        }
    }
    fs::remove_dir(folder)
}

fn pids_in(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 0)
        .collect()
}

fn children_of(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// One round: freeze (so that no fork escapes the list), kill, thaw. Returns how many processes it saw.
fn kill_once(folder: &Path, depth: u32) -> usize {
    let mut seen = 0;
    if depth > 0 {
        for child in children_of(folder) {
            seen += kill_once(&child, depth - 1);
        }
    }
    if pids_in(folder).is_empty() {
        return seen;
    }
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return seen + 1;
    }
    let freezer = folder.join("freezer.state");
    let frozen = fs::write(&freezer, "FROZEN").is_ok();
    let pids = pids_in(folder);
    seen += pids.len();
    for pid in pids {
        let Ok(Some(process)) = Process::open(pid) else {
            continue;
        };
        // Looked up again after the pidfd was opened: a number that was reused in between is not in the list.
        if pids_in(folder).contains(&pid) {
            process.signal(libc::SIGKILL);
        }
    }
    if frozen {
        // A frozen process dies only once it is thawed; if this fails, the next round tries again.
        let _ = fs::write(&freezer, "THAWED");
    }
    seen
}

fn remove_tree(folder: &Path, depth: u32) -> Result<(), String> {
    if depth > 0 {
        for child in children_of(folder) {
            remove_tree(&child, depth - 1)?;
        }
    }
    remove_group(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_leads_elsewhere_is_refused() {
        for base in ["", "/", "r1", "/r1/../x", "/r1//x", "/r1/"] {
            assert!(Cgroups::detect(base).is_err(), "{base:?}");
        }
        let found = Cgroups::detect("/r1/test").unwrap();
        assert_eq!(found.path_of("a"), "/r1/test/a");
    }
}
