//! A network's folder: who is in it, where each node keeps what, and on which ports it listens. Written once and
//! read again by a later start, so that a network goes on where it stopped.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    claim,
    error::{Error, at},
};

/// USDC of every node, micro-units.
const NODE_USDC: &str = "1000000000";
/// The pool's R1, wei: 2 R1 for a USDC.
const POOL_R1: &str = "300000000000000000000000";
/// The pool's USDC, micro-units.
const POOL_USDC: &str = "150000000000";
/// Chain id of local networks (that of a local EVM by convention).
const CHAIN_ID: u64 = 31_337;
/// Least own availability of an oracle whose table counts: 60 %, as on the test networks.
const ORACLE_MIN_AVAILABILITY: u8 = 153;

/// Ports of local networks.
const PORTS: std::ops::Range<u16> = 12_000..28_000;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Agrees with the other oracles.
    Oracle,
    /// Follows them.
    Worker,
}

impl Role {
    /// As in names and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Worker => "worker",
        }
    }
}

/// One node of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLayout {
    /// `oracle-1`, `worker-2`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its folder: configuration, key, states, logs.
    pub dir: PathBuf,
    /// Its sockets and live containers; short enough for a Unix socket's path.
    pub run: PathBuf,
    /// Its base control group.
    pub cgroup: String,
    /// Port of its swarm.
    pub net_port: u16,
    /// Port of its consensus engine.
    pub consensus_port: u16,
    /// Port of its file plane; 0 in a network that was laid out before there were files.
    pub r1fs_port: u16,
    /// Port of its R1FS HTTP front end.
    pub r1fs_http_port: u16,
    /// Its address, `0xai_...`.
    pub address: String,
    /// Its EVM address.
    pub eth_address: String,
}

impl NodeLayout {
    /// Configuration of its r1d.
    pub fn config(&self) -> PathBuf {
        self.dir.join("r1d.toml")
    }

    /// State folder of its r1d.
    pub fn state(&self) -> PathBuf {
        self.dir.join("r1d")
    }

    /// State folder of its r1-hostd.
    pub fn host_state(&self) -> PathBuf {
        self.dir.join("hostd")
    }

    /// Control socket of its r1d.
    pub fn control_socket(&self) -> PathBuf {
        self.run.join("r1d.sock")
    }

    /// Socket of its r1-hostd.
    pub fn host_socket(&self) -> PathBuf {
        self.run.join("host.sock")
    }

    fn net_addr(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.net_port)
    }

    fn consensus_addr(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.consensus_port)
    }
}

/// The whole network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its folder.
    pub dir: PathBuf,
    /// Its base run folder.
    pub run: PathBuf,
    /// Its base control group.
    pub cgroup: String,
    /// Length of an epoch.
    pub epoch: Duration,
    /// Start of epoch 0, ms since 1970-01-01 UTC.
    pub genesis_ms: u64,
    /// The network's name; kept with it, wherever its folder goes.
    pub network: String,
    /// Oracles first, then workers.
    pub nodes: Vec<NodeLayout>,
}

