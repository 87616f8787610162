//! The registry of a daemon.

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text, registry::Registry};

use crate::{ProcessCollector, classic};

/// The registry could not be written out, which only a collector that fails can cause.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be encoded: a collector failed")]
pub struct EncodeError(#[from] fmt::Error);

/// A filled registry. Cheap to clone; nothing can be registered any more.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
}

impl Metrics {
    /// A registry with the process's own figures under a prefix (`r1d` gives `r1d_process_…`) and what `register`
    /// adds to it. Without a prefix they have the conventional names `process_…`.
    pub fn new(process_prefix: Option<&str>, register: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::default();
        let process = match process_prefix {
            Some(prefix) => registry.sub_registry_with_prefix(prefix),
            None => &mut registry,
        };
        process.register_collector(Box::new(ProcessCollector));
        register(&mut registry);
        Self {
            registry: Arc::new(registry),
        }
    }

    /// The figures as of now in the classic Prometheus text format.
    ///
    /// # Errors
    /// [`EncodeError`] if a collector failed.
    pub fn encode(&self) -> Result<String, EncodeError> {
        let mut open = String::with_capacity(16 * 1024);
        text::encode(&mut open, &self.registry)?;
        Ok(classic::merge(&[&open]))
    }
}
