//! Encodings, certificates and the light client: what is accepted, and that nothing else is.
#![allow(clippy::unwrap_used, reason = "tests")]

mod certificates;
mod encodings;
mod followers;
mod samples;
mod state_proofs;
