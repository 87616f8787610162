//! A libp2p peer that speaks the protocols and keeps none of the rules.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    identify,
    identity::Keypair,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::time::timeout;

use crate::node::{PATIENCE, TOPIC};

/// A key that no node has.
pub fn ed25519() -> Keypair {
    Keypair::generate_ed25519()
}

/// A key that a node could have.
pub fn secp256k1() -> Keypair {
    Keypair::generate_secp256k1()
}

#[derive(NetworkBehaviour)]
pub struct Protocols {
    identify: identify::Behaviour,
    pub gossip: gossipsub::Behaviour,
}

/// The peer.
pub struct Stranger {
    pub swarm: Swarm<Protocols>,
}

impl Stranger {
    /// Dials a node, claiming to be of a network.
    pub fn start(key: Keypair, version: &str, node: Multiaddr) -> Self {
        let settings = gossipsub::ConfigBuilder::default()
            .protocol_id_prefix("/r1/testnet/meshsub")
            .max_transmit_size(1 << 20)
            .build()
            .unwrap();
        let mut gossip =
            gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), settings).unwrap();
        gossip.subscribe(&topic()).unwrap();
        let identify = identify::Behaviour::new(identify::Config::new(version.into(), key.public()));
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| Protocols { identify, gossip })
            .unwrap()
            .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        swarm.dial(node).unwrap();
        Self { swarm }
    }

    /// Lets the swarm run until the node hangs up.
    pub async fn is_sent_away(&mut self) {
        let closed = timeout(PATIENCE, async {
            while !matches!(
                self.swarm.select_next_some().await,
                SwarmEvent::ConnectionClosed { .. }
            ) {}
        });
        assert!(closed.await.is_ok(), "still connected");
    }

    /// Publishes on a topic as soon as the node subscribes to the common one.
    pub async fn publish(&mut self, topic: &IdentTopic, data: Vec<u8>) {
        let published = timeout(PATIENCE, async {
            while self
                .swarm
                .behaviour_mut()
                .gossip
                .publish(topic.clone(), data.clone())
                .is_err()
            {
                let _ = timeout(Duration::from_millis(20), self.swarm.select_next_some()).await;
            }
        });
        assert!(published.await.is_ok(), "could not publish");
    }

    /// Lets the swarm run for ever.
    pub async fn run(&mut self) {
        loop {
            self.swarm.select_next_some().await;
        }
    }
}

/// The topic that all test nodes have.
pub fn topic() -> IdentTopic {
    IdentTopic::new(format!("r1/testnet/{TOPIC}"))
}
