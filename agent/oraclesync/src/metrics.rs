//! Figures of the agreement for Prometheus.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Upper bounds of the buckets of decide times, seconds.
const DECIDE_BUCKETS: [f64; 12] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// What kind of message somebody signed twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EvidenceLabel {
    pub kind: &'static str,
}

/// The figures; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) height: Gauge,
    pub(crate) heights: Counter,
    pub(crate) synced: Counter,
    pub(crate) rounds: Counter,
    pub(crate) decide: Histogram,
    pub(crate) signers: Gauge,
    pub(crate) evidence: Family<EvidenceLabel, Counter>,
    pub(crate) refused: Counter,
    pub(crate) dropped: Counter,
    pub(crate) unanswered: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            height: Gauge::default(),
            heights: Counter::default(),
            synced: Counter::default(),
            rounds: Counter::default(),
            decide: Histogram::new(DECIDE_BUCKETS),
            signers: Gauge::default(),
            evidence: Family::default(),
            refused: Counter::default(),
            dropped: Counter::default(),
            unanswered: Counter::default(),
        }
    }
}

impl Metrics {
    /// Figures that appear in a registry, as `r1_oraclesync_*`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("r1_oraclesync");
        registry.register("height", "Last decided height", metrics.height.clone());
        registry.register(
            "heights",
            "Heights decided since the start",
            metrics.heights.clone(),
        );
        registry.register(
            "synced_heights",
            "Of these, heights fetched from peers",
            metrics.synced.clone(),
        );
        registry.register("rounds", "Rounds started since the start", metrics.rounds.clone());
        registry.register(
            "decide_seconds",
            "Time from the first sight of a height to its decision",
            metrics.decide.clone(),
        );
        registry.register(
            "signers",
            "Signatures in the last certificate",
            metrics.signers.clone(),
        );
        registry.register(
            "evidence",
            "Pairs of contradicting signed messages seen",
            metrics.evidence.clone(),
        );
        registry.register(
            "refused_payloads",
            "Payloads found invalid",
            metrics.refused.clone(),
        );
        registry.register(
            "dropped_parts",
            "Proposal parts dropped: wrong proposer, signature, height or over a limit",
            metrics.dropped.clone(),
        );
        registry.register(
            "empty_turns",
            "Own turns with nothing to propose",
            metrics.unanswered.clone(),
        );
        metrics
    }
}
