//! How the engine is set up.

use std::{
    net::{IpAddr, TcpListener, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use arc_malachitebft_app_channel::app::{
    config::{
        ChannelNames, ConsensusConfig, NodeConfig, P2pConfig, ProtocolNames, PubSubProtocol, ValueSyncConfig,
    },
    net::Multiaddr,
};
use arc_malachitebft_core_types::LinearTimeouts;
use libp2p_identity::{PeerId, PublicKey, secp256k1};
use r1_core::{Genesis, NodeAddress};

use super::EngineError;
use crate::{key::OracleKey, metrics::Metrics};

/// Values fetched in one sync request; a batch of full blocks must fit an answer.
const SYNC_BATCH: usize = 4;
/// Connections of one peer: one each way, and one that is being replaced.
const CONNECTIONS_PER_PEER: usize = 4;
/// How often a taken port is tried again, and after how long.
const PORT_TRIES: u32 = 20;
const PORT_PAUSE: Duration = Duration::from_millis(100);
/// Where the resolver that the engine's transport insists on reads its servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a round waits for its proposer, in round 0.
    pub propose: Duration,
    /// How long it waits for more prevotes and, again, for more precommits, in round 0.
    pub vote: Duration,
    /// What each later round adds to each of these.
    pub delta: Duration,
    /// The most that any of these grows to: how late work that arrives after idle rounds may be noticed.
    pub longest: Duration,
    /// Least time between the starts of two heights with own work.
    pub interval: Duration,
    /// How often the application is asked for work while there is none.
    pub poll: Duration,
    /// How often peers are told the last decided height.
    pub status: Duration,
    /// How long a request for missed heights may take.
    pub sync: Duration,
    /// How often the engine must give a sign of life, and how long that (and its start) may take.
    pub watchdog: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            propose: Duration::from_secs(1),
            vote: Duration::from_secs(1),
            delta: Duration::from_millis(500),
            longest: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            poll: Duration::from_millis(500),
            status: Duration::from_secs(2),
            sync: Duration::from_secs(5),
            watchdog: Duration::from_secs(30),
        }
    }
}

impl Timing {
    pub(super) fn timeouts(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose,
            propose_delta: self.delta,
            prevote: self.vote,
            prevote_delta: self.delta,
            precommit: self.vote,
            precommit_delta: self.delta,
            rebroadcast: self.longest,
            max_timeout: self.longest,
        }
    }
}

/// What an oracle's agreement is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The network.
    pub genesis: Genesis,
    /// This oracle's key; its address must be in the genesis. One process per key, ever.
    pub key: OracleKey,
    /// Where to listen for the other oracles, e.g. `/ip4/0.0.0.0/tcp/9001`; the address picks TCP or QUIC.
    pub listen: String,
    /// Folder for the store and the write-ahead log; made if missing.
    pub state_dir: PathBuf,
    /// Name in the engine's logs and metrics; different for each agreement in one process.
    pub moniker: String,
    /// How long things may take.
    pub timing: Timing,
    /// Where to count.
    pub metrics: Metrics,
}

/// The engine's own configuration.
pub(super) struct EngineConfig {
    moniker: String,
    consensus: ConsensusConfig,
    value_sync: ValueSyncConfig,
}

impl NodeConfig for EngineConfig {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.value_sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.value_sync
    }
}

impl EngineConfig {
    pub(super) fn new(config: &Config) -> Result<Self, EngineError> {
        let network = &config.genesis.network;
        let mut p2p = P2pConfig {
            listen_addr: multiaddr(&config.listen)?,
            persistent_peers: peers(&config.genesis, &config.key.node())?,
            persistent_peers_only: true,
            protocol: PubSubProtocol::Broadcast,
            protocol_names: ProtocolNames {
                consensus: format!("/r1/{network}/consensus/1"),
                discovery_kad: format!("/r1/{network}/oracle-kad/1"),
                discovery_regres: format!("/r1/{network}/oracle-peers/1"),
                sync: format!("/r1/{network}/oracle-sync/1"),
                validator_proof: format!("/r1/{network}/oracle-proof/1"),
            },
            channel_names: ChannelNames {
                consensus: format!("/r1/{network}/votes"),
                proposal_parts: format!("/r1/{network}/parts"),
                sync: format!("/r1/{network}/status"),
                liveness: format!("/r1/{network}/liveness"),
            },
            ..P2pConfig::default()
        };
        p2p.discovery.max_connections_per_peer = CONNECTIONS_PER_PEER;
        let consensus = ConsensusConfig {
            p2p,
            ..ConsensusConfig::default()
        };
        let value_sync = ValueSyncConfig {
            status_update_interval: config.timing.status,
            request_timeout: config.timing.sync,
            batch_size: SYNC_BATCH,
            ..ValueSyncConfig::default()
        };
        Ok(Self {
            moniker: config.moniker.clone(),
            consensus,
            value_sync,
        })
    }
}

