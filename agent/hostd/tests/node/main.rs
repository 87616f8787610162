//! r1-hostd as a process: containers through its socket, crashes, refusals.
#![expect(clippy::unwrap_used, reason = "a failed test ends at its cause")]

mod crash;
mod gpu;
mod harness;
mod lifecycle;
mod refusal;