impl Layout {
    /// Opens the network in a folder, or lays out a new one: identities made by `r1d keygen`, free ports, genesis,
    /// configurations. `r1d` is the program.
    ///
    /// # Errors
    /// [`Error`]; [`Error::OtherShape`] if the folder holds a network with other numbers, [`Error::Foreign`] if a
    /// new network would overwrite files that are not a network's.
    pub fn open(
        dir: &Path,
        oracles: usize,
        workers: usize,
        epoch: Duration,
        r1d: &Path,
    ) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let dir = dir.canonicalize().map_err(at(dir))?;
        let file = dir.join(claim::NETWORK);
        let layout = match fs::read(&file) {
            Ok(bytes) => Self::read(&dir, &bytes, oracles, workers, epoch)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                claim::begin(&dir)?;
                let layout = Self::make(&dir, oracles, workers, epoch, r1d)?;
                write_atomically(&file, layout.to_json().to_string().as_bytes())?;
                layout
            }
            Err(error) => return Err(at(file)(error)),
        };
        claim::finish(&dir)?;
        layout.write_configurations()?;
        Ok(layout)
    }

    fn make(dir: &Path, oracles: usize, workers: usize, epoch: Duration, r1d: &Path) -> Result<Self, Error> {
        let roles = [(Role::Oracle, oracles), (Role::Worker, workers)];
        let names = roles
            .iter()
            .flat_map(|(role, count)| (1..=*count).map(|n| (*role, n)));
        let mut nodes = Vec::new();
        // All held at once, so that no port is given twice.
        let mut held = Vec::new();
        for (role, number) in names {
            let name = format!("{}-{number}", role.name());
            let node_dir = dir.join(&name);
            fs::create_dir(&node_dir).map_err(at(&node_dir))?;
            let identity = make_key(r1d, &node_dir.join("key.pem"))?;
            let mut port = || free_port(&mut held);
            nodes.push(NodeLayout {
                run: run_folder(dir).join(&name),
                cgroup: format!("{}/{name}", cgroup_of(dir)),
                net_port: port()?,
                consensus_port: port()?,
                r1fs_port: port()?,
                r1fs_http_port: port()?,
                address: text(&identity, "address")?,
                eth_address: text(&identity, "eth_address")?,
                dir: node_dir,
                name,
                role,
            });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let genesis_ms = (now.as_secs() + 1) * 1000;
        Ok(Self {
            dir: dir.to_owned(),
            run: run_folder(dir),
            cgroup: cgroup_of(dir),
            epoch,
            genesis_ms,
            network: format!("local-{:08x}", short_hash(dir)),
            nodes,
        })
    }

    fn read(
        dir: &Path,
        bytes: &[u8],
        oracles: usize,
        workers: usize,
        epoch: Duration,
    ) -> Result<Self, Error> {
        let file = dir.join(claim::NETWORK);
        let wrong = |why: String| Error::Output {
            what: file.display().to_string(),
            why,
        };
        let json: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let number = |value: &Value, key: &str| {
            value[key]
                .as_u64()
                .ok_or_else(|| wrong(format!("no number {key}")))
        };
        let port = |value: &Value, key| Ok::<_, Error>(u16::try_from(number(value, key)?).unwrap_or(0));
        let mut nodes = Vec::new();
        for node in json["nodes"].as_array().into_iter().flatten() {
            let name = text(node, "name")?;
            nodes.push(NodeLayout {
                role: if name.starts_with(Role::Oracle.name()) {
                    Role::Oracle
                } else {
                    Role::Worker
                },
                dir: dir.join(&name),
                run: run_folder(dir).join(&name),
                cgroup: format!("{}/{name}", cgroup_of(dir)),
                net_port: port(node, "net_port")?,
                consensus_port: port(node, "consensus_port")?,
                r1fs_port: port(node, "r1fs_port").unwrap_or(0),
                r1fs_http_port: port(node, "r1fs_http_port").unwrap_or(0),
                address: text(node, "address")?,
                eth_address: text(node, "eth_address")?,
                name,
            });
        }
        let layout = Self {
            dir: dir.to_owned(),
            run: run_folder(dir),
            cgroup: cgroup_of(dir),
            epoch: Duration::from_millis(number(&json, "epoch_ms")?),
            genesis_ms: number(&json, "genesis_ms")?,
            network: text(&json, "network")?,
            nodes,
        };
        let wanted = shape(oracles, workers, epoch);
        let found = shape(
            layout.count(Role::Oracle),
            layout.count(Role::Worker),
            layout.epoch,
        );
        if found != wanted {
            return Err(Error::OtherShape {
                path: dir.to_owned(),
                found,
                wanted,
            });
        }
        Ok(layout)
    }

    /// How many nodes have a role.
    pub fn count(&self, role: Role) -> usize {
        self.nodes.iter().filter(|node| node.role == role).count()
    }

    fn to_json(&self) -> Value {
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| {
                json!({
                    "name": node.name,
                    "net_port": node.net_port,
                    "consensus_port": node.consensus_port,
                    "r1fs_port": node.r1fs_port,
                    "r1fs_http_port": node.r1fs_http_port,
                    "address": node.address,
                    "eth_address": node.eth_address,
                })
            })
            .collect();
        let epoch_ms = u64::try_from(self.epoch.as_millis()).unwrap_or(u64::MAX);
        json!({ "epoch_ms": epoch_ms, "genesis_ms": self.genesis_ms, "network": self.network, "nodes": nodes })
    }

    fn genesis(&self) -> Value {
        let oracles = self.nodes.iter().filter(|node| node.role == Role::Oracle);
        let oracles: Vec<Value> = oracles
            .map(|node| {
                json!({
                    "address": node.address,
                    "consensus_addr": node.consensus_addr(),
                    "net_addr": node.net_addr(),
                })
            })
            .collect();
        let licences: Vec<Value> = self
            .nodes
            .iter()
            .zip(1..)
            .map(|(node, id)| json!({ "id": id, "owner": node.eth_address }))
            .collect();
        json!({
            "network": self.network,
            "chain_id": CHAIN_ID,
            "epoch": {
                "genesis_ms": self.genesis_ms,
                "length_ms": u64::try_from(self.epoch.as_millis()).unwrap_or(u64::MAX),
            },
            "oracle_min_availability": ORACLE_MIN_AVAILABILITY,
            "oracles": oracles,
            "licences": licences,
            "economy": self.economy(),
        })
    }

    /// Money to play with: the first oracle is the contracts' owner, there is a pool, and everybody has USDC for jobs,
    /// which may be short. R1 comes from rewards only.
    fn economy(&self) -> Value {
        let owner = self.nodes.first().map(|node| node.eth_address.clone());
        let allocations: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| json!({ "account": node.eth_address, "r1": "0", "usdc": NODE_USDC }))
            .collect();
        json!({
            "owner": owner,
            "pool": { "account": owner, "r1": POOL_R1, "usdc": POOL_USDC },
            "allocations": allocations,
            "jobs": {
                "min_epochs": 2,
                "redeem_after_ms": u64::try_from(self.epoch.as_millis()).unwrap_or(u64::MAX),
                "consensus_cooldown_ms": 1000,
            },
        })
    }

    fn write_configurations(&self) -> Result<(), Error> {
        let genesis = serde_json::to_vec_pretty(&self.genesis()).unwrap_or_default();
        write_atomically(&self.dir.join("genesis.json"), &genesis)?;
        for node in &self.nodes {
            write_atomically(&node.config(), self.configuration(node).as_bytes())?;
        }
        Ok(())
    }

    fn configuration(&self, node: &NodeLayout) -> String {
        let others = self
            .nodes
            .iter()
            .filter(|other| other.role == Role::Oracle && other.name != node.name);
        let bootstrap: Vec<String> = others.map(|other| format!("{:?}", other.net_addr())).collect();
        let consensus = match node.role {
            Role::Oracle => format!("consensus_listen = {:?}\n", node.consensus_addr()),
            Role::Worker => String::new(),
        };
        format!(
            "# Written by the local network; changes are overwritten at its next start.\n\
             alias = {:?}\ngenesis = \"../genesis.json\"\nkey = \"key.pem\"\nstate_dir = \"r1d\"\nrun_dir = {:?}\n\
             net_listen = [{:?}]\n{consensus}bootstrap = [{}]\nauto_link = true\nauto_claim = true\n{}",
            node.name,
            node.run.display().to_string(),
            node.net_addr(),
            bootstrap.join(", "),
            files(node),
        )
    }
}

