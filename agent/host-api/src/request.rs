//! What may be asked of r1-hostd, and the limits of it. Both sides check: r1d to answer its caller early,
//! r1-hostd because it trusts nobody.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::HostError;

/// Longest container id, characters.
pub const MAX_ID: usize = 63;
/// The one name that no container may have.
pub const RESERVED_ID: &str = "shim";
/// Longest image name, characters.
pub const MAX_IMAGE: usize = 64;
/// Most words of a command.
pub const MAX_COMMAND_ARGS: usize = 256;
/// Most bytes of a command, its words' terminators included.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// Most environment variables.
pub const MAX_ENV_VARS: usize = 256;
/// Longest name of an environment variable, characters.
pub const MAX_ENV_KEY: usize = 128;
/// Most bytes of an environment, `=` and terminators included.
pub const MAX_ENV_BYTES: usize = 64 * 1024;
/// Longest host name, characters (one DNS label, RFC 1123).
pub const MAX_HOSTNAME: usize = 63;
/// CPU limit, cores.
pub const CPU_RANGE: RangeInclusive<f64> = 0.01..=1024.0;
/// Memory limit, bytes: 4 MiB to 16 TiB.
pub const MEMORY_RANGE: RangeInclusive<u64> = 4 << 20..=16 << 40;
/// Limit on processes and threads.
pub const PIDS_RANGE: RangeInclusive<u32> = 1..=512;
/// Longest time between SIGTERM and SIGKILL, milliseconds.
pub const MAX_STOP_TIMEOUT_MS: u64 = 10 * 60 * 1000;
/// Most lines of log that may be asked for at once.
pub const MAX_LOG_TAIL: u32 = crate::MAX_LOG_LINES as u32;

/// A container to make and start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Its id: a lower-case letter or digit, then letters, digits, `.`, `_`, `-`, 63 characters at most.
    /// Empty: r1-hostd makes one up.
    #[serde(default)]
    pub id: String,
    /// Name of an installed root file system; grammar as of the id, 64 characters at most.
    pub image: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// CPU limit, cores.
    pub cpu: f64,
    /// Memory limit (swap included), bytes.
    pub memory_bytes: u64,
    /// Limit on processes and threads.
    pub pids: u32,
    /// Host name inside; empty: the id.
    #[serde(default)]
    pub hostname: String,
}

impl RunRequest {
    /// Checks every field against the limits above.
    ///
    /// # Errors
    /// [`HostError::InvalidRequest`] that names the first field at fault.
    pub fn validate(&self) -> Result<(), HostError> {
        if !self.id.is_empty() {
            check_id(&self.id)?;
        }
        check_image(&self.image)?;
        check_command(&self.command)?;
        check_env(&self.env)?;
        // A NaN lies in no range.
        if !CPU_RANGE.contains(&self.cpu) {
            return Err(out_of_range(
                "cpu",
                self.cpu,
                CPU_RANGE.start(),
                CPU_RANGE.end(),
                "cores",
            ));
        }
        if !MEMORY_RANGE.contains(&self.memory_bytes) {
            let (least, most) = (MEMORY_RANGE.start(), MEMORY_RANGE.end());
            return Err(out_of_range(
                "memory_bytes",
                self.memory_bytes,
                least,
                most,
                "bytes",
            ));
        }
        if !PIDS_RANGE.contains(&self.pids) {
            return Err(out_of_range(
                "pids",
                self.pids,
                PIDS_RANGE.start(),
                PIDS_RANGE.end(),
                "processes",
            ));
        }
        check_hostname(&self.hostname)
    }
}

/// Checks a container id. One name is reserved: the control group of the shims has it, beside the containers'.
///
/// # Errors
/// [`HostError::InvalidRequest`] for field `id`.
pub fn check_id(id: &str) -> Result<(), HostError> {
    if id == RESERVED_ID {
        return Err(invalid("id", format!("{id:?} is reserved")));
    }
    check_name("id", id, MAX_ID)
}

