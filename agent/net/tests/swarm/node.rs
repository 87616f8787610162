//! Nodes under test and how to wait for them.

use std::time::Duration;

use prometheus_client::{encoding::text::encode, registry::Registry};
use r1_core::NodeAddress;
use r1_net::{
    Acceptance, Config, Event, GossipMessage, Handle, Metrics, Multiaddr, ProtocolConfig, RateLimit, Request,
    TopicConfig, spawn, with_peer,
};
use tokio::{
    sync::mpsc::{self, Receiver},
    time::timeout,
};

/// The topic that all test nodes have; messages of at most [`MAX_MESSAGE`] bytes.
pub const TOPIC: &str = "chat/1";
/// Longest message of the topic.
pub const MAX_MESSAGE: usize = 2000;
/// The protocol that all test nodes have: request at most 1000 bytes, response at most 3000.
pub const PROTOCOL: &str = "echo/1";
/// How long a condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// TCP on loopback, port chosen by the system.
pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";
/// QUIC on loopback, port chosen by the system.
pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// A configuration with fast times for the node with a number as its key.
pub fn config(number: u8) -> Config {
    let mut config = Config::new("testnet", [number; 32].into());
    config.listen = vec![TCP.parse().unwrap()];
    config.topics = vec![TopicConfig::new(TOPIC, MAX_MESSAGE)];
    config.protocols = vec![ProtocolConfig::new(PROTOCOL, 1000, 3000)];
    config.times.redial_min = Duration::from_millis(100);
    config.times.redial_max_alone = Duration::from_millis(500);
    config.times.request = PATIENCE;
    config
}

/// The address of the node with a number as its key.
pub fn address(number: u8) -> NodeAddress {
    use libp2p::identity::secp256k1::{Keypair, SecretKey};
    let pair = Keypair::from(SecretKey::try_from_bytes([number; 32]).unwrap());
    NodeAddress::from_compressed(pair.public().to_bytes()).unwrap()
}

/// A running node.
pub struct Node {
    pub handle: Handle,
    pub events: Receiver<Event>,
    pub address: NodeAddress,
    pub registry: Registry,
    pub metrics: Metrics,
}

impl Node {
    /// Starts a node and waits until it listens.
    pub async fn start(number: u8, config: Config) -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let listens = config.listen.len();
        let (handle, events) = spawn(config, metrics.clone()).unwrap();
        handle.wait(|state| state.listen.len() >= listens).await.unwrap();
        Self {
            handle,
            events,
            address: address(number),
            registry,
            metrics,
        }
    }

    /// Its first listen address, with its peer id.
    pub fn multiaddr(&self) -> Multiaddr {
        with_peer(&self.handle.listen_addrs()[0], &self.address)
    }

    /// Waits until it has a number of peers.
    pub async fn has_peers(&self, count: usize) {
        let reached = timeout(PATIENCE, self.handle.wait(|state| state.peers.len() == count)).await;
        assert!(
            reached.is_ok(),
            "{count} peers wanted, {:?} there",
            self.handle.peers()
        );
    }

    /// The next event.
    pub async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap()
    }

    /// The next gossip message; other events are skipped.
    pub async fn message(&mut self) -> GossipMessage {
        loop {
            if let Event::Gossip(message) = self.event().await {
                return message;
            }
        }
    }

    /// The next request; other events are skipped.
    pub async fn request(&mut self) -> Request {
        loop {
            if let Event::Request(request) = self.event().await {
                return request;
            }
        }
    }

    /// Publishes, again and again while nobody subscribes yet.
    pub async fn publish(&self, data: &[u8]) {
        eventually(async || self.handle.publish(TOPIC, data.to_vec()).await.is_ok()).await;
    }

    /// The value of a metric's line, 0 without one.
    pub fn metric(&self, line: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let found = text
            .lines()
            .find_map(|have| have.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Answers everything from now on: messages with a verdict, requests with their own data. The data of each message
    /// comes out of the receiver.
    pub fn serve(self, acceptance: Acceptance) -> (Handle, Receiver<Vec<u8>>) {
        let (sender, receiver) = mpsc::channel(100);
        let (handle, mut events) = (self.handle, self.events);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    Event::Gossip(message) => {
                        message.verdict.report(acceptance);
                        sender.send(message.data).await.unwrap();
                    }
                    Event::Request(request) => request.reply.send(request.data).unwrap(),
                    Event::PeerConnected(_) | Event::PeerDisconnected(_) => {}
                }
            }
        });
        (handle, receiver)
    }
}

/// Waits until a condition holds.
pub async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let reached = timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    });
    assert!(reached.await.is_ok(), "condition not reached within {PATIENCE:?}");
}

/// A rate that a test cannot reach.
pub const NO_LIMIT: RateLimit = RateLimit {
    per_second: 1_000_000,
    burst: 1_000_000,
};
