//! The shim's loop: one poll(2) over signals, the control socket, the OOM notification and the output.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::read;
use r1_core::{ContainerStatus, ExitRecord, ShimReply, ShimRequest, ShimState};

use super::control::{Connection, Listener, MAX_CONNECTIONS, Received};
use super::log::{Lines, LogFile, encode};
use crate::atomic_file;
use crate::cgroup::{self, Cgroup, OomWatch};
use crate::clock::now_ms;
use crate::engine::Engine;

/// How long the exit record is offered on the socket.
const ACK_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes read from the container's output at once.
const READ_BYTES: usize = 32 << 10;
/// Reads per stream and turn, so that a flood of output starves nothing else.
const READS_PER_TURN: usize = 8;
/// Reads per stream after the container's end: many times what a pipe holds.
const READS_AT_END: usize = 256;

/// What the shim was set up with.
pub struct Parts {
    /// The container's folder.
    pub dir: PathBuf,
    /// Held as long as this process lives.
    pub lock: Flock<File>,
    /// All signals.
    pub signals: SignalFd,
    /// The control socket.
    pub listener: Listener,
    /// libcontainer.
    pub engine: Engine,
    /// The container's cgroup.
    pub cgroup: Cgroup,
    /// Its further cgroup on a hybrid host.
    pub leaf: Option<PathBuf>,
    /// News of the OOM killer.
    pub oom: Option<OomWatch>,
    /// The container's output.
    pub log: LogFile,
}

struct Stream {
    name: &'static str,
    pipe: Option<OwnedFd>,
    lines: Lines,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Listener,
    Oom,
    Stream(usize),
    Connection(usize),
}

/// One container's supervisor.
pub struct Supervisor {
    parts: Parts,
    state: ShimState,
    exit: Option<ExitRecord>,
    streams: [Stream; 2],
    connections: Vec<Connection>,
    oom_seen: bool,
    deadline: Option<Instant>,
    done: bool,
}

impl Supervisor {
    /// A supervisor of a created container with the reading ends of its output.
    pub fn new(parts: Parts, state: ShimState, stdout: OwnedFd, stderr: OwnedFd) -> Supervisor {
        let stream = |name, pipe| Stream {
            name,
            pipe: Some(pipe),
            lines: Lines::default(),
        };
        Supervisor {
            parts,
            state,
            exit: None,
            streams: [stream("stdout", stdout), stream("stderr", stderr)],
            connections: Vec::new(),
            oom_seen: false,
            deadline: None,
            done: false,
        }
    }

    /// Runs until the exit record was acknowledged or nobody came for it.
    pub fn run(&mut self) -> ExitCode {
        // Whatever ended before the first poll sent its SIGCHLD before anybody listened.
        self.reap();
        while !self.done {
            let ready = self.wait();
            for source in ready {
                self.serve(source);
            }
            if self.deadline.is_some_and(|at| Instant::now() >= at) {
                break;
            }
        }
        self.parts.listener.remove();
        let _ = self.parts.lock.sync_all();
        ExitCode::SUCCESS
    }

