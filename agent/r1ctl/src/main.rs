//! The operator's and tenant's tool.

fn main() {}
