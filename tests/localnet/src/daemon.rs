//! One daemon process: started in its own process group, known by pid and start time, ended by them.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::error::{Error, at};

/// How often a process that should end is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 15;

/// Start time of a process (field 22 of `/proc/<pid>/stat`, clock ticks since boot), if it is there.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has ended; only its parent has not looked yet.
    (fields.next()? != "Z")
        .then(|| fields.nth(18)?.parse().ok())
        .flatten()
}

/// True if the process with this pid and start time still runs.
pub fn is_alive(pid: i32, started: u64) -> bool {
    start_time(pid) == Some(started)
}

/// A daemon of one node.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// A daemon that is not started yet. Its output is appended to `log`.
    pub fn new(name: String, program: PathBuf, arguments: Vec<String>, log: PathBuf) -> Self {
        Self {
            name,
            program,
            arguments,
            log,
            child: None,
        }
    }

    /// Starts it, unless it runs.
    ///
    /// # Errors
    /// [`Error::File`] if the program or the log cannot be opened.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.is_running() {
            return Ok(());
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(at(&self.log))?;
        let errors = log.try_clone().map_err(at(&self.log))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C in a terminal goes to the foreground group; the daemons are ended in order instead.
            .process_group(0)
            .spawn()
            .map_err(at(&self.program))?;
        self.child = Some(child);
        Ok(())
    }

    /// True if it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its pid while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
    }

    /// Its name: node and program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running()
            && let Some(pid) = self.pid()
        {
            // It may end meanwhile; as long as it is not waited for, its pid is not given away.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Kills it at once and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.reap();
    }

    /// Asks it to end, and kills it after `patience`. True if it ended by itself.
    pub fn stop(&mut self, patience: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + patience;
        while self.is_running() {
            if Instant::now() > deadline {
                self.kill();
                return false;
            }
            sleep(POLL);
        }
        self.reap();
        true
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Nothing to be done about an error: it is gone either way.
            let _ = child.wait();
        }
    }

    /// An error about this daemon with the end of its log.
    pub fn failed(&self, why: impl Into<String>) -> Error {
        Error::Daemon {
            name: self.name.clone(),
            why: why.into(),
            log: self.log.clone(),
            tail: tail(&self.log),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..]
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let started = start_time(own).unwrap();
        assert!(is_alive(own, started));
        assert!(!is_alive(own, started + 1));
        assert_eq!(start_time(-5), None);
    }

    #[test]
    fn a_daemon_is_stopped_and_one_that_does_not_listen_is_killed() {
        let log = std::env::temp_dir().join(format!("r1-localnet-{}.log", std::process::id()));
        let shell = |script: &str| {
            Daemon::new(
                "test".into(),
                "/bin/sh".into(),
                vec!["-c".into(), script.into()],
                log.clone(),
            )
        };
        let mut polite = shell("sleep 60");
        polite.start().unwrap();
        assert!(polite.is_running());
        assert!(polite.stop(Duration::from_secs(5)));
        let mut deaf = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
        deaf.start().unwrap();
        while !tail(&log).contains("ready") {
            sleep(POLL);
        }
        assert!(!deaf.stop(Duration::from_millis(200)));
        assert!(!deaf.is_running());
        fs::remove_file(log).unwrap();
    }
}