fn multiaddr(text: &str) -> Result<Multiaddr, EngineError> {
    let refuse = |why: String| EngineError::Address {
        address: text.to_owned(),
        why,
    };
    let address: Multiaddr = text.parse().map_err(|error| refuse(format!("{error}")))?;
    let transport = ["/tcp/", "/udp/"].iter().any(|part| text.contains(part));
    if transport {
        Ok(address)
    } else {
        Err(refuse("neither tcp nor udp".to_owned()))
    }
}

/// The engine says nothing and decides nothing where its port is taken: look before it starts. The process before
/// this one may take a moment to let go of it.
pub(super) async fn check_port(text: &str) -> Result<(), EngineError> {
    multiaddr(text)?;
    let mut result = bind(text);
    for _ in 0..PORT_TRIES {
        if result.is_ok() {
            break;
        }
        tokio::time::sleep(PORT_PAUSE).await;
        result = bind(text);
    }
    result.map_err(|error| EngineError::Address {
        address: text.to_owned(),
        why: error.to_string(),
    })
}

fn bind(text: &str) -> std::io::Result<()> {
    let parts: Vec<_> = text.split('/').collect();
    let ["", "ip4" | "ip6", ip, transport @ ("tcp" | "udp"), port, ..] = parts[..] else {
        return Ok(());
    };
    match (ip.parse::<IpAddr>(), port.parse::<u16>()) {
        (Ok(ip), Ok(port)) if transport == "tcp" => TcpListener::bind((ip, port)).map(drop),
        (Ok(ip), Ok(port)) => UdpSocket::bind((ip, port)).map(drop),
        // A form that std does not know is left to the engine.
        _ => Ok(()),
    }
}

/// The other oracles' addresses, each bound to its key.
fn peers(genesis: &Genesis, own: &NodeAddress) -> Result<Vec<Multiaddr>, EngineError> {
    let others = genesis.oracles.iter().filter(|oracle| oracle.address != *own);
    others
        .map(|oracle| {
            multiaddr(&format!(
                "{}/p2p/{}",
                oracle.consensus_addr,
                peer_id(&oracle.address)?
            ))
        })
        .collect()
}

/// The libp2p name of a node.
pub(super) fn peer_id(node: &NodeAddress) -> Result<PeerId, EngineError> {
    secp256k1::PublicKey::try_from_bytes(node.as_compressed())
        .map(|key| PublicKey::from(key).to_peer_id())
        .map_err(|_| EngineError::Key(crate::key::KeyError::Point(*node)))
}

/// The engine's transport refuses to start where the resolver's file names no server, even though it never asks
/// one for /ip4 and /ip6 addresses; its own error says neither which file nor what to do.
pub(super) fn check_resolver() -> Result<(), EngineError> {
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    if names_a_server(&text) {
        Ok(())
    } else {
        Err(EngineError::Resolver(RESOLV_CONF))
    }
}

fn names_a_server(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        // An IPv6 address may have a zone, which std does not parse.
        words.next() == Some("nameserver")
            && words
                .next()
                .and_then(|word| word.split('%').next())
                .is_some_and(|address| address.parse::<std::net::IpAddr>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_must_name_a_transport() {
        assert!(multiaddr("/ip4/127.0.0.1/tcp/9001").is_ok());
        assert!(multiaddr("/ip4/127.0.0.1/udp/9001/quic-v1").is_ok());
        for text in ["", "127.0.0.1:9001", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/x"] {
            let error = multiaddr(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_resolver_file_needs_one_server() {
        assert!(names_a_server("# none\nsearch x\nnameserver 192.0.2.1\n"));
        assert!(names_a_server("nameserver fe80::1%eth0"));
        for text in [
            "",
            "\n",
            "# nameserver 192.0.2.1",
            "nameserver",
            "nameserver example.org",
        ] {
            assert!(!names_a_server(text), "{text:?}");
        }
    }
}
