//! Figures of the network, names `r1_net_*`.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::config::Config;

/// Label of a gossip topic, by its short name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabel {
    /// The topic's short name.
    pub topic: String,
}

/// Label of a request-response protocol, by its short name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProtocolLabel {
    /// The protocol's short name; `unknown` for one that this node does not serve.
    pub protocol: String,
}

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Direction {
    /// From a peer; printed as `In`.
    In,
    /// To a peer; printed as `Out`.
    Out,
}

/// Label of a direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DirectionLabel {
    /// Which way.
    pub direction: Direction,
}

/// A counter per topic.
pub type PerTopic = Family<TopicLabel, Counter>;
/// A counter per protocol.
pub type PerProtocol = Family<ProtocolLabel, Counter>;

/// Figures of one node's network. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Peers of this network that are connected now, each once; peers that have not yet said which network they
    /// belong to are not counted.
    pub peers: Gauge,
    /// Established connections now, of whatever network.
    pub connections: Gauge,
    /// Connections established since the start, both directions.
    pub connections_opened: Counter,
    /// Dials that failed, of bootstrap and of discovered addresses. Dials that were skipped because a connection
    /// already existed are not counted.
    pub dial_failures: Counter,
    /// Incoming connections that failed in their handshake (garbage, wrong protocol, broken off). Those refused by
    /// a limit or a ban are not counted here.
    pub handshake_failures: Counter,
    /// Connections refused by a connection or memory limit or because the peer is banned, both directions.
    pub connections_refused: Counter,
    /// Peers that were disconnected because they belong to another network, have no secp256k1 key or did not say
    /// in time who they are.
    pub foreign_peers: Counter,
    /// Peers banned because their score fell to the bottom; each ban counts.
    pub bans: Counter,
    /// Messages published by this node and handed to at least one peer.
    pub published: PerTopic,
    /// Messages of peers that the application accepted; duplicates are not counted.
    pub accepted: PerTopic,
    /// Messages of peers that the application rejected, or whose author is no node.
    pub rejected: PerTopic,
    /// Messages of peers that the application ignored or did not judge in time, and those dropped because the
    /// event queue or the list of unjudged messages was full. Rate-limited ones are not counted here.
    pub ignored: PerTopic,
    /// Messages dropped unseen because the event queue or the list of unjudged messages was full; also in `ignored`.
    pub dropped: PerTopic,
    /// Messages longer than their topic allows: own ones refused and peers' dropped. A peer's frame beyond the
    /// frame limit breaks its stream before its topic is known and is not counted.
    pub oversized: PerTopic,
    /// Messages dropped by the rate limit of a neighbour or of an author.
    pub rate_limited: PerTopic,
    /// Messages on topics that this node does not have; dropped, their sender loses score.
    pub unknown_topic: Counter,
    /// Requests of peers that were handed to the application.
    pub requests_in: PerProtocol,
    /// Requests of peers that were refused: rate limit, full queue, unknown protocol, too long, or by the application.
    pub requests_refused: PerProtocol,
    /// Requests of peers refused by the rate limit; also in `requests_refused`.
    pub requests_rate_limited: Counter,
    /// Own requests that were sent or tried.
    pub requests_out: PerProtocol,
    /// Own requests that brought no answer: unreachable, timed out or refused.
    pub requests_failed: PerProtocol,
    /// Bytes of gossip messages, requests and responses. Not counted: framing, encryption, control traffic, what
    /// gossip forwards for others, and duplicates.
    pub payload_bytes: Family<DirectionLabel, Counter>,
}

