//! What this machine lacks for a full local network, each with its remedy.

use std::{fs, path::Path};

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What cannot be done.
    pub what: String,
    /// How to change that.
    pub remedy: String,
    /// True if not even a degraded network can run without it.
    pub fatal: bool,
}

/// Looks at the machine. An empty list means that everything can run.
pub fn lacks() -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut lack = |what: &str, remedy: &str, fatal| {
        lacks.push(Lack {
            what: what.into(),
            remedy: remedy.into(),
            fatal,
        });
    };
    if !nix::unistd::geteuid().is_root() {
        lack(
            "no root: no kernel probes and no containers",
            "run it as root (sudo -E cargo xtask up)",
            false,
        );
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        lack(
            "the kernel has no BTF: availability is measured from /proc",
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
            false,
        );
    }
    if !Path::new("/sys/fs/cgroup").join("cgroup.controllers").exists()
        && !Path::new("/sys/fs/cgroup/memory").exists()
    {
        lack(
            "no control groups: no containers",
            "mount cgroup2 on /sys/fs/cgroup",
            false,
        );
    }
    if !Path::new("/bin/busybox").exists() {
        lack(
            "no /bin/busybox: no image to run",
            "apt-get install busybox-static",
            false,
        );
    }
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if !resolvers
        .lines()
        .any(|line| line.trim_start().starts_with("nameserver"))
    {
        lack(
            "/etc/resolv.conf has no nameserver line: the consensus engine does not start without one",
            "add a line `nameserver 127.0.0.1` (it is never asked)",
            true,
        );
    }
    lacks
}
