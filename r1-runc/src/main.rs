//! OCI runtime and container shim on youki's libcontainer.

fn main() {}
