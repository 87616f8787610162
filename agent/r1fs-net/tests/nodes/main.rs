//! Real swarms on loopback: what nodes do for each other, and what others cannot do to them.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod exchange;
mod hostile;
mod node;

mod raw;
mod requests;
