//! The container's cgroup: what it used, whether the OOM killer came, how all its processes are ended, and its
//! removal. libcgroups creates it and writes the limits at creation; everything later is ours, because its
//! update, event and removal functions are defective on cgroup v1.

mod layout;
mod oom;
mod update;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::libc;

pub use layout::Layout;
pub use oom::OomWatch;
pub use update::Limits;

use crate::error::{Result, io as at};

/// How often an operation that waits for processes to end is repeated.
const RETRIES: u32 = 200;
/// Longest wait between two repetitions.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// A container's cgroup: one folder per v1 hierarchy, or the one of v2.
#[derive(Debug, Clone)]
pub struct Cgroup {
    layout: Layout,
    path: String,
}

/// What a container used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its processes, nanoseconds.
    pub cpu_ns: u64,
    /// Memory charged now, bytes.
    pub memory_bytes: u64,
    /// Most memory ever charged, bytes.
    pub memory_peak_bytes: u64,
    /// Processes and threads now.
    pub pids: u64,
    /// Processes that the OOM killer ended.
    pub oom_kills: u64,
}

impl Cgroup {
    /// The cgroup at an absolute path below the hierarchies' mounts; it need not exist.
    pub fn new(path: &str) -> Result<Cgroup> {
        Ok(Cgroup {
            layout: Layout::detect()?,
            path: path.trim_matches('/').to_owned(),
        })
    }

    /// Its folder in the hierarchy of this controller.
    pub fn dir(&self, controller: &str) -> Option<PathBuf> {
        self.layout.mount(controller).map(|mount| mount.join(&self.path))
    }

    /// True if it has no name of its own: the root of the hierarchies.
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    fn dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = self.layout.mounts().map(|m| m.join(&self.path)).collect();
        dirs.sort();
        dirs.dedup();
        dirs
    }

    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        fs::read_to_string(self.dir(controller)?.join(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn keyed(&self, controller: &str, file: &str, key: &str) -> Option<u64> {
        keyed_value(&fs::read_to_string(self.dir(controller)?.join(file)).ok()?, key)
    }

    /// What it used so far; what a host does not count is 0.
    pub fn usage(&self) -> Usage {
        let usage = if self.layout.is_v2() {
            Usage {
                cpu_ns: self
                    .keyed("cpu", "cpu.stat", "usage_usec")
                    .unwrap_or(0)
                    .saturating_mul(1000),
                memory_bytes: self.number("memory", "memory.current").unwrap_or(0),
                memory_peak_bytes: self.number("memory", "memory.peak").unwrap_or(0),
                pids: self.number("pids", "pids.current").unwrap_or(0),
                oom_kills: self.keyed("memory", "memory.events", "oom_kill").unwrap_or(0),
            }
        } else {
            Usage {
                cpu_ns: self.number("cpuacct", "cpuacct.usage").unwrap_or(0),
                memory_bytes: self.number("memory", "memory.usage_in_bytes").unwrap_or(0),
                memory_peak_bytes: self.number("memory", "memory.max_usage_in_bytes").unwrap_or(0),
                pids: self.number("pids", "pids.current").unwrap_or(0),
                oom_kills: self
                    .keyed("memory", "memory.oom_control", "oom_kill")
                    .unwrap_or(0),
            }
        };
        Usage {
            memory_peak_bytes: usage.memory_peak_bytes.max(usage.memory_bytes),
            ..usage
        }
    }

    /// Host pids of its processes, those of nested cgroups included.
    pub fn pids(&self) -> Vec<i32> {
        let Some(dir) = ["pids", "devices", "memory"]
            .iter()
            .find_map(|c| self.dir(c).filter(|d| d.exists()))
        else {
            return Vec::new();
        };
        let mut pids = Vec::new();
        collect_pids(&dir, &mut pids);
        pids
    }

    /// Stops or resumes all its processes.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let (file, value, done) = if self.layout.is_v2() {
            (
                "cgroup.freeze",
                if frozen { "1" } else { "0" },
                if frozen { "frozen 1" } else { "frozen 0" },
            )
        } else {
            (
                "freezer.state",
                if frozen { "FROZEN" } else { "THAWED" },
                if frozen { "FROZEN" } else { "THAWED" },
            )
        };
        let Some(dir) = self.dir("freezer").filter(|d| d.exists()) else {
            return crate::error::refused(format!("cgroup {}: no freezer on this host", self.path));
        };
        let answer = if self.layout.is_v2() {
            "cgroup.events"
        } else {
            "freezer.state"
        };
        for attempt in 0..RETRIES {
            write_file(&dir.join(file), value)?;
            let text = fs::read_to_string(dir.join(answer)).unwrap_or_default();
            if text.lines().any(|line| line.trim() == done) {
                return Ok(());
            }
            pause(attempt);
        }
        crate::error::refused(format!("cgroup {}: its processes do not freeze", self.path))
    }

    /// True while its processes are frozen.
    pub fn is_frozen(&self) -> bool {
        if self.layout.is_v2() {
            self.number("freezer", "cgroup.freeze") == Some(1)
        } else {
            let state = self
                .dir("freezer")
                .and_then(|d| fs::read_to_string(d.join("freezer.state")).ok());
            state.is_some_and(|s| s.trim() != "THAWED")
        }
    }

    /// Sends a signal to every process in it. SIGKILL reaches also those forked meanwhile.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL && self.layout.is_v2() {
            return match self.dir("").map(|d| d.join("cgroup.kill")) {
                Some(file) if file.exists() => write_file(&file, "1"),
                _ => Ok(()),
            };
        }
        // Frozen processes cannot fork; without a freezer the caller's retry must do.
        let frozen = self.freeze(true).is_ok();
        for pid in self.pids() {
            // SAFETY: kill takes two integers. The pid was read from the frozen cgroup, so it is a member.
            unsafe { libc::kill(pid, signal) };
        }
        if frozen { self.freeze(false) } else { Ok(()) }
    }

    /// Ends every process in it and removes it from every hierarchy.
    pub fn remove(&self) -> Result<()> {
        if self.is_root() {
            return Ok(());
        }
        let mut killed = false;
        for dir in self.dirs() {
            let mut attempt = 0;
            while let Err(error) = remove_tree(&dir) {
                if attempt >= RETRIES || error.raw_os_error() != Some(libc::EBUSY) {
                    return Err(at(format!("remove {}", dir.display()))(error));
                }
                if !killed || attempt % 16 == 15 {
                    let _ = self.signal_all(libc::SIGKILL);
                    killed = true;
                }
                pause(attempt);
                attempt += 1;
            }
        }
        Ok(())
    }

    /// Reports when the OOM killer comes, if this host can tell.
    pub fn watch_oom(&self) -> Option<OomWatch> {
        OomWatch::new(&self.dir("memory")?, self.layout.is_v2()).ok()
    }

    /// Changes its limits.
    pub fn update(&self, limits: &Limits) -> Result<()> {
        update::apply(self, self.layout.is_v2(), limits)
    }
}

