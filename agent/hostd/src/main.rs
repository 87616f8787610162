//! The privileged host daemon: eBPF probes and containers, no IP socket.

fn main() {}
