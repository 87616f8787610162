//! The probe on the real kernel: each figure against an independent one.
//!
//! Needs root. What a machine lacks is skipped with a line on stderr, or fails where `R1_REQUIRE_ALL=1`.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod cpu;
mod gap;
mod lab;
mod ladder;
mod memory;
mod network;
mod programs;

/// Not a test of its own: the processes that the other tests start are this program with a role.
#[test]
fn role() {
    let Ok(role) = std::env::var(lab::ROLE) else {
        return;
    };
    match role.as_str() {
        "busy" => cpu::busy(),
        "switcher" => cpu::switcher(),
        "agent" => gap::agent(),
        "nobody" => ladder::nobody(),
        "eater" => memory::eater(),
        "client" => network::client(),
        "echo" => network::echo(),
        other => panic!("no role {other}"),
    }
}
