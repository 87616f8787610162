//! A whole node, alone: it proves itself available, agrees with itself, is paid, and refuses what it should.
#![expect(clippy::unwrap_used, reason = "a test")]

mod alone;
mod full_disk;
mod hostile;
mod proofs;
mod start;

use std::{path::Path, time::Duration};

use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle};
use r1_identity::NodeKey;
use r1d::{
    clock::now_ms,
    config::Config,
    node::{self, Running},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, sleep},
};

/// Long enough for anything that should happen within one epoch, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node in a temporary folder: the only oracle of its network. The second licence belongs to `stranger`.
struct Solo {
    dir: tempfile::TempDir,
    stranger: NodeKey,
}

impl Solo {
    /// Epochs of `epoch_ms`, the first one beginning half a second from now.
    fn new(epoch_ms: u64) -> Self {
        Self::since(now_ms() + 500, epoch_ms)
    }

    fn since(genesis_ms: u64, epoch_ms: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::generate(&mut rand::rngs::OsRng);
        key.save(&dir.path().join("key.pem")).unwrap();
        let stranger = NodeKey::generate(&mut rand::rngs::OsRng);
        let licence = |id, key: &NodeKey| GenesisLicence {
            id,
            owner: key.eth_address(),
        };
        let genesis = Genesis {
            network: "solo".into(),
            chain_id: 7,
            epoch: EpochClock {
                genesis_ms,
                length_ms: epoch_ms,
            },
            // A busy test machine may miss a heartbeat; one that it sends must be worth something.
            oracle_min_availability: 1,
            oracles: vec![GenesisOracle {
                address: key.address(),
                consensus_addr: String::new(),
                net_addr: String::new(),
            }],
            economy: Default::default(),
            licences: vec![licence(1, &key), licence(2, &stranger)],
        };
        std::fs::write(
            dir.path().join("genesis.json"),
            serde_json::to_vec(&genesis).unwrap(),
        )
        .unwrap();
        let toml = "alias = 'solo'\ngenesis = 'genesis.json'\nkey = 'key.pem'\nstate_dir = 'state'\nrun_dir = 'run'\n\
                    net_listen = ['/ip4/127.0.0.1/tcp/0']\nconsensus_listen = '/ip4/127.0.0.1/tcp/0'\n\
                    auto_link = true\nauto_claim = true\n";
        std::fs::write(dir.path().join("r1d.toml"), toml).unwrap();
        Self { dir, stranger }
    }

    fn config(&self) -> Config {
        Config::load(&self.dir.path().join("r1d.toml")).unwrap()
    }

    async fn start(&self) -> Running {
        node::start(self.config()).await.unwrap()
    }
}

/// `GET` on the control socket: status code and JSON.
async fn get(socket: &Path, path: &str) -> (u16, serde_json::Value) {
    let (status, body) = request(socket, &format!("GET {path} HTTP/1.0\r\n\r\n")).await;
    (
        status,
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")),
    )
}

async fn request(socket: &Path, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until a condition holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        sleep(Duration::from_millis(50)).await;
    }
}
