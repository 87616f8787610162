//! One running node: its two daemons and its control socket.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{daemon::Daemon, error::Error, http::request, layout::NodeLayout};

/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long a daemon may take until it answers.
const READY_TIME: Duration = Duration::from_secs(60);

/// A node of the network.
#[derive(Debug)]
pub struct Node {
    /// Where it keeps what.
    pub layout: NodeLayout,
    /// Its r1d.
    pub r1d: Daemon,
    /// Its r1-hostd.
    pub hostd: Daemon,
}

impl Node {
    /// A node that is not started; `bin` holds the programs.
    pub fn new(layout: NodeLayout, bin: &Path) -> Self {
        let text = |path: &Path| path.display().to_string();
        let r1d = Daemon::new(
            format!("{} r1d", layout.name),
            bin.join("r1d"),
            vec!["--config".into(), text(&layout.config())],
            layout.dir.join("r1d.log"),
        );
        let hostd = Daemon::new(
            format!("{} r1-hostd", layout.name),
            bin.join("r1-hostd"),
            vec![
                "--state".into(),
                text(&layout.host_state()),
                "--run".into(),
                text(&layout.run),
                "--cgroup".into(),
                layout.cgroup.clone(),
                "--runc".into(),
                text(&bin.join("r1-runc")),
                "--stop-containers-on-exit".into(),
            ],
            layout.dir.join("hostd.log"),
        );
        Self { layout, r1d, hostd }
    }

    /// `GET` on the control socket.
    ///
    /// # Errors
    /// [`Error::Refused`] with the node's words, or that it does not answer.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        self.call("GET", path, "")
    }

    /// `POST` on the control socket.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.call("POST", path, &body.to_string())
    }

    /// The node's metrics.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn metrics(&self) -> Result<String, Error> {
        let answer = request(&self.layout.control_socket(), "GET", "/metrics", "")
            .map_err(|error| self.refused("GET /metrics", error.to_string()))?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Result<Value, Error> {
        let call = format!("{method} {path}");
        let answer = request(&self.layout.control_socket(), method, path, body)
            .map_err(|error| self.refused(&call, error.to_string()))?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if (200..300).contains(&answer.status) {
            return Ok(value);
        }
        let message = value["error"]["message"].as_str().unwrap_or("no reason given");
        Err(self.refused(&call, format!("HTTP {}: {message}", answer.status)))
    }

    fn refused(&self, call: &str, message: String) -> Error {
        Error::Refused {
            node: self.layout.name.clone(),
            call: call.into(),
            message,
        }
    }

    /// Starts r1-hostd and waits until it listens.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log.
    pub fn start_hostd(&mut self) -> Result<(), Error> {
        self.hostd.start()?;
        let socket = self.layout.host_socket();
        wait_for(&mut self.hostd, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        })
    }

    /// Starts r1d and waits until it answers.
    ///
    /// # Errors
    /// [`Error::Daemon`] with the end of its log.
    pub fn start_r1d(&mut self) -> Result<(), Error> {
        self.r1d.start()?;
        let socket = self.layout.control_socket();
        wait_for(&mut self.r1d, || {
            request(&socket, "GET", "/v1/status", "").is_ok_and(|answer| answer.status == 200)
        })
    }

    /// Waits until r1d says that it is connected to r1-hostd. False if it is not within `patience`.
    pub fn wait_for_host(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if self
                .get("/v1/status")
                .is_ok_and(|status| status["host"]["connected"] == true)
            {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            sleep(POLL);
        }
    }

    /// Starts a container of the busybox image and returns its id.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn run(&self, command: &[&str], memory_bytes: u64) -> Result<String, Error> {
        let request = json!({
            "image": crate::BUSYBOX_IMAGE, "command": command, "cpu": 1.0, "memory_bytes": memory_bytes, "pids": 32,
        });
        let answer = self.post("/v1/containers", &request)?;
        Ok(answer["id"].as_str().unwrap_or_default().to_owned())
    }

    /// What the node says of a container, if it knows it.
    ///
    /// # Errors
    /// As [`Node::get`].
    pub fn container(&self, id: &str) -> Result<Option<Value>, Error> {
        let mut answer = self.get("/v1/containers")?;
        let list = answer["containers"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        Ok(list.into_iter().find(|container| container["id"] == id))
    }
}

fn wait_for(daemon: &mut Daemon, mut ready: impl FnMut() -> bool) -> Result<(), Error> {
    let deadline = Instant::now() + READY_TIME;
    while !ready() {
        if !daemon.is_running() {
            return Err(daemon.failed("it ended"));
        }
        if Instant::now() > deadline {
            return Err(daemon.failed(format!("it did not answer within {} s", READY_TIME.as_secs())));
        }
        sleep(POLL);
    }
    Ok(())
}
