//! Kernel probes: evidence, meters and events.