    fn wait(&mut self) -> Vec<Source> {
        let mut sources = vec![Source::Signals];
        let mut fds = vec![PollFd::new(self.parts.signals.as_fd(), PollFlags::POLLIN)];
        let mut add = |source, fd| {
            sources.push(source);
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        };
        if self.connections.len() < MAX_CONNECTIONS {
            add(Source::Listener, self.parts.listener.as_fd());
        }
        if let Some(oom) = &self.parts.oom {
            add(Source::Oom, oom.as_fd());
        }
        for (i, stream) in self.streams.iter().enumerate() {
            if let Some(pipe) = &stream.pipe {
                add(Source::Stream(i), pipe.as_fd());
            }
        }
        // From the last, so that removing one does not move those still to be served.
        for (i, connection) in self.connections.iter().enumerate().rev() {
            add(Source::Connection(i), connection.as_fd());
        }
        let timeout = self.deadline.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) => {
                let hot = fds.iter().map(|fd| fd.any().unwrap_or(true));
                sources
                    .iter()
                    .zip(hot)
                    .filter(|(_, hot)| *hot)
                    .map(|(source, _)| *source)
                    .collect()
            }
            Err(_) => Vec::new(),
        }
    }

    fn serve(&mut self, source: Source) {
        match source {
            Source::Signals => self.signals(),
            Source::Listener => self.connections.extend(self.parts.listener.accept()),
            Source::Oom => {
                if let Some(oom) = &self.parts.oom {
                    oom.drain();
                }
                self.oom_seen = self.oom_seen || self.parts.cgroup.usage().oom_kills > 0;
            }
            Source::Stream(i) => self.copy_output(i, READS_PER_TURN),
            Source::Connection(i) => self.converse(i),
        }
    }

    fn signals(&mut self) {
        let mut stop = false;
        while let Ok(Some(info)) = self.parts.signals.read_signal() {
            stop |= info.ssi_signo == libc::SIGTERM as u32;
        }
        self.reap();
        // Whoever terminates a shim means its container; the shim stays to tell how it ended.
        if stop && self.exit.is_none() {
            let _ = self.kill(libc::SIGTERM, false);
        }
    }

    fn reap(&mut self) {
        loop {
            let (pid, code, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code, None),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32, Some(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Err(Errno::EINTR) | Ok(_) => continue,
                Err(_) => return,
            };
            // Others are orphans of the container that came to us as their subreaper.
            if pid.as_raw() == self.state.pid && self.exit.is_none() {
                self.finish(code, signal);
            }
        }
    }

    /// The container's init has ended: settle everything, then offer the record.
    fn finish(&mut self, code: i32, signal: Option<i32>) {
        let finished_at_ms = now_ms();
        let _ = self.end_rest();
        for i in 0..self.streams.len() {
            self.copy_output(i, READS_AT_END);
            self.close_stream(i);
        }
        let usage = self.parts.cgroup.usage();
        let record = ExitRecord {
            version: 1,
            id: self.state.id.clone(),
            code,
            signal,
            oom_killed: self.oom_seen || usage.oom_kills > 0,
            started_at_ms: self.state.started_at_ms,
            finished_at_ms,
            cpu_ns: usage.cpu_ns,
            memory_peak_bytes: usage.memory_peak_bytes,
            boot_id: self.state.boot_id.clone(),
        };
        self.state.status = ContainerStatus::Stopped;
        self.note(atomic_file::write_json(&self.parts.dir, "exit.json", &record));
        self.save();
        self.exit = Some(record);
        self.deadline = Some(Instant::now() + ACK_TIMEOUT);
        self.parts.oom = None;
        self.note(self.parts.engine.clean());
        self.note(self.parts.cgroup.remove());
        if let Some(leaf) = &self.parts.leaf {
            self.note(
                cgroup::remove_tree(leaf).map_err(crate::error::io(format!("remove {}", leaf.display()))),
            );
        }
    }

    /// Without a pid namespace of its own a container's other processes outlive its init.
    fn end_rest(&self) -> crate::error::Result<()> {
        if self.parts.cgroup.pids().is_empty() {
            return Ok(());
        }
        self.parts.cgroup.signal_all(libc::SIGKILL)
    }

    fn copy_output(&mut self, index: usize, reads: usize) {
        let mut buffer = [0u8; READ_BYTES];
        for _ in 0..reads {
            let stream = &mut self.streams[index];
            let Some(pipe) = &stream.pipe else { return };
            match read(pipe, &mut buffer) {
                Ok(0) => return self.close_stream(index),
                Ok(n) => {
                    let (now, name) = (now_ms(), stream.name);
                    let mut out = Vec::with_capacity(n + n / 2);
                    stream
                        .lines
                        .push(&buffer[..n], |line| encode(&mut out, now, name, line));
                    let written = self.parts.log.append(&out);
                    self.note(written);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => return self.close_stream(index),
            }
        }
    }

    fn close_stream(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.pipe = None;
        let (now, name) = (now_ms(), stream.name);
        let mut out = Vec::new();
        stream.lines.finish(|line| encode(&mut out, now, name, line));
        if !out.is_empty() {
            let written = self.parts.log.append(&out);
            self.note(written);
        }
    }

    fn converse(&mut self, index: usize) {
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        let reply = match connection.receive() {
            Received::Nothing => return,
            Received::Closed => {
                self.connections.remove(index);
                return;
            }
            Received::Invalid(reason) => self.error(&reason),
            Received::Request(request) => self.answer(request),
        };
        if !self.connections[index].reply(&reply) {
            self.connections.remove(index);
        }
    }

    fn answer(&mut self, request: ShimRequest) -> ShimReply {
        // A container that ended a moment ago is reported as ended.
        self.reap();
        match request {
            ShimRequest::Start => self.start(),
            ShimRequest::State => ShimReply::State {
                state: self.state.clone(),
                exit: self.exit.clone(),
            },
            ShimRequest::Kill { signal, all } => self.kill(signal, all),
            ShimRequest::Usage => self.usage(),
            ShimRequest::Ack if self.exit.is_some() => {
                self.done = true;
                ShimReply::Ok
            }
            ShimRequest::Ack => self.error("there is no exit record to acknowledge yet"),
        }
    }

    fn start(&mut self) -> ShimReply {
        if self.state.status != ContainerStatus::Created {
            return self.error("it is not in state created");
        }
        if let Err(error) = self.parts.engine.start() {
            return ShimReply::Error {
                message: error.to_string(),
            };
        }
        self.state.status = ContainerStatus::Running;
        self.state.started_at_ms = now_ms();
        self.save();
        ShimReply::Ok
    }

    fn kill(&self, signal: i32, all: bool) -> ShimReply {
        if self.exit.is_some() {
            return self.error("it has ended");
        }
        if !(0..=libc::SIGRTMAX()).contains(&signal) {
            return self.error(&format!("there is no signal {signal}"));
        }
        if all {
            return match self.parts.cgroup.signal_all(signal) {
                Ok(()) => ShimReply::Ok,
                Err(error) => self.error(&error.to_string()),
            };
        }
        // SAFETY: kill takes two integers. The init is our child and not reaped yet, so the pid is its.
        if unsafe { libc::kill(self.state.pid, signal) } == 0 {
            ShimReply::Ok
        } else {
            self.error(&format!("signal {signal}: {}", std::io::Error::last_os_error()))
        }
    }

    fn usage(&self) -> ShimReply {
        let usage = self.parts.cgroup.usage();
        match &self.exit {
            Some(exit) => ShimReply::Usage {
                cpu_ns: exit.cpu_ns,
                memory_bytes: 0,
                memory_peak_bytes: exit.memory_peak_bytes,
                pids: 0,
            },
            None => ShimReply::Usage {
                cpu_ns: usage.cpu_ns,
                memory_bytes: usage.memory_bytes,
                memory_peak_bytes: usage.memory_peak_bytes,
                pids: usage.pids,
            },
        }
    }

    fn error(&self, reason: &str) -> ShimReply {
        ShimReply::Error {
            message: format!("container {}: {reason}", self.state.id),
        }
    }

    fn save(&self) {
        self.note(atomic_file::write_json(
            &self.parts.dir,
            "state.json",
            &self.state,
        ));
    }

    /// Nobody can be told; the shim's own log is stderr.
    fn note(&self, result: crate::error::Result<()>) {
        if let Err(error) = result {
            eprintln!(
                "{} container {} (lock {}): {error}",
                now_ms(),
                self.state.id,
                self.parts.lock.as_raw_fd()
            );
        }
    }
}
