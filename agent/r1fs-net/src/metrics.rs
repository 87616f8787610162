//! Figures of the file plane's network, names `r1_r1fs_net_*`.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// All figures. A clone shows the same ones.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Connected peers.
    pub peers: Gauge,
    /// Blocks that this node waits for.
    pub wanted: Gauge,
    /// Wants of peers that wait at this node.
    pub wants_waiting: Gauge,
    /// Bytes of blocks that came, wanted or not.
    pub received_bytes: Counter,
    /// Blocks that came.
    pub received_blocks: Counter,
    /// Bytes of blocks that were sent.
    pub sent_bytes: Counter,
    /// Blocks that were sent.
    pub sent_blocks: Counter,
    /// Blocks that came although nobody asked for them (any more).
    pub unasked_blocks: Counter,
    /// Blocks whose hash is not one that this node computes, or that are too large.
    pub wrong_blocks: Counter,
    /// Wants of peers that were dropped because they had too many, or that were unreadable.
    pub wants_refused: Counter,
    /// Messages that were no Bitswap messages.
    pub malformed: Counter,
    /// Incoming connections that were refused because nobody announced the peer.
    pub strangers_refused: Counter,
    /// Requests of peers.
    pub requests_in: Counter,
    /// Requests of peers that were refused: of strangers, or because the application was busy.
    pub requests_refused: Counter,
    /// Own requests that had no answer.
    pub requests_failed: Counter,
}

impl Metrics {
    /// Figures that appear in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let net = registry.sub_registry_with_prefix("r1_r1fs_net");
        for (name, help, gauge) in [
            ("peers", "Connected peers", &metrics.peers),
            ("wanted", "Blocks that this node waits for", &metrics.wanted),
            (
                "wants_waiting",
                "Wants of peers that wait here",
                &metrics.wants_waiting,
            ),
        ] {
            net.register(name, help, gauge.clone());
        }
        net.register_with_unit(
            "received",
            "Blocks that came",
            Unit::Bytes,
            metrics.received_bytes.clone(),
        );
        net.register_with_unit(
            "sent",
            "Blocks that were sent",
            Unit::Bytes,
            metrics.sent_bytes.clone(),
        );
        metrics.counters(net);
        metrics
    }

    fn counters(&self, net: &mut Registry) {
        for (name, help, counter) in [
            ("received_blocks", "Blocks that came", &self.received_blocks),
            ("sent_blocks", "Blocks that were sent", &self.sent_blocks),
            ("unasked_blocks", "Blocks nobody asked for", &self.unasked_blocks),
            ("wrong_blocks", "Blocks without a valid name", &self.wrong_blocks),
            ("wants_refused", "Wants of peers dropped", &self.wants_refused),
            ("malformed", "Messages that were no Bitswap", &self.malformed),
            (
                "strangers_refused",
                "Connections of strangers refused",
                &self.strangers_refused,
            ),
            ("requests_in", "Requests of peers", &self.requests_in),
            (
                "requests_refused",
                "Requests of peers refused",
                &self.requests_refused,
            ),
            (
                "requests_failed",
                "Own requests without answer",
                &self.requests_failed,
            ),
        ] {
            net.register(name, help, counter.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn every_name_has_the_prefix() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.sent_bytes.inc_by(7);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        assert_eq!(names.len(), 15, "{text}");
        assert!(
            names.iter().all(|name| name.starts_with("r1_r1fs_net_")),
            "{text}"
        );
        assert!(text.contains("r1_r1fs_net_sent_bytes_total 7"), "{text}");
    }
}
