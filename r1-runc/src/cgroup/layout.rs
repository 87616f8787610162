//! Where the cgroup hierarchies of this host are mounted.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use crate::error::{Result, io};

const ROOT: &str = "/sys/fs/cgroup";

/// The hierarchies: cgroup v2 alone, or v1 with one mount per group of controllers (a hybrid host counts as v1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    v2: Option<PathBuf>,
    v1: Vec<(Vec<String>, PathBuf)>,
}

impl Layout {
    /// Looks at this process's mounts.
    pub fn detect() -> Result<Layout> {
        if statfs(ROOT).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC) {
            return Ok(Layout {
                v2: Some(PathBuf::from(ROOT)),
                v1: Vec::new(),
            });
        }
        Ok(Layout {
            v2: None,
            v1: parse_v1(&mountinfo()?),
        })
    }

    /// Mount of cgroup2, on a hybrid or a pure host.
    pub fn cgroup2_mount() -> Result<Option<PathBuf>> {
        Ok(mounts_of(&mountinfo()?, "cgroup2")
            .map(|(dir, _)| PathBuf::from(dir))
            .next())
    }

    /// True where cgroup v2 alone is used.
    pub fn is_v2(&self) -> bool {
        self.v2.is_some()
    }

    /// Mount of the hierarchy with this controller; on v2 the one mount, whatever the name.
    pub fn mount(&self, controller: &str) -> Option<&Path> {
        if let Some(mount) = &self.v2 {
            return Some(mount);
        }
        self.v1
            .iter()
            .find(|(names, _)| names.iter().any(|n| n == controller))
            .map(|(_, dir)| dir.as_path())
    }

    /// True if this host can limit what this controller counts.
    pub fn has(&self, controller: &str) -> bool {
        match &self.v2 {
            Some(mount) => fs::read_to_string(mount.join("cgroup.controllers"))
                .is_ok_and(|names| names.split_ascii_whitespace().any(|n| n == controller)),
            None => self.mount(controller).is_some(),
        }
    }

    /// All mounts.
    pub fn mounts(&self) -> impl Iterator<Item = &Path> {
        self.v2
            .iter()
            .map(PathBuf::as_path)
            .chain(self.v1.iter().map(|(_, dir)| dir.as_path()))
    }
}

fn mountinfo() -> Result<String> {
    fs::read_to_string("/proc/self/mountinfo").map_err(io("read /proc/self/mountinfo"))
}

/// Mount point and super block options of each mount of this type.
fn mounts_of<'a>(mountinfo: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = filesystem.split(' ');
        if fields.next()? != kind {
            return None;
        }
        Some((mount.split(' ').nth(4)?, fields.nth(1).unwrap_or("")))
    })
}

fn parse_v1(mountinfo: &str) -> Vec<(Vec<String>, PathBuf)> {
    mounts_of(mountinfo, "cgroup")
        .filter(|(dir, _)| dir.starts_with(ROOT))
        .map(|(dir, options)| {
            let names = options
                .split(',')
                .filter(|o| !matches!(*o, "rw" | "ro" | "xattr"));
            (names.map(str::to_owned).collect(), PathBuf::from(dir))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_mounts() {
        let text = "33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    34 32 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                    35 32 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    36 32 0:30 / /elsewhere rw - cgroup cgroup rw,pids\n";
        let layout = Layout {
            v2: None,
            v1: parse_v1(text),
        };
        assert_eq!(
            layout.mount("cpuacct"),
            Some(Path::new("/sys/fs/cgroup/cpu,cpuacct"))
        );
        assert_eq!(layout.mount("pids"), None);
        assert_eq!(layout.mounts().count(), 2);
        assert_eq!(mounts_of(text, "cgroup2").count(), 1);
    }
}
