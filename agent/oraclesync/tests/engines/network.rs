//! A network of oracles in this process, with an application whose work the test dials.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::{encoding::text::encode, registry::Registry};
use r1_core::{EpochClock, Genesis, GenesisOracle};
use r1_oraclesync::{
    Application, Config, Decided, DecidedBlock, Domain, Handle, Metrics, OracleKey, Refusal, Timing,
    ValidatorSet, keccak, spawn,
};
use tempfile::TempDir;

/// Engines in one process need different names, restarted ones too.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Has work up to a height that the test sets; its payload is the height and who built it.
struct Dial {
    goal: Arc<AtomicU64>,
    applied: Arc<Mutex<Vec<u64>>>,
    tag: u8,
}

impl Application for Dial {
    fn applied(&self) -> u64 {
        self.applied.lock().unwrap().last().copied().unwrap_or(0)
    }

    fn propose(&mut self, height: u64, _now_ms: u64) -> Option<Vec<u8>> {
        (height <= self.goal.load(Ordering::SeqCst)).then(|| {
            let mut payload = height.to_be_bytes().to_vec();
            payload.push(self.tag);
            payload
        })
    }

    fn validate(&mut self, height: u64, payload: &[u8], _now_ms: Option<u64>) -> Result<(), Refusal> {
        if payload.len() == 9 && payload.starts_with(&height.to_be_bytes()) {
            Ok(())
        } else {
            Err(format!("payload of height {height} is not its number").into())
        }
    }

    fn apply(&mut self, block: &DecidedBlock, _decide_ms: Option<u64>) -> Result<(), Refusal> {
        self.applied.lock().unwrap().push(block.certificate.height);
        Ok(())
    }
}

struct Node {
    handle: Handle,
    applied: Arc<Mutex<Vec<u64>>>,
    registry: Registry,
}

pub struct Network {
    genesis: Genesis,
    keys: Vec<OracleKey>,
    goals: Vec<Arc<AtomicU64>>,
    dirs: Vec<TempDir>,
    tags: Vec<u8>,
    nodes: BTreeMap<usize, Node>,
}

/// A free port below those that the kernel gives to outgoing connections, which could take it while its oracle is
/// stopped.
fn free_port() -> TcpListener {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(37) % 16_000;
    let tries = || first + NEXT.fetch_add(1, Ordering::SeqCst);
    let ports = std::iter::repeat_with(tries).map(|number| u16::try_from(12_000 + number % 16_000).unwrap());
    ports
        .take(1_000)
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .unwrap()
}

/// Lets time pass in which nothing should happen.
pub async fn settle(time: Duration) {
    tokio::time::sleep(time).await;
}

