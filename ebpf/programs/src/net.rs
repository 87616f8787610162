//! Bytes of a cgroup, attached to each metered cgroup. Both programs let every packet pass.

use aya_ebpf::{
    EbpfContext, helpers::generated::bpf_skb_cgroup_id, macros::cgroup_skb, programs::SkBuffContext,
};
use r1_ebpf_common::Usage;

use crate::maps;

/// Index of the loopback interface in every network namespace; its packets would be counted twice.
const LOOPBACK: u32 = 1;
/// Verdict: let the packet pass.
const PASS: i32 = 1;

/// A packet arrives at a socket of the cgroup.
#[cgroup_skb(ingress)]
pub fn net_ingress(ctx: SkBuffContext) -> i32 {
    if let Some(row) = row(&ctx) {
        // SAFETY: fields of a map value.
        unsafe {
            maps::add(&raw mut (*row).rx_bytes, u64::from(ctx.len()));
            maps::add(&raw mut (*row).rx_packets, 1);
        }
    }
    PASS
}

/// A packet leaves a socket of the cgroup.
#[cgroup_skb(egress)]
pub fn net_egress(ctx: SkBuffContext) -> i32 {
    if let Some(row) = row(&ctx) {
        // SAFETY: fields of a map value.
        unsafe {
            maps::add(&raw mut (*row).tx_bytes, u64::from(ctx.len()));
            maps::add(&raw mut (*row).tx_packets, 1);
        }
    }
    PASS
}

#[inline(always)]
fn row(ctx: &SkBuffContext) -> Option<*mut Usage> {
    let skb = ctx.skb.skb;
    // SAFETY: the context is valid while the program runs; the kernel has set the socket for this attach type.
    let (ifindex, cgroup) = unsafe { ((*skb).ifindex, bpf_skb_cgroup_id(ctx.as_ptr().cast())) };
    if ifindex == LOOPBACK {
        return None;
    }
    maps::usage(cgroup)
}
