//! Project tasks: up, test, ebpf, bench.

fn main() {}
