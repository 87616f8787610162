//! Proof of Availability: signed heartbeats, evidence chain, recorder.