/// Files, with times short enough to watch repair at work.
fn files(node: &NodeLayout) -> String {
    if node.r1fs_port == 0 {
        return String::new();
    }
    format!(
        "\n[r1fs]\nlisten = [\"/ip4/127.0.0.1/tcp/{}\"]\nhttp_listen = \"127.0.0.1:{}\"\nquota = {FILES_QUOTA}\n\
         announce_s = 1\nmember_timeout_s = 5\ncheck_s = 2\n",
        node.r1fs_port, node.r1fs_http_port,
    )
}

fn shape(oracles: usize, workers: usize, epoch: Duration) -> String {
    format!(
        "{oracles} oracles, {workers} workers and epochs of {} ms",
        epoch.as_millis()
    )
}

fn text(value: &Value, key: &str) -> Result<String, Error> {
    let missing = || Error::Output {
        what: value.to_string(),
        why: format!("no text {key}"),
    };
    value[key].as_str().map(str::to_owned).ok_or_else(missing)
}

/// Bytes of blocks that a node of a local network keeps: 8 GiB.
const FILES_QUOTA: u64 = 8 << 30;

/// A new key and its addresses.
fn make_key(r1d: &Path, key: &Path) -> Result<Value, Error> {
    let output = Command::new(r1d)
        .arg("keygen")
        .arg("--out")
        .arg(key)
        .output()
        .map_err(at(r1d))?;
    let wrong = |why: String| Error::Output {
        what: format!("{} keygen", r1d.display()),
        why,
    };
    if !output.status.success() {
        return Err(wrong(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| wrong(error.to_string()))
}

/// A free port below those that the kernel gives to outgoing connections, so that none of these takes the port of a
/// node that is stopped for a while.
fn free_port(held: &mut Vec<TcpListener>) -> Result<u16, Error> {
    let offset = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
    let first = PORTS.start + offset;
    for port in (first..PORTS.end).chain(PORTS.start..first) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            return Ok(port);
        }
    }
    Err(at("127.0.0.1")(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no port is free",
    )))
}

fn short_hash(dir: &Path) -> u32 {
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap_or(0)
}

/// Sockets need a short path, whatever the folder's own.
fn run_folder(dir: &Path) -> PathBuf {
    let base = if nix::unistd::geteuid().is_root() {
        "/run/r1-local"
    } else {
        "/tmp"
    };
    Path::new(base).join(format!("r1-{:08x}", short_hash(dir)))
}

fn cgroup_of(dir: &Path) -> String {
    format!("/r1-{:08x}", short_hash(dir))
}

/// Temp, fsync, rename: a killed start leaves no half-written file.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write as _;

    let temp = path.with_extension("tmp");
    let write = || {
        let mut file = fs::File::create(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, path)
    };
    write().map_err(at(path))
}
