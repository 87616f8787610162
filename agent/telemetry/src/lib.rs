//! Logs, metrics registry and the Prometheus text endpoint.