impl Metrics {
    /// New figures, registered as `r1_net_*`. The registry should have no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let net = registry.sub_registry_with_prefix("r1_net");
        metrics.register_connections(net);
        metrics.register_gossip(net);
        metrics.register_requests(net);
        metrics
    }

    fn register_connections(&self, net: &mut Registry) {
        net.register("peers", "Connected peers of this network", self.peers.clone());
        net.register("connections", "Established connections", self.connections.clone());
        net.register(
            "connections_opened",
            "Connections established",
            self.connections_opened.clone(),
        );
        net.register("dial_failures", "Dials that failed", self.dial_failures.clone());
        net.register(
            "handshake_failures",
            "Incoming handshakes that failed",
            self.handshake_failures.clone(),
        );
        net.register(
            "connections_refused",
            "Connections refused by a limit",
            self.connections_refused.clone(),
        );
        net.register(
            "foreign_peers",
            "Peers disconnected as not of this network",
            self.foreign_peers.clone(),
        );
        net.register(
            "payload_bytes",
            "Bytes of messages, requests, responses",
            self.payload_bytes.clone(),
        );
    }

    fn register_gossip(&self, net: &mut Registry) {
        net.register("bans", "Peers banned for their score", self.bans.clone());
        for (name, help, family) in [
            ("gossip_published", "Own messages sent", &self.published),
            ("gossip_accepted", "Messages accepted", &self.accepted),
            ("gossip_rejected", "Messages rejected", &self.rejected),
            (
                "gossip_ignored",
                "Messages ignored or not judged in time",
                &self.ignored,
            ),
            (
                "gossip_dropped",
                "Messages dropped because a queue was full",
                &self.dropped,
            ),
            (
                "gossip_oversized",
                "Messages longer than their topic allows",
                &self.oversized,
            ),
            (
                "gossip_rate_limited",
                "Messages dropped by a rate limit",
                &self.rate_limited,
            ),
        ] {
            net.register(name, help, family.clone());
        }
        net.register(
            "gossip_unknown_topic",
            "Messages on unknown topics",
            self.unknown_topic.clone(),
        );
    }

    fn register_requests(&self, net: &mut Registry) {
        for (name, help, family) in [
            (
                "requests_in",
                "Requests handed to the application",
                &self.requests_in,
            ),
            (
                "requests_refused",
                "Requests of peers refused",
                &self.requests_refused,
            ),
            ("requests_out", "Own requests", &self.requests_out),
            (
                "requests_failed",
                "Own requests without an answer",
                &self.requests_failed,
            ),
        ] {
            net.register(name, help, family.clone());
        }
        net.register(
            "requests_rate_limited",
            "Requests of peers refused by the rate limit",
            self.requests_rate_limited.clone(),
        );
    }

    /// Shows every topic and protocol from the start, with 0: a rate over a line that appears late misses its first step.
    pub(crate) fn prepare(&self, config: &Config) {
        let per_topic = [
            &self.published,
            &self.accepted,
            &self.rejected,
            &self.ignored,
            &self.dropped,
            &self.oversized,
            &self.rate_limited,
        ];
        for (topic, family) in config
            .topics
            .iter()
            .flat_map(|topic| per_topic.map(|family| (topic, family)))
        {
            let _ = family.get_or_create(&TopicLabel {
                topic: topic.name.clone(),
            });
        }
        let per_protocol = [
            &self.requests_in,
            &self.requests_refused,
            &self.requests_out,
            &self.requests_failed,
        ];
        for (name, family) in config
            .protocols
            .iter()
            .flat_map(|protocol| per_protocol.map(|family| (&protocol.name, family)))
        {
            let _ = family.get_or_create(&ProtocolLabel {
                protocol: name.clone(),
            });
        }
        self.payload(Direction::In, 0);
        self.payload(Direction::Out, 0);
    }

    pub(crate) fn payload(&self, direction: Direction, bytes: usize) {
        self.payload_bytes
            .get_or_create(&DirectionLabel { direction })
            .inc_by(bytes as u64);
    }
}

/// Counts one on a topic.
pub(crate) fn count_topic(family: &PerTopic, topic: &str) {
    family.get_or_create(&TopicLabel { topic: topic.into() }).inc();
}

/// Counts one on a protocol.
pub(crate) fn count_protocol(family: &PerProtocol, protocol: &str) {
    family
        .get_or_create(&ProtocolLabel {
            protocol: protocol.into(),
        })
        .inc();
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn every_name_has_the_prefix_and_appears_once() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let mut config = Config::new("testnet", [1; 32].into());
        config.topics = vec![crate::TopicConfig::new("heartbeat/1", 1)];
        config.protocols = vec![crate::ProtocolConfig::new("table/1", 1, 1)];
        metrics.prepare(&config);
        count_topic(&metrics.accepted, "heartbeat/1");
        metrics.payload(Direction::In, 7);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let mut names: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        assert!(names.iter().all(|name| name.starts_with("r1_net_")), "{text}");
        let count = names.len();
        assert_eq!(count, 22, "{text}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(text.contains("r1_net_gossip_accepted_total{topic=\"heartbeat/1\"} 1"));
        assert!(text.contains("r1_net_payload_bytes_total{direction=\"In\"} 7"));
    }
}
