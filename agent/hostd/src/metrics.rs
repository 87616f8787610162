//! The figures that r1-hostd publishes.

use std::{fmt, sync::atomic::Ordering};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::daemon::Host;

/// Reads everything anew at each scrape.
pub struct HostCollector {
    host: Host,
}

impl HostCollector {
    /// A collector over a running daemon.
    pub fn new(host: Host) -> Self {
        Self { host }
    }
}

impl fmt::Debug for HostCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostCollector")
    }
}

/// Values of one metric by one label.
#[derive(Debug)]
struct ByLabel<'a> {
    kind: MetricType,
    label: &'static str,
    values: Vec<(&'a str, f64)>,
}

impl EncodeMetric for ByLabel<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, value) in &self.values {
            let labels = [(self.label, *name)];
            let mut one = encoder.encode_family(&labels)?;
            match self.kind {
                MetricType::Counter => one.encode_counter::<NoLabelSet, f64, f64>(value, None)?,
                _ => one.encode_gauge(value)?,
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

impl Collector for HostCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.machine(&mut encoder)?;
        self.containers(&mut encoder)?;
        self.requests(&mut encoder)
    }
}

impl HostCollector {
    fn machine(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let measured = self.host.measurements();
        let seconds = |ns: u64| ns as f64 / 1e9;
        let suspended = seconds(measured.evidence.suspended_ns);
        counter(
            encoder,
            "r1_heartbeat_suspended_seconds",
            "Time the machine was suspended, seconds",
            suspended,
        )?;
        let ooms = self.host.ooms() as f64;
        counter(
            encoder,
            "r1_machine_oom_kills",
            "Kills by the kernel for lack of memory",
            ooms,
        )?;
        let ids = || measured.usage.iter();
        let cpu = ids()
            .map(|(id, usage)| (id.as_str(), seconds(usage.cpu_ns)))
            .collect();
        let memory = ids()
            .map(|(id, usage)| (id.as_str(), usage.memory_bytes as f64))
            .collect();
        counters(
            encoder,
            "r1_container_cpu_seconds",
            "CPU time of a container, seconds",
            "container",
            cpu,
        )?;
        gauges(
            encoder,
            "r1_container_memory_bytes",
            "Memory of a container, bytes",
            "container",
            memory,
        )
    }

    fn containers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let containers = self.host.containers();
        let states = containers.states();
        let values = states
            .iter()
            .map(|(name, number)| (*name, *number as f64))
            .collect();
        gauges(
            encoder,
            "r1_containers",
            "Containers that live, by state",
            "state",
            values,
        )?;
        let kept = containers.record_count() as f64;
        gauge(
            encoder,
            "r1_container_records",
            "Records kept of containers that ended",
            kept,
        )?;
        let counts = containers.counts();
        let values = [
            ("started", &counts.started),
            ("failed", &counts.failed),
            ("exited", &counts.exited),
            ("lost", &counts.lost),
            ("adopted", &counts.adopted),
            ("unstored", &counts.unstored),
        ];
        let values = values
            .map(|(name, number)| (name, number.load(Ordering::Relaxed) as f64))
            .to_vec();
        counters(
            encoder,
            "r1_container_events",
            "What happened to containers",
            "event",
            values,
        )
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let refused = self.host.refused_requests();
        let values = refused
            .iter()
            .map(|(code, number)| (*code, *number as f64))
            .collect();
        counters(
            encoder,
            "r1_host_requests_refused",
            "Requests refused, by reason",
            "reason",
            values,
        )?;
        let peers = self.host.refused_peers() as f64;
        counter(
            encoder,
            "r1_host_peers_refused",
            "Connections refused because of their user",
            peers,
        )?;
        let open = self.host.open_connections() as f64;
        gauge(encoder, "r1_host_connections", "Connections open", open)
    }
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> Result<(), fmt::Error> {
    put(encoder, name, help, &ConstCounter::new(value))
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), fmt::Error> {
    put(encoder, name, help, &ConstGauge::new(value))
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: Vec<(&str, f64)>,
) -> Result<(), fmt::Error> {
    put(
        encoder,
        name,
        help,
        &ByLabel {
            kind: MetricType::Counter,
            label,
            values,
        },
    )
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: Vec<(&str, f64)>,
) -> Result<(), fmt::Error> {
    put(
        encoder,
        name,
        help,
        &ByLabel {
            kind: MetricType::Gauge,
            label,
            values,
        },
    )
}

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