/// Checks an image name: it becomes one component of a path, so nothing in it may lead elsewhere.
///
/// # Errors
/// [`HostError::InvalidRequest`] for field `image`.
pub fn check_image(image: &str) -> Result<(), HostError> {
    check_name("image", image, MAX_IMAGE)
}

/// Checks the time a container is given between SIGTERM and SIGKILL, milliseconds.
///
/// # Errors
/// [`HostError::InvalidRequest`] for field `timeout_ms`.
pub fn check_stop_timeout(timeout_ms: u64) -> Result<(), HostError> {
    if timeout_ms > MAX_STOP_TIMEOUT_MS {
        return Err(out_of_range(
            "timeout_ms",
            timeout_ms,
            0,
            MAX_STOP_TIMEOUT_MS,
            "milliseconds",
        ));
    }
    Ok(())
}

/// Checks the number of log lines asked for.
///
/// # Errors
/// [`HostError::InvalidRequest`] for field `tail`.
pub fn check_tail(tail: u32) -> Result<(), HostError> {
    if !(1..=MAX_LOG_TAIL).contains(&tail) {
        return Err(out_of_range("tail", tail, 1, MAX_LOG_TAIL, "lines"));
    }
    Ok(())
}

fn check_name(field: &str, name: &str, longest: usize) -> Result<(), HostError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(plain);
    if name.len() > longest || !starts_well || !bytes.all(|byte| plain(byte) || b"._-".contains(&byte)) {
        let reason = format!("is not [a-z0-9][a-z0-9._-]* of at most {longest} characters");
        return Err(invalid(field, format!("{:?} {reason}", shorten(name))));
    }
    Ok(())
}

fn check_command(command: &[String]) -> Result<(), HostError> {
    if command.is_empty() || command.len() > MAX_COMMAND_ARGS || command[0].is_empty() {
        let count = command.len();
        return Err(invalid(
            "command",
            format!("has {count} words; 1 to {MAX_COMMAND_ARGS} are needed, the first not empty"),
        ));
    }
    if let Some(index) = command.iter().position(|word| word.contains('\0')) {
        return Err(invalid("command", format!("has a zero byte in word {index}")));
    }
    let bytes: usize = command.iter().map(|word| word.len() + 1).sum();
    if bytes > MAX_COMMAND_BYTES {
        return Err(invalid(
            "command",
            format!("has {bytes} bytes; at most {MAX_COMMAND_BYTES} are allowed"),
        ));
    }
    Ok(())
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), HostError> {
    if env.len() > MAX_ENV_VARS {
        return Err(invalid(
            "env",
            format!("has {} variables; at most {MAX_ENV_VARS} are allowed", env.len()),
        ));
    }
    for (key, value) in env {
        let shown = shorten(key);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_with_digit = key.starts_with(|first: char| first.is_ascii_digit());
        if key.is_empty() || key.len() > MAX_ENV_KEY || starts_with_digit || !key.bytes().all(plain) {
            let reason = format!("is not [A-Za-z_][A-Za-z0-9_]* of at most {MAX_ENV_KEY} characters");
            return Err(invalid("env", format!("name {shown:?} {reason}")));
        }
        if value.contains('\0') {
            return Err(invalid("env", format!("{shown:?} has a zero byte in its value")));
        }
    }
    let bytes: usize = env.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    if bytes > MAX_ENV_BYTES {
        return Err(invalid(
            "env",
            format!("has {bytes} bytes; at most {MAX_ENV_BYTES} are allowed"),
        ));
    }
    Ok(())
}

fn check_hostname(name: &str) -> Result<(), HostError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.len() > MAX_HOSTNAME || !name.bytes().all(plain) || name.starts_with('-') || name.ends_with('-') {
        let reason = format!("is not one DNS label of at most {MAX_HOSTNAME} characters (RFC 1123)");
        return Err(invalid("hostname", format!("{:?} {reason}", shorten(name))));
    }
    Ok(())
}

