//! Real swarms on loopback: what nodes do for each other, and what strangers cannot do to them.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod gossip;
mod join;
mod node;
mod requests;
mod stranger;