impl Network {
    /// `None` (and a line that says so) where the machine has no name server configured, without which the engine
    /// does not start.
    pub fn new(name: &str, oracles: usize) -> Option<Self> {
        if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
            // Only the first test of a process can set it.
            let _ = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .try_init();
        }
        let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        if !resolver
            .lines()
            .any(|line| line.trim_start().starts_with("nameserver"))
        {
            assert!(
                std::env::var_os("R1_REQUIRE_ALL").is_none(),
                "no name server configured"
            );
            eprintln!("SKIP {name}: /etc/resolv.conf names no server");
            return None;
        }
        let keys: Vec<_> = (0..oracles)
            .map(|index| {
                let seed = keccak(format!("{name}/{index}").as_bytes());
                OracleKey::from_secret(&seed).unwrap()
            })
            .collect();
        // All are held until all are known, or a port could be given out twice.
        let ports: Vec<_> = keys.iter().map(|_| free_port()).collect();
        let oracle = |(key, port): (&OracleKey, &TcpListener)| GenesisOracle {
            address: key.node(),
            consensus_addr: format!("/ip4/127.0.0.1/tcp/{}", port.local_addr().unwrap().port()),
            net_addr: "/ip4/127.0.0.1/tcp/1".to_owned(),
        };
        let genesis = Genesis {
            network: format!("test-{name}"),
            chain_id: 31_337,
            epoch: EpochClock {
                genesis_ms: 0,
                length_ms: 60_000,
            },
            oracle_min_availability: 153,
            oracles: keys.iter().zip(&ports).map(oracle).collect(),
            economy: Default::default(),
            licences: Vec::new(),
        };
        let goals = keys.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
        let dirs = keys.iter().map(|_| tempfile::tempdir().unwrap()).collect();
        let tags = (0..).take(oracles).collect();
        Some(Self {
            tags,
            genesis,
            keys,
            goals,
            dirs,
            nodes: BTreeMap::new(),
        })
    }

    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    fn config(&self, key: &OracleKey, listen: &str, dir: &Path, metrics: Metrics) -> Config {
        let generation = GENERATION.fetch_add(1, Ordering::SeqCst);
        Config {
            genesis: self.genesis.clone(),
            key: key.clone(),
            listen: listen.to_owned(),
            state_dir: dir.to_owned(),
            moniker: format!("{}-{generation}", self.genesis.network),
            timing: Timing {
                interval: Duration::from_millis(200),
                poll: Duration::from_millis(50),
                status: Duration::from_secs(1),
                longest: Duration::from_secs(2),
                ..Timing::default()
            },
            metrics,
        }
    }

    pub async fn start(&mut self, index: usize) {
        let applied = Arc::new(Mutex::new(Vec::new()));
        let app = Dial {
            goal: Arc::clone(&self.goals[index]),
            applied: Arc::clone(&applied),
            tag: self.tags[index],
        };
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let listen = &self.genesis.oracles[index].consensus_addr;
        let config = self.config(&self.keys[index], listen, self.dirs[index].path(), metrics);
        let handle = spawn(config, app).await.unwrap();
        self.nodes.insert(
            index,
            Node {
                handle,
                applied,
                registry,
            },
        );
    }

    /// Loses an oracle's store and log; it will propose other payloads than before.
    pub fn forget(&mut self, index: usize) {
        self.dirs[index] = tempfile::tempdir().unwrap();
        self.tags[index] = 99;
    }

    /// Waits until an oracle has stored evidence against another.
    pub async fn evidence(&self, index: usize, patience: Duration) {
        let started = Instant::now();
        while self.nodes[&index].handle.store().evidence().unwrap().is_empty() {
            assert!(started.elapsed() < patience, "oracle {index} has no evidence");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn start_all(&mut self) {
        for index in 0..self.keys.len() {
            self.start(index).await;
        }
    }

    /// The error of an oracle that is none.
    pub async fn start_stranger(&self) -> String {
        let key = OracleKey::from_secret(&keccak(b"stranger")).unwrap();
        let app = Dial {
            goal: Arc::default(),
            applied: Arc::default(),
            tag: 0,
        };
        let dir = tempfile::tempdir().unwrap();
        let config = self.config(&key, "/ip4/127.0.0.1/tcp/0", dir.path(), Metrics::default());
        spawn(config, app).await.unwrap_err().to_string()
    }

    /// What the last decision was like.
    pub fn decided(&self, index: usize) -> Decided {
        *self.nodes[&index].handle.subscribe().borrow()
    }

    /// Takes an oracle's port away from it.
    pub fn hold_port(&self, index: usize) -> TcpListener {
        let address = &self.genesis.oracles[index].consensus_addr;
        let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
        TcpListener::bind(("127.0.0.1", port)).unwrap()
    }

    /// How an oracle fails, at its start or after it.
    pub async fn failure(&mut self, index: usize, patience: Duration) -> String {
        let app = Dial {
            goal: Arc::default(),
            applied: Arc::default(),
            tag: 0,
        };
        let listen = &self.genesis.oracles[index].consensus_addr;
        let config = self.config(
            &self.keys[index],
            listen,
            self.dirs[index].path(),
            Metrics::default(),
        );
        match spawn(config, app).await {
            Err(error) => error.to_string(),
            Ok(handle) => {
                let ended = tokio::time::timeout(patience, handle.ended()).await;
                ended.expect("the agreement goes on").to_string()
            }
        }
    }

    pub async fn stop(&mut self, index: usize) {
        self.nodes.remove(&index).unwrap().handle.stop().await;
    }

    /// Gives all oracles work up to a height.
    pub fn goal(&self, height: u64) {
        (0..self.goals.len()).for_each(|index| self.goal_of(index, height));
    }

    /// Gives one oracle work up to a height.
    pub fn goal_of(&self, index: usize, height: u64) {
        self.goals[index].store(height, Ordering::SeqCst);
        if let Some(node) = self.nodes.get(&index) {
            node.handle.hint_work();
        }
    }

    /// Who proposes first at a height.
    pub fn proposer(&self, height: u64) -> usize {
        let set = ValidatorSet::from_genesis(&self.genesis).unwrap();
        let node = set.proposer(height, 0).unwrap().node;
        self.keys.iter().position(|key| key.node() == node).unwrap()
    }

    pub fn tip(&self, index: usize) -> u64 {
        self.nodes[&index].handle.tip()
    }

    pub fn applied(&self, index: usize) -> Vec<u64> {
        self.nodes[&index].applied.lock().unwrap().clone()
    }

    /// Rounds that an oracle has started, as its metrics say.
    pub fn rounds(&self, index: usize) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.nodes[&index].registry).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("r1_oraclesync_rounds_total "))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until all running oracles have decided a height.
    pub async fn reach(&self, height: u64, patience: Duration) {
        let all: Vec<_> = self.nodes.keys().copied().collect();
        self.reach_by(&all, height, patience).await;
    }

    pub async fn reach_by(&self, indices: &[usize], height: u64, patience: Duration) {
        for index in indices {
            let mut decided = self.nodes[index].handle.subscribe();
            let waited = tokio::time::timeout(patience, decided.wait_for(|now| now.height >= height)).await;
            assert!(
                waited.is_ok(),
                "oracle {index} is at {} after {patience:?}, not {height}",
                self.tip(*index)
            );
        }
    }

    /// All running oracles hold the same payloads, each with a certificate that verifies.
    pub fn verify(&self) {
        let domain = Domain::of(&self.genesis);
        let set = ValidatorSet::from_genesis(&self.genesis).unwrap();
        let mut agreed: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for node in self.nodes.values() {
            let blocks = node.handle.decided(1, usize::MAX).unwrap();
            assert!(blocks.len() as u64 >= node.handle.tip(), "no height is missing");
            for block in blocks {
                block.certificate.verify(&domain, &set).unwrap();
                assert_eq!(keccak(&block.payload), block.certificate.value_id);
                let height = block.certificate.height;
                assert_eq!(
                    agreed.entry(height).or_insert_with(|| block.payload.clone()),
                    &block.payload
                );
            }
        }
    }
}
