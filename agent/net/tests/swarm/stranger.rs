//! A libp2p peer that speaks the protocols and keeps none of the rules.

use std::{io, time::Duration};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    identify,
    identity::Keypair,
    noise,
    request_response::{self, ProtocolSupport},
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

/// Writes its request as it is into whatever protocol it is told, and reads whatever comes back.
#[derive(Clone, Default)]
pub struct Noise;

#[async_trait]
impl request_response::Codec for Noise {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read_response(&StreamProtocol::new("/"), io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.take(1 << 20).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

/// Dials a node, sends bytes in a protocol and returns once the node has answered or hung up.
pub async fn send_noise(node: &Multiaddr, peer: PeerId, protocol: &str, bytes: Vec<u8>) {
    let name = StreamProtocol::try_from_owned(protocol.into()).unwrap();
    let settings = request_response::Config::default().with_request_timeout(Duration::from_secs(3));
    let noise = request_response::Behaviour::<Noise>::new([(name, ProtocolSupport::Outbound)], settings);
    let mut swarm = SwarmBuilder::with_existing_identity(secp256k1())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| noise)
        .unwrap()
        .build();
    swarm.add_peer_address(peer, node.clone());
    swarm.behaviour_mut().send_request(&peer, bytes);
    let done = timeout(PATIENCE, async {
        while !matches!(swarm.select_next_some().await, SwarmEvent::Behaviour(_)) {}
    });
    assert!(done.await.is_ok(), "neither answer nor error");
}
