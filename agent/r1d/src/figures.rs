//! What r1d counts, as `r1_*` metrics. The rooms register their own figures beside these.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use r1_poa::Refusal;

type Labels = [(&'static str, &'static str); 1];
type Pairs = [(&'static str, String); 2];
/// A gauge of fractions.
pub type Ratio = Gauge<f64, AtomicU64>;

/// r1d's own figures. A clone counts into the same ones.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    poa_refused: Family<Labels, Counter>,
    gossip_refused: Family<Pairs, Counter>,
    /// Heartbeats recorded, own ones included.
    pub poa_accepted: Counter,
    /// Own heartbeats signed.
    pub poa_signed: Counter,
    /// Own heartbeats not signed because the timer came too late: the node was not there at that instant.
    pub poa_skipped: Counter,
    /// Own value so far in this epoch, 0 to 1.
    pub availability: Ratio,
    /// Height of the ledger.
    pub height: Gauge,
    /// Last closed epoch; -1 before the first.
    pub last_closed_epoch: Gauge,
    /// Transactions that wait.
    pub waiting_transactions: Gauge,
    /// 1 while r1-hostd is connected.
    pub host_connected: Gauge,
    /// How many things do not work here as they should.
    pub degraded: Gauge,
    /// Blocks fetched from peers and verified as a light client.
    pub followed_blocks: Counter,
    /// Answers of peers that did not verify.
    pub false_blocks: Counter,
}

impl Figures {
    /// Figures that appear in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let it = Self::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("r1_build", "Version of r1d", build);
        registry.register(
            "r1_poa_refused",
            "Heartbeats refused, by reason",
            it.poa_refused.clone(),
        );
        registry.register(
            "r1_gossip_refused",
            "Tables and transactions refused, by topic and reason",
            it.gossip_refused.clone(),
        );
        registry.register("r1_poa_accepted", "Heartbeats recorded", it.poa_accepted.clone());
        registry.register("r1_poa_signed", "Own heartbeats signed", it.poa_signed.clone());
        registry.register(
            "r1_poa_skipped",
            "Own heartbeats not signed since the timer came too late",
            it.poa_skipped.clone(),
        );
        registry.register(
            "r1_poa_availability_ratio",
            "Own value so far in this epoch",
            it.availability.clone(),
        );
        registry.register("r1_ledger_height", "Height of the ledger", it.height.clone());
        registry.register(
            "r1_ledger_last_closed_epoch",
            "Last closed epoch, -1 before the first",
            it.last_closed_epoch.clone(),
        );
        registry.register(
            "r1_ledger_waiting_transactions",
            "Transactions that wait for a block",
            it.waiting_transactions.clone(),
        );
        registry.register(
            "r1_host_connected",
            "1 while r1-hostd is connected",
            it.host_connected.clone(),
        );
        registry.register(
            "r1_degraded",
            "Things that do not work as they should",
            it.degraded.clone(),
        );
        registry.register(
            "r1_follower_blocks",
            "Blocks fetched and verified",
            it.followed_blocks.clone(),
        );
        registry.register(
            "r1_follower_false_blocks",
            "Answers that did not verify",
            it.false_blocks.clone(),
        );
        // A counter that does not exist yet looks like a scrape that failed: show all reasons from the start.
        for reason in Refusal::REASONS {
            drop(it.poa_refused.get_or_create(&[("reason", reason)]));
        }
        it
    }

    /// Counts a refused heartbeat.
    pub fn refuse_beat(&self, refusal: &Refusal) {
        self.poa_refused
            .get_or_create(&[("reason", refusal.reason())])
            .inc();
    }

    /// Counts a refused table or transaction.
    pub fn refuse_gossip(&self, topic: &str, reason: &str) {
        self.gossip_refused
            .get_or_create(&[("topic", topic.to_owned()), ("reason", reason.to_owned())])
            .inc();
    }
}
