//! The protocols a node speaks and how the swarm is put together.

use std::{
    io,
    net::{IpAddr, TcpListener},
    time::Duration,
};

use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder,
    allow_block_list::{self, BlockedPeers},
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::{Keypair, secp256k1},
    kad::{self, store::MemoryStore, store::MemoryStoreConfig},
    memory_connection_limits,
    multiaddr::Protocol,
    noise, ping, quic,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
    tcp, yamux,
};

use crate::{
    NetError,
    config::{Config, Limits, MAX_REQUEST_STREAMS},
    gossip::{self, Topics},
    metrics::Metrics,
    request::{self, Codec, Protocols},
};

/// Between two refreshes of the table of known nodes.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(300);
/// Streams of one connection that may be in protocol negotiation.
const NEGOTIATING_STREAMS: usize = 32;
/// Bytes that may be under way on one QUIC stream.
const QUIC_STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that may be under way on one QUIC connection.
const QUIC_CONNECTION_WINDOW: u32 = 4 << 20;
/// What this node calls itself.
const AGENT: &str = concat!("r1-agent/", env!("CARGO_PKG_VERSION"));

/// All protocols of a node. The limits come first: what they refuse, the others never see.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) banned: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossip: gossip::Behaviour,
    pub(crate) request: request::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
}

/// What a node of a network calls its protocol version; another one is another network.
pub(crate) fn protocol_version(config: &Config) -> String {
    format!("r1/{}/1", config.network)
}

/// The node's key as libp2p wants it.
pub(crate) fn keypair(config: &Config) -> Result<Keypair, NetError> {
    let mut bytes = config.secret.clone();
    let secret = secp256k1::SecretKey::try_from_bytes(bytes.as_mut_slice()).map_err(|_| NetError::Secret)?;
    Ok(Keypair::from(secp256k1::Keypair::from(secret)))
}

fn connection_limits(limits: &Limits) -> connection_limits::Behaviour {
    connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits.pending_incoming))
            .with_max_pending_outgoing(Some(limits.pending_outgoing))
            .with_max_established_incoming(Some(limits.incoming))
            .with_max_established_outgoing(Some(limits.outgoing))
            .with_max_established_per_peer(Some(limits.per_peer)),
    )
}

/// The table of known nodes: it discovers, it stores nothing for others.
fn discovery(config: &Config, key: &Keypair) -> Result<kad::Behaviour<MemoryStore>, NetError> {
    let fault = |error: libp2p::swarm::InvalidProtocol| NetError::Setting {
        name: "network".into(),
        reason: error.to_string(),
    };
    let own = key.public().to_peer_id();
    let name = StreamProtocol::try_from_owned(format!("/r1/{}/kad/1", config.network)).map_err(fault)?;
    let mut settings = kad::Config::new(name);
    settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(Some(DISCOVERY_INTERVAL));
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::with_config(own, nothing), settings);
    // Left to itself it answers only once an external address is confirmed, which never happens on private networks.
    kad.set_mode(Some(kad::Mode::Server));
    Ok(kad)
}

fn behaviour(
    config: &Config,
    key: &Keypair,
    topics: &Topics,
    protocols: &Protocols,
    metrics: &Metrics,
) -> Result<Behaviour, NetError> {
    let identity = identify::Config::new(protocol_version(config), key.public())
        .with_agent_version(AGENT.into())
        .with_push_listen_addr_updates(true);
    let requests = request_response::Config::default()
        .with_request_timeout(config.times.request)
        .with_max_concurrent_streams(MAX_REQUEST_STREAMS);
    Ok(Behaviour {
        banned: allow_block_list::Behaviour::default(),
        limits: connection_limits(&config.limits),
        memory: memory_connection_limits::Behaviour::with_max_bytes(config.limits.memory),
        identify: identify::Behaviour::new(identity),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(config.times.ping)),
        gossip: gossip::behaviour(config, key, topics, metrics)?,
        request: request_response::Behaviour::with_codec(
            Codec::new(protocols.clone()),
            [(request::stream_protocol(config)?, ProtocolSupport::Full)],
            requests,
        ),
        kad: discovery(config, key)?,
    })
}

/// Bounds what one QUIC connection may make this node hold in memory.
fn quic_limits(mut quic: quic::Config) -> quic::Config {
    quic.max_stream_data = QUIC_STREAM_WINDOW;
    quic.max_connection_data = QUIC_CONNECTION_WINDOW;
    quic
}

/// Fails if another process listens on a TCP address. libp2p's listeners set SO_REUSEPORT: two daemons on one port
/// would both start, and the kernel would deal the connections out between them.
fn check_free(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// The swarm, listening. Must be called inside a tokio runtime.
pub(crate) fn swarm(
    config: &Config,
    topics: &Topics,
    protocols: &Protocols,
    metrics: &Metrics,
) -> Result<Swarm<Behaviour>, NetError> {
    let key = keypair(config)?;
    let behaviour = behaviour(config, &key, topics, protocols, metrics)?;
    let transport = |error: &dyn std::fmt::Display| NetError::Setting {
        name: "transport".into(),
        reason: error.to_string(),
    };
    // Only yamux's default configuration: its deprecated setters switch to an old version that a peer can crash.
    let builder = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .map_err(|error| transport(&error))?
        .with_quic_config(quic_limits);
    let mut swarm = builder
        .with_behaviour(|_| behaviour)
        .map_err(|error| transport(&error))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(config.times.idle)
                .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS)
        })
        .build();
    for address in &config.listen {
        let fault = |reason: String| NetError::Listen {
            address: address.clone(),
            reason,
        };
        check_free(address).map_err(|error| fault(error.to_string()))?;
        swarm
            .listen_on(address.clone())
            .map_err(|error| fault(error.to_string()))?;
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    Ok(swarm)
}
