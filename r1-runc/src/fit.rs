//! Adapts a bundle's configuration to what this host and libcontainer can do, and says what had to give.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value, json};

use crate::cgroup::Layout;
use crate::error::{Error, Result, io, refused};
use crate::idmap::{self, Mapping};
use crate::spec::IDMAP_ROOTFS;

/// A configuration that libcontainer can make a container of.
#[derive(Debug)]
pub struct Fitted {
    /// The configuration.
    pub config: Value,
    /// The container's cgroup, absolute.
    pub cgroup: String,
    /// Host uid and gid of root inside, if there is a user namespace.
    pub owner: Option<(u32, u32)>,
    /// To be written to the init's `oom_score_adj`: libcontainer would write it to its caller's.
    pub oom_score_adj: Option<i64>,
    /// It gets a network of its own.
    pub new_network: bool,
    /// The program wants a terminal.
    pub terminal: bool,
    /// What had to give, one line each.
    pub warnings: Vec<String>,
}

/// Reads `<bundle>/config.json`.
pub fn load(bundle: &Path) -> Result<Value> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).map_err(io(format!("read {}", path.display())))?;
    serde_json::from_slice(&text).map_err(|e| Error::Refused(format!("{}: {e}", path.display())))
}

/// Adapts `config`. `cgroup` replaces the configuration's own path.
pub fn fit(mut config: Value, bundle: &Path, id: &str, cgroup: Option<&str>) -> Result<Fitted> {
    let mut warnings = Vec::new();
    let root = config["root"]["path"].as_str().map(PathBuf::from);
    let Some(root) = root else {
        return refused(format!("{id}: config.json has no root.path"));
    };
    let root = bundle.join(root);
    let root = fs::canonicalize(&root).map_err(io(format!("rootfs {}", root.display())))?;
    config["root"]["path"] = path_value(&root)?;

    let cgroup = match cgroup {
        Some(path) => path.to_owned(),
        None => cgroup_path(config["linux"]["cgroupsPath"].as_str(), id),
    };
    crate::spec::check_cgroup(&cgroup)?;
    config["linux"]["cgroupsPath"] = json!(cgroup);

    let new_userns = has_new_namespace(&config, "user");
    clamp_rlimits(&mut config, new_userns, &mut warnings);
    check_capabilities(&mut config, new_userns, &mut warnings)?;
    drop_missing_limits(&mut config, new_userns, &mut warnings)?;
    let oom_score_adj = config["process"]
        .as_object_mut()
        .and_then(|p| p.remove("oomScoreAdj"));
    let owner = if new_userns {
        let first = |maps: &[Mapping]| maps.iter().find(|m| m.inside == 0).map(|m| m.host);
        first(&mappings(&config, "uidMappings")?).zip(first(&mappings(&config, "gidMappings")?))
    } else {
        None
    };
    Ok(Fitted {
        cgroup,
        owner,
        oom_score_adj: oom_score_adj.and_then(|v| v.as_i64()),
        new_network: has_new_namespace(&config, "network"),
        terminal: config["process"]["terminal"].as_bool().unwrap_or(false),
        config,
        warnings,
    })
}

