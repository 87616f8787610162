//! The protocols of the file plane and how its swarm is put together.

use std::{
    io,
    net::{IpAddr, TcpListener},
    time::Duration,
};

use futures::{future::Either, io::BufWriter};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport,
    connection_limits::{self, ConnectionLimits},
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identify,
    identity::{Keypair, secp256k1},
    kad::{self, store::MemoryStore, store::MemoryStoreConfig},
    multiaddr::Protocol,
    ping,
    pnet::{PnetConfig, PreSharedKey},
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
    tcp,
};

use crate::{
    NetError, behaviour,
    config::{Config, Limits, MAX_PENDING_REPLIES, MAX_PENDING_REQUESTS, MAX_PROVIDED},
    muxer,
    request::{self, Codec},
    security::Secure,
};

/// What IPFS peers call the version of their protocols.
pub const PROTOCOL_VERSION: &str = "ipfs/0.1.0";
/// What this node calls itself.
pub const AGENT: &str = concat!("r1-agent/", env!("CARGO_PKG_VERSION"));
/// Streams of one connection that may be in protocol negotiation.
const NEGOTIATING_STREAMS: usize = 64;
/// Bytes that are gathered before they are written to a private network's socket: its cipher writes 1 KiB at a time.
const GATHERED: usize = 64 << 10;
/// Most providers of one block that are remembered.
const PROVIDERS_PER_KEY: usize = 20;

/// All protocols. The limits come first: what they refuse, the others never see.
#[derive(NetworkBehaviour)]
pub(crate) struct Node {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) bitswap: behaviour::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    pub(crate) request: request::Behaviour,
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

fn stream_protocol(setting: &str, name: String) -> Result<StreamProtocol, NetError> {
    StreamProtocol::try_from_owned(name).map_err(|error| NetError::Setting {
        name: setting.into(),
        reason: error.to_string(),
    })
}

/// Provider records only: no values are kept for anybody.
fn records(config: &Config, own: PeerId) -> Result<kad::Behaviour<MemoryStore>, NetError> {
    let name = stream_protocol("kad_protocol", config.kad_protocol.clone())?;
    let mut settings = kad::Config::new(name);
    settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None)
        .set_query_timeout(Duration::from_secs(20));
    let store = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: PROVIDERS_PER_KEY,
        max_provided_keys: MAX_PROVIDED,
    };
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::with_config(own, store), settings);
    // Left to itself it answers only once an external address is confirmed, which never happens on private networks.
    kad.set_mode(Some(kad::Mode::Server));
    Ok(kad)
}

fn node(config: &Config, key: &Keypair) -> Result<Node, NetError> {
    let identity = identify::Config::new(PROTOCOL_VERSION.into(), key.public())
        .with_agent_version(AGENT.into())
        .with_push_listen_addr_updates(true);
    let requests = request_response::Config::default()
        .with_request_timeout(config.times.request)
        .with_max_concurrent_streams(MAX_PENDING_REQUESTS + MAX_PENDING_REPLIES);
    let name = stream_protocol("network", config.request_protocol())?;
    Ok(Node {
        limits: connection_limits(&config.limits),
        bitswap: behaviour::Behaviour::new(config.limits.strangers),
        identify: identify::Behaviour::new(identity),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(config.times.ping)),
        kad: records(config, key.public().to_peer_id())?,
        request: request_response::Behaviour::with_codec(Codec, [(name, ProtocolSupport::Full)], requests),
    })
}

/// TCP, closed to all who have not got the key of a private network; encrypted, and split into streams.
fn transport(config: &Config, key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    let private = config
        .swarm_key
        .as_ref()
        .map(|key| PnetConfig::new(PreSharedKey::new(key.bytes())));
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let tcp = tcp.and_then(move |socket, _| async move {
        let Some(private) = private else {
            return Ok(Either::Left(socket));
        };
        let gathered = BufWriter::with_capacity(GATHERED, socket);
        let closed = private.handshake(gathered).await;
        closed.map(Either::Right).map_err(io::Error::other)
    });
    Ok(tcp
        .upgrade(Version::V1Lazy)
        .authenticate(Secure::new(config.security, key)?)
        .multiplex(muxer::Upgrade::default())
        .timeout(config.times.handshake)
        .boxed())
}

/// Fails if another process listens on an address. libp2p's listeners set SO_REUSEPORT: two daemons on one port would
/// both start, and the kernel would deal the connections out between them.
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
pub(crate) fn swarm(config: &Config) -> Result<Swarm<Node>, NetError> {
    let key = keypair(config)?;
    let settings = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(config.times.idle)
        .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS);
    let own = key.public().to_peer_id();
    let mut swarm = Swarm::new(transport(config, &key)?, node(config, &key)?, own, settings);
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