fn out_of_range(
    field: &str,
    value: impl std::fmt::Display,
    least: impl std::fmt::Display,
    most: impl std::fmt::Display,
    unit: &str,
) -> HostError {
    invalid(field, format!("is {value}; {least} to {most} {unit} are allowed"))
}

fn invalid(field: &str, reason: String) -> HostError {
    HostError::InvalidRequest {
        field: field.to_owned(),
        message: format!("{field} {reason}"),
    }
}

/// An error text never repeats more of a caller's bytes than this, characters.
const SHOWN: usize = 80;

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> RunRequest {
        RunRequest {
            id: "a".into(),
            image: "busybox".into(),
            command: vec!["/bin/true".into()],
            env: BTreeMap::new(),
            cpu: 0.5,
            memory_bytes: 64 << 20,
            pids: 16,
            hostname: String::new(),
        }
    }

    fn refused_field(change: impl FnOnce(&mut RunRequest)) -> String {
        let mut changed = request();
        change(&mut changed);
        match changed.validate() {
            Err(HostError::InvalidRequest { field, message }) => {
                assert!(message.starts_with(&field), "{message}");
                field
            }
            other => panic!("{changed:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_sound_request_passes_with_and_without_an_id() {
        request().validate().unwrap();
        RunRequest {
            id: String::new(),
            ..request()
        }
        .validate()
        .unwrap();
    }

    #[test]
    fn each_field_out_of_its_limits_is_refused_by_name() {
        for id in ["..", "/", "shim", "A", "-a", "a/b", "a\0", "ä", &"a".repeat(64)] {
            assert_eq!(refused_field(|r| r.id = id.into()), "id", "{id:?}");
        }
        for image in ["", "..", ".hidden", "a/../b", "Busy", &"a".repeat(65)] {
            assert_eq!(refused_field(|r| r.image = image.into()), "image", "{image:?}");
        }
        for command in [vec![], vec![""], vec!["a", "b\0"], vec!["x"; 257]] {
            assert_eq!(
                refused_field(|r| r.command = command.iter().map(|w| w.to_string()).collect()),
                "command"
            );
        }
        assert_eq!(
            refused_field(|r| r.command.push("x".repeat(MAX_COMMAND_BYTES))),
            "command"
        );
        for (key, value) in [("", "x"), ("1A", "x"), ("A=B", "x"), ("A", "\0"), ("É", "x")] {
            assert_eq!(
                refused_field(|r| drop(r.env.insert(key.into(), value.into()))),
                "env",
                "{key:?}"
            );
        }
        assert_eq!(
            refused_field(|r| drop(r.env.insert("A".into(), "x".repeat(MAX_ENV_BYTES)))),
            "env"
        );
        for cpu in [0.0, -1.0, f64::NAN, f64::INFINITY, 1025.0] {
            assert_eq!(refused_field(|r| r.cpu = cpu), "cpu", "{cpu}");
        }
        assert_eq!(refused_field(|r| r.memory_bytes = 0), "memory_bytes");
        assert_eq!(refused_field(|r| r.memory_bytes = u64::MAX), "memory_bytes");
        assert_eq!(refused_field(|r| r.pids = 0), "pids");
        assert_eq!(refused_field(|r| r.pids = 100_000), "pids");
        for hostname in ["a.b", "-a", "a-", "a b", &"a".repeat(64)] {
            assert_eq!(
                refused_field(|r| r.hostname = hostname.into()),
                "hostname",
                "{hostname:?}"
            );
        }
    }

    #[test]
    fn an_unknown_field_is_refused_and_named() {
        let text = r#"{"image":"a","command":["b"],"cpu":1,"memory_bytes":1,"pids":1,"privileged":true}"#;
        let error = serde_json::from_str::<RunRequest>(text).unwrap_err().to_string();
        assert!(error.contains("privileged"), "{error}");
    }

    #[test]
    fn error_texts_stay_short_however_long_the_field() {
        let error = check_id(&"é".repeat(100_000)).unwrap_err().to_string();
        assert!(error.len() < 400, "{}", error.len());
    }
}
