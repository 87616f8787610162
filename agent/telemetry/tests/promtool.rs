//! The page that is served is one that Prometheus's own tool accepts.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io::{ErrorKind, Write as _},
    process::{Command, Stdio},
};

use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info,
};
use r1_telemetry::{Metrics, merge};

type Labels = Vec<(String, String)>;

fn page() -> String {
    let metrics = Metrics::new(None, |registry| {
        let refused = Family::<Labels, Counter>::default();
        refused
            .get_or_create(&vec![("reason".into(), "replayed".into())])
            .inc();
        registry.register("r1_poa_refused", "Heartbeats refused", refused);
        let ratio = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        registry.register("r1_availability_ratio", "Own availability so far", ratio);
        let seconds = Histogram::new([0.1, 1.0, 10.0]);
        seconds.observe(0.5);
        registry.register("r1_decide_seconds", "Time to decide", seconds);
        registry.register(
            "r1_build",
            "What runs",
            Info::new(vec![("version".to_owned(), "0.1.0".to_owned())]),
        );
    });
    let second = Metrics::new(Some("r1_hostd"), |_| {});
    merge(&[&metrics.encode().unwrap(), &second.encode().unwrap()])
}

#[test]
fn promtool_accepts_the_page() {
    let page = page();
    for name in [
        "process_resident_memory_bytes ",
        "r1_hostd_process_cpu_seconds_total ",
        "r1_build_info{",
    ] {
        assert!(
            page.contains(&format!("\n{name}")),
            "{name} is missing in\n{page}"
        );
    }
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(
                std::env::var("R1_REQUIRE_ALL").as_deref() != Ok("1"),
                "promtool is required and missing"
            );
            eprintln!("SKIP promtool_accepts_the_page: promtool is not installed");
            return;
        }
        Err(error) => panic!("promtool: {error}"),
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{said}{}\n{page}",
        String::from_utf8_lossy(&output.stdout)
    );
}
