//! The node daemon: all network I/O, no capabilities.

fn main() {}
