//! The default sandbox, written as an OCI `config.json`.

mod command;
mod request;
mod seccomp;

use std::path::Path;

use serde_json::{Value, json};

pub use command::{Options, run};
pub use request::{ID_RANGE, Request, check_cgroup, check_id};

use crate::error::{Error, Result};

/// Annotation: show the root file system's owners shifted into the container's user namespace.
pub const IDMAP_ROOTFS: &str = "org.ratio1.rootfs.idmap";

/// Period of the processor quota, microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// Smallest quota the kernel takes, microseconds.
const MIN_QUOTA_US: u64 = 1_000;
/// A container is a better victim of the host's OOM killer than the host's own services.
const OOM_SCORE_ADJ: i32 = 500;
/// Open files of a container's process.
const MAX_OPEN_FILES: u64 = 65_536;
/// Largest /tmp, bytes; its pages count as the container's memory.
const MAX_TMP_BYTES: u64 = 256 << 20;
/// Group of terminals in every distribution.
const TTY_GID: u32 = 5;

/// Paths of /proc and /sys that show or change the host.
const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths of /proc that may be read only.
const READONLY_PATHS: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The configuration of a sandbox for this request over this root file system.
pub fn build(request: &Request, rootfs: &Path) -> Result<Value> {
    request.check()?;
    let rootfs = rootfs
        .to_str()
        .ok_or_else(|| Error::Refused("rootfs: not UTF-8".to_owned()))?;
    let config = json!({
        "ociVersion": "1.2.0",
        "root": { "path": rootfs, "readonly": true },
        "hostname": request.hostname(),
        "annotations": { IDMAP_ROOTFS: "true" },
        "process": process(request),
        "mounts": mounts(request),
        "linux": linux(request),
    });
    Ok(config)
}

fn process(request: &Request) -> Value {
    let mut env: Vec<String> = request.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    for (name, value) in [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
    ] {
        if !request.env.contains_key(name) {
            env.push(format!("{name}={value}"));
        }
    }
    json!({
        "terminal": false,
        "user": { "uid": 0, "gid": 0, "umask": 0o022 },
        "args": request.command,
        "env": env,
        "cwd": "/",
        "noNewPrivileges": true,
        "oomScoreAdj": OOM_SCORE_ADJ,
        "capabilities": {
            "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [],
        },
        "rlimits": [
            { "type": "RLIMIT_NOFILE", "soft": 1024, "hard": MAX_OPEN_FILES },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
        ],
    })
}

fn mounts(request: &Request) -> Value {
    let tmp = request.memory_bytes.min(MAX_TMP_BYTES);
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"]
        ),
        mount(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                &format!("gid={TTY_GID}")
            ]
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={tmp}")]
        ),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount(
            "/tmp",
            "tmpfs",
            &["nosuid", "nodev", "mode=1777", &format!("size={tmp}")]
        ),
        mount("/run", "tmpfs", &["nosuid", "nodev", "mode=755", "size=16m"]),
    ])
}

fn linux(request: &Request) -> Value {
    let mapping = json!([{ "containerID": 0, "hostID": request.uid_base, "size": ID_RANGE }]);
    let namespaces: Vec<Value> = ["user", "pid", "mount", "network", "ipc", "uts", "cgroup"]
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    json!({
        "cgroupsPath": request.cgroup,
        "namespaces": namespaces,
        "uidMappings": mapping,
        "gidMappings": mapping,
        "resources": resources(request),
        "seccomp": seccomp::profile(),
        "maskedPaths": MASKED_PATHS,
        "readonlyPaths": READONLY_PATHS,
        "rootfsPropagation": "private",
    })
}

fn resources(request: &Request) -> Value {
    let quota = ((request.cpu * CPU_PERIOD_US as f64) as u64).max(MIN_QUOTA_US);
    let shares = ((request.cpu * 1024.0) as u64).clamp(2, 262_144);
    json!({
        "devices": [{ "allow": false, "access": "rwm" }],
        "memory": { "limit": request.memory_bytes, "swap": request.memory_bytes },
        "cpu": { "quota": quota, "period": CPU_PERIOD_US, "shares": shares },
        "pids": { "limit": request.pids },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        serde_json::from_value(json!({
            "id": "a", "command": ["true"], "cpu": 0.2, "memory_bytes": 1 << 26, "pids": 10,
            "hostname": "h", "cgroup": "/r1/a", "uid_base": 100_000, "env": { "A": "b=c" },
        }))
        .unwrap()
    }

    #[test]
    fn is_a_valid_oci_spec() {
        let config = build(&request(), Path::new("/rootfs")).unwrap();
        let spec: oci_spec::runtime::Spec = serde_json::from_value(config.clone()).unwrap();
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.uid_mappings().as_ref().unwrap()[0].host_id(), 100_000);
        assert!(spec.process().as_ref().unwrap().no_new_privileges().unwrap());
        assert!(spec.root().as_ref().unwrap().readonly().unwrap());
        assert_eq!(config["linux"]["resources"]["cpu"]["quota"], 20_000);
        assert_eq!(config["linux"]["resources"]["memory"]["swap"], 1 << 26);
        assert!(
            config["process"]["env"]
                .as_array()
                .unwrap()
                .contains(&json!("A=b=c"))
        );
    }

    #[test]
    fn a_request_is_checked() {
        let mut bad = request();
        bad.uid_base = 0;
        assert!(build(&bad, Path::new("/r")).is_err());
    }
}
