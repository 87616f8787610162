//! Settings of the file plane's network and their limits. Each limit is named here or beside what it bounds.

use std::{fmt, time::Duration};

use libp2p::Multiaddr;
use zeroize::Zeroizing;

use crate::{NetError, server::ServerLimits, swarm_key::SwarmKey};

/// Longest name of a network.
pub const MAX_NETWORK_NAME: usize = 32;
/// Longest request and longest response, bytes.
pub const MAX_BODY: usize = 4 << 20;
/// Commands that wait for the network task.
pub const COMMAND_QUEUE: usize = 256;
/// Requests of others that wait for the application; when full, requests are refused.
pub const EVENT_QUEUE: usize = 256;
/// Own requests that wait for an answer at a time.
pub const MAX_PENDING_REQUESTS: usize = 256;
/// Requests of others that the application works on at a time.
pub const MAX_PENDING_REPLIES: usize = 64;
/// Sessions that are open at a time.
pub const MAX_SESSIONS: usize = 1024;
/// Addresses that are remembered of a peer.
pub const MAX_ADDRESSES_PER_PEER: usize = 8;
/// Peers whose addresses are remembered.
pub const MAX_KNOWN_PEERS: usize = 4096;
/// Provider records that are kept for others.
pub const MAX_PROVIDED: usize = 65_536;

/// Limits on connections and on what peers may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Incoming connections in their handshake. Default 64.
    pub pending_incoming: u32,
    /// Outgoing connections in their handshake. Default 64.
    pub pending_outgoing: u32,
    /// Established incoming connections. Default 256.
    pub incoming: u32,
    /// Established outgoing connections. Default 128.
    pub outgoing: u32,
    /// Established connections with one peer. Default 4.
    pub per_peer: u32,
    /// Connected peers that nobody announced with [`crate::Handle::add_peer`]; they may read blocks, and nothing else.
    /// 0: such peers cannot connect. Default 64.
    pub strangers: usize,
    /// What one announced peer may take, bytes per second; none: as much as there is. Default none.
    pub bytes_per_second: Option<u64>,
    /// The same of a stranger. Default none.
    pub stranger_bytes_per_second: Option<u64>,
    /// Limits of serving blocks.
    pub server: ServerLimits,
    /// Blocks that one session asks for at a time; further calls wait. Default 96.
    pub window: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_incoming: 64,
            pending_outgoing: 64,
            incoming: 256,
            outgoing: 128,
            per_peer: 4,
            strangers: 64,
            bytes_per_second: None,
            stranger_bytes_per_second: None,
            server: ServerLimits::default(),
            window: 96,
        }
    }
}

/// Times of the file plane's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// After how long a connection that nobody uses is closed. Default 120 s.
    pub idle: Duration,
    /// Between two pings of a connection. Default 20 s.
    pub ping: Duration,
    /// How long a handshake may take. Default 15 s.
    pub handshake: Duration,
    /// How long a peer may be silent before a block is asked of another. Default 10 s.
    pub block: Duration,
    /// How long a request may take in all, both for the asker and for the answerer. Default 60 s.
    pub request: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(120),
            ping: Duration::from_secs(20),
            handshake: Duration::from_secs(15),
            block: Duration::from_secs(10),
            request: Duration::from_secs(60),
        }
    }
}

/// How connections are encrypted. Both ends offer what they have; the first of the dialler's that both know is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// TLS 1.3 first (AES-GCM: fast), noise for those that have no TLS.
    #[default]
    TlsThenNoise,
    /// Noise only.
    Noise,
    /// TLS only.
    Tls,
}

/// All that [`crate::spawn`] needs. Its debug output leaves secrets out.
#[derive(Clone)]
pub struct Config {
    /// The network's name (lower-case letters, digits, `-`, `_`, `.`); part of the request protocol's name.
    pub network: String,
    /// The node's secp256k1 secret.
    pub secret: Zeroizing<[u8; 32]>,
    /// Where to listen: `/ip4/…/tcp/…` or `/ip6/…/tcp/…`. Empty: dial only.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which others reach this node, where they differ from `listen`.
    pub external: Vec<Multiaddr>,
    /// The key of a private network; without one, any IPFS peer can connect.
    pub swarm_key: Option<SwarmKey>,
    /// How connections are encrypted.
    pub security: Security,
    /// Stream protocol of provider records.
    pub kad_protocol: String,
    /// Limits.
    pub limits: Limits,
    /// Times.
    pub times: Times,
}

