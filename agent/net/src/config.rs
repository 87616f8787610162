//! Settings of the network and their limits. Each limit is named here and nowhere else.

use std::{fmt, time::Duration};

use libp2p::Multiaddr;
use zeroize::Zeroizing;

use crate::{NetError, rate::RateLimit};

/// Longest name of a network.
pub const MAX_NETWORK_NAME: usize = 32;
/// Longest short name of a topic or protocol.
pub const MAX_SHORT_NAME: usize = 64;
/// Most topics or protocols of a node.
pub const MAX_NAMES: usize = 64;
/// Largest message or body that may be configured, 8 MiB: bulk belongs into files, not into messages.
pub const MAX_BODY: usize = 8 << 20;
/// Commands of the application that wait for the network task.
pub const COMMAND_QUEUE: usize = 256;
/// Events that wait for the application. When full, gossip is ignored and requests are refused as busy.
pub const EVENT_QUEUE: usize = 1024;
/// Gossip messages that wait for the application's verdict at a time.
pub const MAX_PENDING_VERDICTS: usize = 1024;
/// Requests of others that the application works on at a time.
pub const MAX_PENDING_REPLIES: usize = 256;
/// Own requests that wait for an answer at a time.
pub const MAX_PENDING_REQUESTS: usize = 256;
/// Streams that one connection may use for requests at a time, both directions together.
pub const MAX_REQUEST_STREAMS: usize = 32;
/// Addresses that are remembered of what a peer says about itself.
pub const MAX_ADDRESSES_PER_PEER: usize = 8;
/// Banned peers that are remembered; beyond them the oldest ban ends early.
pub const MAX_BANS: usize = 1024;
/// How often the gossip mesh is maintained.
pub const GOSSIP_HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a message's id is remembered, so that the same message is not handled twice.
pub const DUPLICATE_MEMORY: Duration = Duration::from_secs(120);
/// How long a new connection may take to say which network it belongs to.
pub const IDENTIFY_PATIENCE: Duration = Duration::from_secs(15);

/// One gossip topic; `r1/<network>/<name>` on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Short name, e.g. `heartbeat/1`.
    pub name: String,
    /// Longest message, bytes (at most [`MAX_BODY`]).
    pub max_bytes: usize,
}

impl TopicConfig {
    /// A topic of a name and its longest message in bytes.
    pub fn new(name: impl Into<String>, max_bytes: usize) -> Self {
        Self {
            name: name.into(),
            max_bytes,
        }
    }
}

/// One request-response protocol. All share the stream protocol `/r1/<network>/request/1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolConfig {
    /// Short name, e.g. `table/1`.
    pub name: String,
    /// Longest request, bytes (at most [`MAX_BODY`]).
    pub max_request: usize,
    /// Longest response, bytes (at most [`MAX_BODY`]).
    pub max_response: usize,
}

impl ProtocolConfig {
    /// A protocol of a name, its longest request and its longest response in bytes.
    pub fn new(name: impl Into<String>, max_request: usize, max_response: usize) -> Self {
        Self {
            name: name.into(),
            max_request,
            max_response,
        }
    }
}

/// Limits on connections and on what peers may send.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Incoming connections in their handshake. Default 64.
    pub pending_incoming: u32,
    /// Outgoing connections in their handshake. Default 32.
    pub pending_outgoing: u32,
    /// Established incoming connections. Default 256.
    pub incoming: u32,
    /// Established outgoing connections. Default 128.
    pub outgoing: u32,
    /// Established connections with one peer; both sides may dial at once, over TCP and QUIC. Default 4.
    pub per_peer: u32,
    /// Resident memory of this process above which no new connection is taken, bytes. Default 512 MiB.
    pub memory: usize,
    /// Gossip messages that one neighbour may deliver, whoever wrote them. Default 256/s, burst 1024.
    pub gossip_per_neighbour: RateLimit,
    /// Gossip messages of one author. Default 16/s, burst 64.
    pub gossip_per_author: RateLimit,
    /// Requests of one peer. Default 32/s, burst 128.
    pub requests_per_peer: RateLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_incoming: 64,
            pending_outgoing: 32,
            incoming: 256,
            outgoing: 128,
            per_peer: 4,
            memory: 512 << 20,
            gossip_per_neighbour: RateLimit {
                per_second: 256,
                burst: 1024,
            },
            gossip_per_author: RateLimit {
                per_second: 16,
                burst: 64,
            },
            requests_per_peer: RateLimit {
                per_second: 32,
                burst: 128,
            },
        }
    }
}

