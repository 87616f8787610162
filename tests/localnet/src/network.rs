//! A whole network: started in order, ended without leaving anything behind.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    cgroup, claim,
    daemon::{is_alive, start_time},
    error::{Error, at},
    image::install_busybox,
    layout::{Layout, write_atomically},
    node::Node,
};

/// How long r1d may take to end by itself.
const R1D_PATIENCE: Duration = Duration::from_secs(10);
/// How long r1-hostd may take to end its containers and itself.
const HOSTD_PATIENCE: Duration = Duration::from_secs(20);
/// How long processes of an earlier run may take to end.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(10);

/// What network to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Folder of the network.
    pub dir: PathBuf,
    /// Folder of the programs r1d, r1-hostd and r1-runc.
    pub bin: PathBuf,
    /// Number of oracles, at least 1.
    pub oracles: usize,
    /// Number of workers.
    pub workers: usize,
    /// Length of an epoch.
    pub epoch: Duration,
}

/// A network whose daemons this process started. Dropping it ends them.
#[derive(Debug)]
pub struct Network {
    /// Who is in it.
    pub layout: Layout,
    /// The nodes, oracles first.
    pub nodes: Vec<Node>,
    /// Held while the network runs; the folder's other users are told.
    _lock: Flock<File>,
    ended: bool,
}

impl Network {
    /// Lays the network out (or finds it), ends what an earlier run left behind, and starts all daemons.
    /// `progress` is told what happens, a line each.
    ///
    /// # Errors
    /// [`Error`]; what was started is ended again.
    pub fn start(plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        let mut network = Self::prepare(plan, progress)?;
        network.start_all(progress)?;
        Ok(network)
    }

    /// As [`Network::start`], without starting anything.
    ///
    /// # Errors
    /// [`Error`].
    pub fn prepare(plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        fs::create_dir_all(&plan.dir).map_err(at(&plan.dir))?;
        claim::refuse_foreign(&plan.dir)?;
        let lock = lock(&plan.dir)?;
        let layout = Layout::open(
            &plan.dir,
            plan.oracles,
            plan.workers,
            plan.epoch,
            &plan.bin.join("r1d"),
        )?;
        end_leftovers(&layout.dir, progress);
        for node in &layout.nodes {
            fs::create_dir_all(&node.run).map_err(at(&node.run))?;
            let images = node.host_state().join("images");
            if Path::new("/bin/busybox").exists() {
                install_busybox(&images)?;
            }
        }
        let nodes = layout
            .nodes
            .iter()
            .map(|node| Node::new(node.clone(), &plan.bin))
            .collect();
        Ok(Self {
            layout,
            nodes,
            _lock: lock,
            ended: false,
        })
    }

    fn start_all(&mut self, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        for index in 0..self.nodes.len() {
            progress(&format!("starting {}", self.nodes[index].layout.name));
            self.nodes[index].hostd.start()?;
            // Written down before it is waited for, so that a killed starter leaves nothing unknown.
            self.record_processes()?;
            self.nodes[index].start_hostd()?;
            // Not waited for: oracles become ready together.
            self.nodes[index].r1d.start()?;
            self.record_processes()?;
        }
        for node in &mut self.nodes {
            node.start_r1d()?;
        }
        Ok(())
    }

    /// A node by name.
    pub fn node(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.layout.name == name)
    }

    /// Writes down which processes belong to this network, for a later start to find if this process is killed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn record_processes(&self) -> Result<(), Error> {
        let daemons = self.nodes.iter().flat_map(|node| [&node.r1d, &node.hostd]);
        let processes: Vec<Value> = daemons
            .filter_map(|daemon| daemon.pid())
            .filter_map(|pid| Some(json!({ "pid": pid, "started": start_time(pid)? })))
            .collect();
        write_atomically(
            &self.layout.dir.join("processes.json"),
            json!(processes).to_string().as_bytes(),
        )
    }

    /// Ends everything this network started and removes its control groups and sockets; states and logs stay.
    /// Returns what could not be ended or removed, a line each.
    pub fn end(&mut self) -> Vec<String> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        // r1d first, all at once: none of them should see the others' r1-hostd vanish as a fault.
        for node in &mut self.nodes {
            node.r1d.signal(Signal::SIGTERM);
        }
        let mut left = Vec::new();
        for node in &mut self.nodes {
            if !node.r1d.stop(R1D_PATIENCE) {
                left.push(format!("{} had to be killed", node.r1d.name()));
            }
        }
        for node in &mut self.nodes {
            // Containers of a killed r1-hostd live on: a new one adopts and ends them.
            if !node.hostd.is_running() && has_containers(&node.layout.run) {
                let _ = node.start_hostd();
            }
            node.hostd.signal(Signal::SIGTERM);
        }
        for node in &mut self.nodes {
            if !node.hostd.stop(HOSTD_PATIENCE) {
                left.push(format!("{} had to be killed", node.hostd.name()));
            }
        }
        left.extend(
            cgroup::remove(&self.layout.cgroup)
                .into_iter()
                .map(|group| format!("{group} is not empty")),
        );
        for node in &self.layout.nodes {
            if has_containers(&node.run) {
                left.push(format!("{} still holds containers", node.run.display()));
            }
        }
        if left.is_empty() {
            // What is left is left for the next start to look at.
            let _ = fs::remove_dir_all(&self.layout.run);
            // The folder above is shared with other networks: it goes with the last of them.
            let _ = self
                .layout
                .run
                .parent()
                .filter(|base| base.ends_with("r1-local"))
                .map(fs::remove_dir);
            let _ = fs::remove_file(self.layout.dir.join("processes.json"));
        }
        left
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for line in self.end() {
            eprintln!("local network: {line}");
        }
    }
}

fn has_containers(run: &Path) -> bool {
    let entries = fs::read_dir(run.join("c")).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.path().join("state.json").exists())
}

fn lock(dir: &Path) -> Result<Flock<File>, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(at(&path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)
                .and_then(|()| write!(lock, "{}", std::process::id()))
                .map_err(at(&path))?;
            Ok(lock)
        }
        Err(_) => {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            Err(Error::InUse {
                path: dir.to_owned(),
                pid,
            })
        }
    }
}

/// Ends the daemons that an earlier, killed run of this folder left running.
fn end_leftovers(dir: &Path, progress: &mut dyn FnMut(&str)) {
    let bytes = fs::read(dir.join("processes.json")).unwrap_or_default();
    let list: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let processes: Vec<(i32, u64)> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            Some((
                i32::try_from(entry["pid"].as_i64()?).ok()?,
                entry["started"].as_u64()?,
            ))
        })
        .filter(|(pid, started)| is_alive(*pid, *started))
        .collect();
    if processes.is_empty() {
        return;
    }
    progress(&format!(
        "ending {} processes that an earlier run left behind",
        processes.len()
    ));
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for (pid, _) in processes.iter().filter(|(pid, started)| is_alive(*pid, *started)) {
            let _ = kill(Pid::from_raw(*pid), signal);
        }
        let deadline = Instant::now() + LEFTOVER_PATIENCE;
        while Instant::now() < deadline && processes.iter().any(|(pid, started)| is_alive(*pid, *started)) {
            sleep(Duration::from_millis(50));
        }
    }
}