impl Config {
    /// A configuration with defaults for everything that has one.
    pub fn new(network: impl Into<String>, secret: Zeroizing<[u8; 32]>) -> Self {
        Self {
            network: network.into(),
            secret,
            listen: Vec::new(),
            external: Vec::new(),
            swarm_key: None,
            security: Security::default(),
            kad_protocol: "/ipfs/lan/kad/1.0.0".into(),
            limits: Limits::default(),
            times: Times::default(),
        }
    }

    /// The stream protocol of requests.
    pub fn request_protocol(&self) -> String {
        format!("/r1/{}/r1fs/1", self.network)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`NetError::Setting`] with the first setting that is out of range.
    pub fn validate(&self) -> Result<(), NetError> {
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let network = self.network.as_bytes();
        if !(1..=MAX_NETWORK_NAME).contains(&network.len()) || !network.iter().copied().all(name) {
            return refuse("network", "1 to 32 of a-z 0-9 - _ . are needed");
        }
        if !self.kad_protocol.starts_with('/') {
            return refuse("kad_protocol", "must start with /");
        }
        self.check_times()?;
        self.check_limits()
    }

    fn check_times(&self) -> Result<(), NetError> {
        let times = &self.times;
        for (name, value) in [
            ("times.idle", times.idle),
            ("times.ping", times.ping),
            ("times.handshake", times.handshake),
            ("times.block", times.block),
            ("times.request", times.request),
        ] {
            if value.is_zero() || value > Duration::from_secs(3600) {
                return refuse(name, "must be above 0 and at most 3600 s");
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), NetError> {
        let server = &self.limits.server;
        for (name, value, max) in [
            ("limits.window", self.limits.window, 1024),
            ("limits.server.wants_per_peer", server.wants_per_peer, 1 << 20),
            ("limits.server.message", server.message, 2 << 20),
            (
                "limits.server.in_flight_per_peer",
                server.in_flight_per_peer,
                1 << 30,
            ),
            (
                "limits.server.in_flight_per_stranger",
                server.in_flight_per_stranger,
                1 << 30,
            ),
            ("limits.server.in_flight", server.in_flight, 1 << 34),
            ("limits.server.reads", server.reads, 256),
        ] {
            if !(1..=max).contains(&value) {
                return refuse(name, &format!("must be 1 to {max}"));
            }
        }
        let rates = [
            self.limits.bytes_per_second,
            self.limits.stranger_bytes_per_second,
        ];
        if rates.contains(&Some(0)) {
            return refuse("limits.bytes_per_second", "must be at least 1");
        }
        Ok(())
    }
}

fn refuse(name: &str, reason: &str) -> Result<(), NetError> {
    Err(NetError::Setting {
        name: name.into(),
        reason: reason.into(),
    })
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("network", &self.network)
            .field("listen", &self.listen)
            .field("private", &self.swarm_key.is_some())
            .field("security", &self.security)
            .field("limits", &self.limits)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::new("testnet", Zeroizing::new([1; 32]));
        config.validate().unwrap();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn each_fault_is_named() {
        assert!(fault(|c| c.network = "Test".into()).contains("network"));
        assert!(fault(|c| c.kad_protocol = "kad".into()).contains("kad_protocol"));
        assert!(fault(|c| c.times.block = Duration::ZERO).contains("times.block"));
        assert!(fault(|c| c.limits.window = 0).contains("limits.window"));
        assert!(fault(|c| c.limits.server.message = 3 << 20).contains("server.message"));
        assert!(fault(|c| c.limits.bytes_per_second = Some(0)).contains("bytes_per_second"));
    }

    #[test]
    fn the_debug_output_has_no_secret() {
        let mut config = Config::new("testnet", Zeroizing::new([173; 32]));
        config.swarm_key = Some(SwarmKey::new(Zeroizing::new([173; 32])));
        assert!(!format!("{config:?}").contains("173"));
    }
}
