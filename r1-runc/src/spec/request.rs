//! What may be asked of the default sandbox.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result, refused};

/// Ids of a container's user namespace: 0..=65535 inside.
pub const ID_RANGE: u32 = 65_536;
/// Longest id.
pub const MAX_ID_BYTES: usize = 128;
/// Longest host name that the kernel takes.
const MAX_HOSTNAME_BYTES: usize = 64;
/// Most arguments of a command.
const MAX_ARGUMENTS: usize = 1024;
/// Most bytes of a command and its environment together.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// A container below this cannot even start.
const MIN_MEMORY_BYTES: u64 = 2 << 20;
/// Most processes of one container.
const MAX_PIDS: u32 = 32_768;
/// Most processors of one container.
const MAX_CPU: f64 = 4096.0;

/// One container, as r1-hostd asks for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The container's id.
    pub id: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Processors (0.5 is half of one).
    #[serde(default = "default_cpu")]
    pub cpu: f64,
    /// Memory and swap together, bytes.
    #[serde(default = "default_memory")]
    pub memory_bytes: u64,
    /// Most processes and threads.
    #[serde(default = "default_pids")]
    pub pids: u32,
    /// Host name inside; the id if empty.
    #[serde(default)]
    pub hostname: String,
    /// Absolute path of its cgroup below the hierarchies' mounts.
    pub cgroup: String,
    /// First host uid and gid of its user namespace.
    pub uid_base: u32,
}

fn default_cpu() -> f64 {
    1.0
}

fn default_memory() -> u64 {
    256 << 20
}

fn default_pids() -> u32 {
    512
}

impl Request {
    /// A request for a shell, as an example.
    pub fn example() -> Request {
        Request {
            id: "example".to_owned(),
            command: vec!["sh".to_owned()],
            env: BTreeMap::new(),
            cpu: default_cpu(),
            memory_bytes: default_memory(),
            pids: default_pids(),
            hostname: "example".to_owned(),
            cgroup: "/r1-runc/example".to_owned(),
            uid_base: 100_000,
        }
    }

    /// Name inside.
    pub fn hostname(&self) -> String {
        let name = if self.hostname.is_empty() {
            &self.id
        } else {
            &self.hostname
        };
        name.chars().take(MAX_HOSTNAME_BYTES).collect()
    }

    /// Refuses what no sandbox can or may be made of.
    pub fn check(&self) -> Result<()> {
        check_id(&self.id)?;
        check_hostname(&self.hostname())?;
        check_cgroup(&self.cgroup)?;
        self.check_text()?;
        if !(self.cpu.is_finite() && self.cpu > 0.0 && self.cpu <= MAX_CPU) {
            return refused(format!("{}: cpu {} is not in 0..={MAX_CPU}", self.id, self.cpu));
        }
        if self.memory_bytes < MIN_MEMORY_BYTES || i64::try_from(self.memory_bytes).is_err() {
            return refused(format!(
                "{}: memory_bytes {} is below 2 MiB or too large",
                self.id, self.memory_bytes
            ));
        }
        if self.pids == 0 || self.pids > MAX_PIDS {
            return refused(format!(
                "{}: pids {} is not in 1..={MAX_PIDS}",
                self.id, self.pids
            ));
        }
        // Ids below the range's own size belong to the host; u32::MAX means "no id" to the kernel.
        if self.uid_base < ID_RANGE || self.uid_base > u32::MAX - ID_RANGE {
            return refused(format!(
                "{}: uid_base {} leaves no room for 65536 ids",
                self.id, self.uid_base
            ));
        }
        Ok(())
    }

    fn check_text(&self) -> Result<()> {
        if self.command.is_empty() || self.command[0].is_empty() || self.command.len() > MAX_ARGUMENTS {
            return refused(format!(
                "{}: command must have 1..={MAX_ARGUMENTS} words",
                self.id
            ));
        }
        let mut bytes = 0;
        for word in &self.command {
            bytes += word.len() + 1;
            if word.contains('\0') {
                return refused(format!("{}: a word of the command holds a NUL", self.id));
            }
        }
        for (name, value) in &self.env {
            bytes += name.len() + value.len() + 2;
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return refused(format!(
                    "{}: environment name '{}' is not usable",
                    self.id,
                    name.escape_debug()
                ));
            }
        }
        if bytes > MAX_TEXT_BYTES {
            return refused(format!(
                "{}: command and environment exceed {MAX_TEXT_BYTES} bytes",
                self.id
            ));
        }
        Ok(())
    }
}

/// An id names folders, sockets and cgroups: letters, digits, `_ + - .`, not starting with a dot.
pub fn check_id(id: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.starts_with('.') || !id.chars().all(legal) {
        return Err(Error::Refused(format!(
            "container id '{}' is not usable",
            id.escape_debug()
        )));
    }
    Ok(())
}

fn check_hostname(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
    if name.is_empty() || !name.chars().all(legal) {
        return refused(format!("host name '{}' is not usable", name.escape_debug()));
    }
    Ok(())
}

/// An absolute path without `.` and `..`, not the root.
pub fn check_cgroup(path: &str) -> Result<()> {
    let clean = path.starts_with('/')
        && path.len() > 1
        && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains(|c: char| c.is_control());
    if clean {
        Ok(())
    } else {
        refused(format!("cgroup path '{}' is not usable", path.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert!(check_id("web-1.a_B+").is_ok());
        for bad in ["", ".", "..", ".hidden", "a/b", "a b", "é", &"x".repeat(129)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cgroups() {
        assert!(check_cgroup("/r1/c/x").is_ok());
        for bad in ["", "/", "r1/x", "/r1/../x", "/r1//x", "/a/./b", "/a\n"] {
            assert!(check_cgroup(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits() {
        let good = Request::example();
        assert!(good.check().is_ok());
        let broken: [fn(&mut Request); 9] = [
            |r| r.cpu = 0.0,
            |r| r.cpu = f64::NAN,
            |r| r.memory_bytes = 1,
            |r| r.memory_bytes = u64::MAX,
            |r| r.pids = 0,
            |r| r.uid_base = u32::MAX - 1,
            |r| r.command.clear(),
            |r| r.command.push("a\0b".to_owned()),
            |r| drop(r.env.insert("A=B".to_owned(), String::new())),
        ];
        for change in broken {
            let mut request = good.clone();
            change(&mut request);
            assert!(request.check().is_err(), "{request:?}");
        }
    }
}