/// Shows the root file system through an id-mapped mount, if the configuration asks for it.
pub fn map_rootfs(fitted: &mut Fitted, in_use: &[&Path]) -> Result<()> {
    if fitted.owner.is_none() || fitted.config["annotations"][IDMAP_ROOTFS].as_str() != Some("true") {
        return Ok(());
    }
    let root = PathBuf::from(fitted.config["root"]["path"].as_str().unwrap_or_default());
    let uids = mappings(&fitted.config, "uidMappings")?;
    let gids = mappings(&fitted.config, "gidMappings")?;
    let sources: Vec<PathBuf> = fitted.config["mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|m| m["source"].as_str().map(PathBuf::from))
        .collect();
    let mut in_use = in_use.to_vec();
    in_use.extend(sources.iter().map(PathBuf::as_path));
    let shown = idmap::mount_rootfs(&root, &uids, &gids, &in_use)?;
    fitted.config["root"]["path"] = path_value(&shown.at)?;
    fitted.warnings.extend(shown.warning);
    Ok(())
}

fn path_value(path: &Path) -> Result<Value> {
    match path.to_str() {
        Some(text) => Ok(json!(text)),
        None => refused(format!("{}: not UTF-8", path.display())),
    }
}

/// libcontainer asks for the systemd driver unless the path is absolute, so it always is.
fn cgroup_path(asked: Option<&str>, id: &str) -> String {
    match asked {
        None | Some("") => format!("/r1-runc/{id}"),
        Some(path) if path.starts_with('/') => path.trim_end_matches('/').to_owned(),
        // systemd's form "slice:prefix:name", where no systemd is asked.
        Some(path) => match path.split(':').collect::<Vec<_>>()[..] {
            [slice, prefix, name] => format!("/{slice}/{prefix}-{name}.scope").replace("//", "/"),
            _ => format!("/{}", path.trim_end_matches('/')),
        },
    }
}

fn has_new_namespace(config: &Value, kind: &str) -> bool {
    let namespaces = config["linux"]["namespaces"].as_array();
    let made = |n: &Value| n["type"] == kind && n["path"].as_str().is_none_or(str::is_empty);
    namespaces.into_iter().flatten().any(made)
}

fn mappings(config: &Value, key: &str) -> Result<Vec<Mapping>> {
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    let list = config["linux"][key].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|m| {
            let fields = number(&m["containerID"])
                .zip(number(&m["hostID"]))
                .zip(number(&m["size"]));
            let ((inside, host), size) =
                fields.ok_or_else(|| Error::Refused(format!("linux.{key}: {m} is not a mapping")))?;
            Ok(Mapping { inside, host, size })
        })
        .collect()
}

