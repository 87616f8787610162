//! What an operator sees of a running daemon: its log and its figures.
//!
//! * [`init`] starts logging, to the journal where systemd has connected stderr to it, to stderr elsewhere.
//! * [`Metrics`] holds a registry of `prometheus-client` and prints it as the classic Prometheus text format
//!   (version 0.0.4), which `promtool check metrics` and the textfile collectors read.
//! * [`ProcessCollector`] adds what a process costs: memory, CPU time, file descriptors.
//! * [`merge`] joins the texts of several daemons into one page.

mod classic;
mod log;
mod metrics;
mod process;

pub use classic::{CONTENT_TYPE, merge};
pub use log::{LOG_VARIABLE, LogError, init};
pub use metrics::{EncodeError, Metrics};
pub use process::ProcessCollector;
