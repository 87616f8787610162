//! Offsets of the running kernel, for the programs' configuration.

use std::{collections::HashMap, fs};

use r1_ebpf_common::Config;

use super::{btf::Btf, error::ProbeError};

/// Type information of the running kernel.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const VICTIM: &str = "btf_trace_mark_victim";
const STRUCTS: [&str; 6] = [
    "task_struct",
    "sched_entity",
    "css_set",
    "cgroup",
    "kernfs_node",
    VICTIM,
];

/// Reads the offsets from the running kernel. `gap_threshold_ns` is left 0.
///
/// # Errors
/// If the kernel has no BTF, or lacks one of the fields: then no program may be attached.
pub fn of_running_kernel() -> Result<Config, ProbeError> {
    of_btf(&fs::read(VMLINUX).map_err(ProbeError::BtfFile)?)
}

/// Reads the offsets from BTF.
///
/// # Errors
/// As [`of_running_kernel`].
pub fn of_btf(data: &[u8]) -> Result<Config, ProbeError> {
    let btf = Btf::parse(data)?;
    let ids = btf.find(&STRUCTS);
    let field = |structure, name, label| offset(&btf, &ids, structure, name, label);
    Ok(Config {
        task_pid: field("task_struct", "pid", "task_struct.pid")?,
        task_tgid: field("task_struct", "tgid", "task_struct.tgid")?,
        task_state: field("task_struct", "__state", "task_struct.__state")
            .or_else(|_| field("task_struct", "state", "task_struct.state"))?,
        task_cgroups: field("task_struct", "cgroups", "task_struct.cgroups")?,
        task_exec_ns: field("task_struct", "se", "task_struct.se")?
            + field(
                "sched_entity",
                "sum_exec_runtime",
                "sched_entity.sum_exec_runtime",
            )?,
        cset_dfl_cgrp: field("css_set", "dfl_cgrp", "css_set.dfl_cgrp")?,
        cgroup_kn: field("cgroup", "kn", "cgroup.kn")?,
        kn_id: field("kernfs_node", "id", "kernfs_node.id")?,
        // The first parameter of every such function is the tracepoint's private data.
        victim_is_task: ids
            .get(VICTIM)
            .and_then(|id| btf.parameter_is_pointer(*id, 1))
            .unwrap_or(false)
            .into(),
        task_slice_start_ns: field("task_struct", "se", "task_struct.se")?
            + field(
                "sched_entity",
                "prev_sum_exec_runtime",
                "sched_entity.prev_sum_exec_runtime",
            )?,
        gap_threshold_ns: 0,
    })
}

fn offset(
    btf: &Btf<'_>,
    ids: &HashMap<&'static str, u32>,
    structure: &str,
    name: &str,
    label: &'static str,
) -> Result<u32, ProbeError> {
    let id = ids.get(structure).ok_or(ProbeError::Field(label))?;
    btf.field(*id, name)
        .map(|(offset, _)| offset)
        .ok_or(ProbeError::Field(label))
}
