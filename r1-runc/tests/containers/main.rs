//! r1-runc against the kernel: real containers over a busybox root file system.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod engines;
mod hostile;
mod lane_v2;
mod lifecycle;
mod limits;
mod sandbox;
mod shim;
mod support;