/// Creates one cgroup folder and puts a process into it.
pub fn join_dir(dir: &Path, pid: i32) -> Result<()> {
    fs::create_dir_all(dir).map_err(at(format!("create cgroup {}", dir.display())))?;
    inherit_cpuset(dir)?;
    write_file(&dir.join("cgroup.procs"), &pid.to_string())
}

/// A new v1 cpuset has no processors and takes no process until it has: fills it and those above it.
fn inherit_cpuset(dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let empty = |d: &&Path| fs::read_to_string(d.join(file)).is_ok_and(|text| text.trim().is_empty());
        let unset: Vec<&Path> = dir.ancestors().take_while(empty).collect();
        for folder in unset.into_iter().rev() {
            let above = folder.parent().unwrap_or(folder).join(file);
            let value = fs::read_to_string(&above).map_err(at(format!("read {}", above.display())))?;
            write_file(&folder.join(file), value.trim())?;
        }
    }
    Ok(())
}

/// Moves a process out of every cgroup that is not a hierarchy's root, into `path` of the same hierarchy.
pub fn move_away(pid: i32, path: &str) -> Result<()> {
    let file = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&file).map_err(at(format!("read {file}")))?;
    let layout = Layout::detect()?;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(current)) = (fields.next(), fields.next()) else {
            continue;
        };
        let mount = match controllers.split(',').next() {
            _ if current == "/" => None,
            None | Some("") => Layout::cgroup2_mount()?,
            Some(name) => layout.mount(name).map(Path::to_path_buf),
        };
        if let Some(mount) = mount {
            join_dir(&mount.join(path.trim_matches('/')), pid)?;
        }
    }
    Ok(())
}

/// Folder of a path in the cgroup2 mount of a hybrid host, if there is such a mount.
pub fn unified_dir(path: &str) -> Result<Option<PathBuf>> {
    Ok(Layout::cgroup2_mount()?.map(|mount| mount.join(path.trim_matches('/'))))
}

/// Removes a cgroup folder with the cgroups nested in it; a missing one is no error.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if !dir.is_dir() => return Err(e),
        Err(_) => {}
    }
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

pub(crate) fn write_file(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).map_err(at(format!("write '{value}' to {}", path.display())))
}

fn pause(attempt: u32) {
    sleep(Duration::from_millis(1 << attempt.min(5)).min(MAX_PAUSE));
}

fn collect_pids(dir: &Path, into: &mut Vec<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    into.extend(text.lines().filter_map(|l| l.trim().parse::<i32>().ok()));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect_pids(&entry.path(), into);
        }
    }
}

fn keyed_value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == key {
            value.trim().parse().ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_files() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed_value(text, "oom_kill"), Some(3));
        assert_eq!(keyed_value(text, "oom"), None);
    }

    #[test]
    fn a_missing_cgroup_reads_as_unused() {
        let cgroup = Cgroup::new("/r1-runc-no-such-cgroup").unwrap();
        assert_eq!(cgroup.usage(), Usage::default());
        assert!(cgroup.pids().is_empty());
        cgroup.remove().unwrap();
    }
}
