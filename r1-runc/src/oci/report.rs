//! What the command line prints.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use super::record::{Record, Store};
use crate::clock::rfc3339;
use crate::error::{Result, io, refused};

/// OCI runtime specification that `state` follows.
const OCI_VERSION: &str = "1.2.0";

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(io("write to standard output"))
}

fn print_json(value: &Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

fn describe(record: &Record) -> Value {
    let status = record.status();
    let pid = record
        .init
        .as_ref()
        .filter(|_| status != "stopped")
        .map_or(0, |init| init.pid);
    json!({
        "ociVersion": OCI_VERSION,
        "id": record.id,
        "pid": pid,
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": rfc3339(record.created_at_ms),
        "annotations": record.annotations,
        "owner": "root",
        "warnings": record.warnings,
    })
}

/// `state`.
pub fn state(store: &Store, id: &str) -> Result<()> {
    print_json(&describe(&store.read(id)?))
}

/// `list`.
pub fn list(store: &Store, format: &str, quiet: bool) -> Result<()> {
    let records = store.all();
    if quiet {
        let ids: String = records.iter().map(|r| format!("{}\n", r.id)).collect();
        return print(&ids);
    }
    match format {
        "json" => print_json(&Value::Array(records.iter().map(describe).collect())),
        "table" => {
            let mut text = format!(
                "{:<24} {:>8} {:<8} {:<24} BUNDLE\n",
                "ID", "PID", "STATUS", "CREATED"
            );
            for record in &records {
                let d = describe(record);
                let word = |key: &str| d[key].as_str().unwrap_or("").to_owned();
                text.push_str(&format!(
                    "{:<24} {:>8} {:<8} {:<24} {}\n",
                    record.id,
                    d["pid"],
                    word("status"),
                    word("created"),
                    word("bundle")
                ));
            }
            print(&text)
        }
        other => refused(format!("there is no format '{}'", other.escape_debug())),
    }
}

/// `ps`.
pub fn ps(store: &Store, id: &str, format: &str) -> Result<()> {
    let mut pids = store.read(id)?.cgroup()?.pids();
    pids.sort_unstable();
    match format {
        "json" => print(&format!("{}\n", json!(pids))),
        "table" => {
            let mut text = format!("{:>8} COMMAND\n", "PID");
            for pid in pids {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                text.push_str(&format!("{pid:>8} {}\n", command.trim_end().escape_debug()));
            }
            print(&text)
        }
        other => refused(format!("there is no format '{}'", other.escape_debug())),
    }
}

/// `features` (OCI runtime specification, features.md).
pub fn features() -> Result<()> {
    print_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": [
            "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion", "mand",
            "noatime", "nodev", "nodiratime", "noexec", "nomand", "norelatime", "nostrictatime", "nosuid",
            "private", "rbind", "relatime", "remount", "ro", "rprivate", "rshared", "rslave", "runbindable",
            "rw", "shared", "slave", "strictatime", "suid", "sync", "unbindable",
        ],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": crate::fit::CAPABILITIES.iter().map(|c| format!("CAP_{c}")).collect::<Vec<_>>(),
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": {
                "enabled": true,
                "actions": [
                    "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
                ],
                "operators": [
                    "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
                ],
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": false } },
        },
        "annotations": { "org.ratio1.runc.version": env!("CARGO_PKG_VERSION") },
    }))
}
