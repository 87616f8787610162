//! The table `[r1fs]` of the configuration.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Settings of files. All have defaults but the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Multiaddresses (TCP) on which the file plane listens. Empty: dial only.
    pub listen: Vec<String>,
    /// Multiaddresses of IPFS peers to connect to at start.
    pub bootstrap: Vec<String>,
    /// Address of the HTTP front end; must be a loopback address. Ratio1's SDKs expect port 31235.
    pub http_listen: Option<SocketAddr>,
    /// Most bytes of blocks. Default 100 GiB.
    pub quota: u64,
    /// Most bytes the index may grow to. Default 64 GiB of address space.
    pub index_bytes: usize,
    /// Largest content, bytes. Default 5 GiB.
    pub content: u64,
    /// How long blocks that nothing refers to stay, s. Default 3600.
    pub grace_s: u64,
    /// Copies of each object that is added here, this node's included. Default 3.
    pub replicas: u8,
    /// How long an add waits for its copies, s. Default 30.
    pub ack_timeout_s: u64,
    /// Between two announcements of this node to the others, s. Default 10.
    pub announce_s: u64,
    /// After how long without an announcement a member counts as lost, s. Default 35.
    pub member_timeout_s: u64,
    /// How often each object's copies are checked, s. Default 60.
    pub check_s: u64,
    /// File with the key of a private network (`/key/swarm/psk/1.0.0/`); without it any IPFS peer may read blocks.
    pub swarm_key: Option<PathBuf>,
    /// Connected peers that are no members of this network. 0: none may connect. Default 64.
    pub strangers: usize,
    /// What one of them may take, bytes per second. Default as much as there is.
    pub stranger_bytes_per_second: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            bootstrap: Vec::new(),
            http_listen: None,
            quota: 100 << 30,
            index_bytes: 64 << 30,
            content: 5 << 30,
            grace_s: 3600,
            replicas: 3,
            ack_timeout_s: 30,
            announce_s: 10,
            member_timeout_s: 35,
            check_s: 60,
            swarm_key: None,
            strangers: 64,
            stranger_bytes_per_second: None,
        }
    }
}

impl Settings {
    /// The first setting that is out of range: its key and what is wrong.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        if let Some(address) = self.http_listen.filter(|address| !address.ip().is_loopback()) {
            let why = format!(
                "{address} is not a loopback address; let a reverse proxy with authentication serve it"
            );
            return Some(("r1fs.http_listen", why));
        }
        let ranges = [
            ("r1fs.replicas", u64::from(self.replicas), 1, 32),
            ("r1fs.announce_s", self.announce_s, 1, 3600),
            (
                "r1fs.member_timeout_s",
                self.member_timeout_s,
                self.announce_s + 1,
                86_400,
            ),
            ("r1fs.check_s", self.check_s, 1, 86_400),
            ("r1fs.ack_timeout_s", self.ack_timeout_s, 1, 3600),
            ("r1fs.quota", self.quota, 1 << 20, u64::MAX),
            ("r1fs.index_bytes", self.index_bytes as u64, 16 << 20, 1 << 44),
        ];
        let outside = ranges
            .into_iter()
            .find(|(_, value, min, max)| !(min..=max).contains(&value));
        outside.map(|(key, value, min, max)| (key, format!("{value}, {min} to {max} are allowed")))
    }
}