/// Times of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// After how long a connection without any stream is closed. Gossip keeps a stream open to each peer that shares a
    /// topic, so connections between nodes stay. Default 60 s.
    pub idle: Duration,
    /// Between two pings of a connection. Default 20 s.
    pub ping: Duration,
    /// How long the application may take for the verdict on a gossip message; then it is ignored. At most 30 s,
    /// since unjudged messages are kept in memory. Default 5 s.
    pub validation: Duration,
    /// How long a request may take in all, both for the asker and for the answerer. Default 10 s.
    pub request: Duration,
    /// How long a peer whose score fell to the bottom is not let in again. Default 5 min.
    pub ban: Duration,
    /// First pause before a bootstrap peer is dialled again; doubles at each failure. Default 500 ms.
    pub redial_min: Duration,
    /// Longest such pause. Default 60 s.
    pub redial_max: Duration,
    /// Longest such pause while no peer at all is connected. Default 5 s.
    pub redial_max_alone: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(60),
            ping: Duration::from_secs(20),
            validation: Duration::from_secs(5),
            request: Duration::from_secs(10),
            ban: Duration::from_secs(300),
            redial_min: Duration::from_millis(500),
            redial_max: Duration::from_secs(60),
            redial_max_alone: Duration::from_secs(5),
        }
    }
}

/// All that [`crate::spawn`] needs. Its debug output leaves the secret out.
#[derive(Clone)]
pub struct Config {
    /// The network's name (lower-case letters, digits, `-`, `_`, `.`); part of every topic and protocol name.
    pub network: String,
    /// The node's secp256k1 secret; its public key is the node's address.
    pub secret: Zeroizing<[u8; 32]>,
    /// Where to listen, e.g. `/ip4/0.0.0.0/tcp/9000` and `/ip4/0.0.0.0/udp/9000/quic-v1`. Empty: dial only.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which others reach this node, where they differ from `listen` (forwarded ports).
    pub external: Vec<Multiaddr>,
    /// Peers to stay connected with while there are fewer than `enough_peers`; `/p2p/…` at the end is honoured, a name
    /// (`/dns4/…`, `/dns6/…`, `/dns/…`) is resolved at each dial.
    pub bootstrap: Vec<Multiaddr>,
    /// With so many peers, lost bootstrap peers are left alone. Default 8.
    pub enough_peers: usize,
    /// Gossip topics, all subscribed to.
    pub topics: Vec<TopicConfig>,
    /// Request-response protocols, all served.
    pub protocols: Vec<ProtocolConfig>,
    /// Limits on connections and rates.
    pub limits: Limits,
    /// Times.
    pub times: Times,
}