/// A limit above the host's hard limit needs CAP_SYS_RESOURCE in the first user namespace.
fn clamp_rlimits(config: &mut Value, new_userns: bool, warnings: &mut Vec<String>) {
    const CAP_SYS_RESOURCE: u32 = 24;
    if !new_userns && status_mask("CapEff:").is_some_and(|mask| mask >> CAP_SYS_RESOURCE & 1 == 1) {
        return;
    }
    let Some(list) = config["process"]["rlimits"].as_array_mut() else {
        return;
    };
    for limit in list {
        let Some((name, resource)) = limit["type"]
            .as_str()
            .and_then(|n| Some((n.to_owned(), resource(n)?)))
        else {
            continue;
        };
        let Ok((_, hard)) = getrlimit(resource) else {
            continue;
        };
        for field in ["hard", "soft"] {
            if let Some(asked) = limit[field].as_u64().filter(|asked| *asked > hard) {
                limit[field] = json!(hard);
                if field == "hard" {
                    warnings.push(format!("{name} {asked} lowered to {hard}, the host's hard limit"));
                }
            }
        }
    }
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

/// A hexadecimal mask out of `/proc/self/status`.
fn status_mask(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Names by number, as in linux/capability.h.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Refuses unknown capabilities and leaves out those this process cannot give. A new user namespace has them all.
fn check_capabilities(config: &mut Value, new_userns: bool, warnings: &mut Vec<String>) -> Result<()> {
    let bounding = if new_userns {
        u64::MAX
    } else {
        status_mask("CapBnd:").unwrap_or(u64::MAX)
    };
    let Some(sets) = config["process"]["capabilities"].as_object_mut() else {
        return Ok(());
    };
    let mut missing = BTreeSet::new();
    for set in sets.values_mut() {
        let Some(list) = set.as_array_mut() else { continue };
        let mut kept = Vec::with_capacity(list.len());
        for name in list.iter() {
            let text = name.as_str().unwrap_or_default();
            let number = CAPABILITIES
                .iter()
                .position(|c| text.strip_prefix("CAP_").unwrap_or(text) == *c);
            match number {
                None => return refused(format!("config.json: no capability is called {name}")),
                Some(n) if bounding >> n & 1 == 1 => kept.push(name.clone()),
                Some(_) => drop(missing.insert(text.to_owned())),
            }
        }
        *list = kept;
    }
    warnings.extend(
        missing
            .iter()
            .map(|name| format!("{name} left out: this host cannot give it")),
    );
    Ok(())
}

/// Leaves out the limits that this host's kernel cannot keep: libcontainer would fail on the missing files.
fn drop_missing_limits(config: &mut Value, new_userns: bool, warnings: &mut Vec<String>) -> Result<()> {
    const CONTROLLERS: [(&str, &str, &str); 5] = [
        ("memory", "memory", "memory"),
        ("cpu", "cpu", "cpu"),
        ("pids", "pids", "pids"),
        ("blockIO", "blkio", "io"),
        ("hugepageLimits", "hugetlb", "hugetlb"),
    ];
    let layout = Layout::detect()?;
    let Some(resources) = config["linux"]["resources"].as_object_mut() else {
        return Ok(());
    };
    for (key, v1, v2) in CONTROLLERS {
        let controller = if layout.is_v2() { v2 } else { v1 };
        let asked = resources.get(key).is_some_and(|v| !is_empty(v));
        if asked && !layout.has(controller) {
            resources.remove(key);
            warnings.push(format!(
                "the limits of {key} are left out: no cgroup controller {controller} here"
            ));
        }
    }
    let swap_file = layout
        .mount("memory")
        .map(|mount| mount.join("memory.memsw.limit_in_bytes"));
    if !layout.is_v2()
        && swap_file.is_some_and(|file| !file.exists())
        && let Some(memory) = resources.get_mut("memory").and_then(Value::as_object_mut)
        && memory.remove("swap").is_some()
    {
        warnings.push("the limit of swap is left out: this host does not account swap".to_owned());
    }
    // In a user namespace no device node can be made, so the mounted ones are the rule.
    if layout.is_v2() && !new_userns && resources.get("devices").is_some_and(|v| !is_empty(v)) {
        warnings.push("the device rules are left out: not supported with cgroup v2".to_owned());
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_paths_are_absolute() {
        assert_eq!(cgroup_path(None, "a"), "/r1-runc/a");
        assert_eq!(cgroup_path(Some("/x/y/"), "a"), "/x/y");
        assert_eq!(cgroup_path(Some("x/y"), "a"), "/x/y");
        assert_eq!(
            cgroup_path(Some("machine.slice:libpod:abc"), "a"),
            "/machine.slice/libpod-abc.scope"
        );
    }

    #[test]
    fn rlimits_are_lowered_with_a_warning() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let mut config = json!({ "process": { "rlimits": [
            { "type": "RLIMIT_NOFILE", "soft": 5, "hard": hard.saturating_add(1) } ] } });
        let mut warnings = Vec::new();
        clamp_rlimits(&mut config, true, &mut warnings);
        assert_eq!(config["process"]["rlimits"][0]["soft"], 5);
        assert_eq!(config["process"]["rlimits"][0]["hard"], hard);
        assert_eq!(warnings.len(), usize::from(hard != u64::MAX));
    }

    #[test]
    fn unknown_capabilities_are_refused_by_name() {
        let mut config = json!({ "process": { "capabilities": { "bounding": ["CAP_CHOWN", "CAP_MAGIC"] } } });
        let error = check_capabilities(&mut config, false, &mut Vec::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("CAP_MAGIC"), "{error}");
    }

    #[test]
    fn namespaces_to_join_are_not_new() {
        let with = |namespace: Value| json!({ "linux": { "namespaces": [namespace] } });
        assert!(has_new_namespace(&with(json!({ "type": "user" })), "user"));
        assert!(!has_new_namespace(
            &with(json!({ "type": "user", "path": "/x" })),
            "user"
        ));
        assert!(!has_new_namespace(&with(json!({ "type": "pid" })), "user"));
    }
}