impl Config {
    /// A configuration with defaults for everything that has one: no addresses, topics or protocols.
    pub fn new(network: impl Into<String>, secret: Zeroizing<[u8; 32]>) -> Self {
        Self {
            network: network.into(),
            secret,
            listen: Vec::new(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            enough_peers: 8,
            topics: Vec::new(),
            protocols: Vec::new(),
            limits: Limits::default(),
            times: Times::default(),
        }
    }

    /// The wire name of a topic.
    pub fn topic_name(&self, short: &str) -> String {
        format!("r1/{}/{short}", self.network)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`NetError::Setting`] with the first setting that is out of range.
    pub fn validate(&self) -> Result<(), NetError> {
        if !is_name(&self.network, MAX_NETWORK_NAME, false) {
            return refuse(
                format!("network {:?}", self.network),
                "1 to 32 of a-z 0-9 - _ . are needed",
            );
        }
        for topic in &self.topics {
            check_name("topic", &topic.name)?;
            check_size(&format!("topic {:?} max_bytes", topic.name), topic.max_bytes)?;
        }
        for protocol in &self.protocols {
            check_name("protocol", &protocol.name)?;
            check_size(
                &format!("protocol {:?} max_request", protocol.name),
                protocol.max_request,
            )?;
            check_size(
                &format!("protocol {:?} max_response", protocol.name),
                protocol.max_response,
            )?;
        }
        check_list("topics", self.topics.iter().map(|topic| topic.name.as_str()))?;
        check_list(
            "protocols",
            self.protocols.iter().map(|protocol| protocol.name.as_str()),
        )?;
        self.check_rates()?;
        self.check_times()
    }

    fn check_rates(&self) -> Result<(), NetError> {
        let limits = &self.limits;
        for (name, rate) in [
            ("gossip_per_neighbour", limits.gossip_per_neighbour),
            ("gossip_per_author", limits.gossip_per_author),
            ("requests_per_peer", limits.requests_per_peer),
        ] {
            if rate.per_second == 0 || rate.burst == 0 {
                return refuse(name.into(), "rate and burst must be at least 1");
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), NetError> {
        let times = &self.times;
        for (name, value, max) in [
            ("times.idle", times.idle, 3600),
            ("times.ping", times.ping, 3600),
            ("times.validation", times.validation, 30),
            ("times.request", times.request, 300),
            ("times.ban", times.ban, 86_400),
            ("times.redial_min", times.redial_min, 3600),
            ("times.redial_max", times.redial_max, 3600),
            ("times.redial_max_alone", times.redial_max_alone, 3600),
        ] {
            if value.is_zero() || value > Duration::from_secs(max) {
                return refuse(
                    format!("{name} = {value:?}"),
                    &format!("must be above 0 and at most {max} s"),
                );
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("network", &self.network)
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("topics", &self.topics)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}

fn refuse<T>(name: String, reason: &str) -> Result<T, NetError> {
    Err(NetError::Setting {
        name,
        reason: reason.into(),
    })
}

fn is_name(text: &str, max: usize, slash: bool) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b"-_.".contains(&byte)
            || (slash && byte == b'/')
    };
    (1..=max).contains(&text.len()) && text.bytes().all(allowed)
}

fn check_name(kind: &str, name: &str) -> Result<(), NetError> {
    if is_name(name, MAX_SHORT_NAME, true) && !name.starts_with('/') {
        return Ok(());
    }
    refuse(
        format!("{kind} {name:?}"),
        "1 to 64 of a-z 0-9 - _ . / are needed, not / first",
    )
}

fn check_size(name: &str, size: usize) -> Result<(), NetError> {
    if (1..=MAX_BODY).contains(&size) {
        return Ok(());
    }
    refuse(
        format!("{name} = {size}"),
        &format!("must be 1 to {MAX_BODY} bytes"),
    )
}

fn check_list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), NetError> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    if names.len() > MAX_NAMES {
        return refuse(what.into(), &format!("at most {MAX_NAMES} are allowed"));
    }
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => refuse(what.into(), &format!("{:?} is listed twice", pair[0])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::new("testnet", Zeroizing::new([1; 32]));
        config.topics = vec![TopicConfig::new("heartbeat/1", 4096)];
        config.protocols = vec![ProtocolConfig::new("table/1", 4096, 65_536)];
        config
    }

    fn fault(change: impl FnOnce(&mut Config)) -> String {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_sound_configuration_passes() {
        config().validate().unwrap();
        assert_eq!(config().topic_name("heartbeat/1"), "r1/testnet/heartbeat/1");
    }

    #[test]
    fn each_fault_is_named() {
        assert!(fault(|c| c.network = "Test net".into()).contains("Test net"));
        assert!(fault(|c| c.topics[0].name = "/x".into()).contains("/x"));
        assert!(fault(|c| c.topics[0].max_bytes = 0).contains("heartbeat/1"));
        assert!(fault(|c| c.topics.push(c.topics[0].clone())).contains("twice"));
        assert!(fault(|c| c.protocols[0].max_response = MAX_BODY + 1).contains("max_response"));
        assert!(fault(|c| c.times.validation = Duration::ZERO).contains("validation"));
        assert!(fault(|c| c.limits.gossip_per_author.burst = 0).contains("gossip_per_author"));
    }

    #[test]
    fn the_debug_output_has_no_secret() {
        assert!(!format!("{:?}", config()).contains("1, 1, 1"));
    }
}
