//! The hooks: which program stands for what, and what stands in where it cannot run.

use std::collections::BTreeMap;

use r1_host_api::HookStatus;

/// How a hook is served; the rungs of the ladder from best to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// A program on a BTF tracepoint.
    TpBtf,
    /// A program on a classic tracepoint, which needs no BTF and tells less.
    Tracepoint,
    /// A program on a software clock event of each CPU.
    PerfEvent,
    /// Programs on each watched cgroup.
    CgroupSkb,
    /// Files of the cgroup.
    CgroupFiles,
    /// A thread of r1-hostd that reads the clocks.
    Clocks,
    /// Nothing: not measured.
    Off,
}

impl Rung {
    /// Value of the label `state` of the metric `r1_ebpf_hook`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
            Self::PerfEvent => "perf_event",
            Self::CgroupSkb => "cgroup_skb",
            Self::CgroupFiles => "cgroup_files",
            Self::Clocks => "clocks",
            Self::Off => "off",
        }
    }
}

impl Rung {
    /// True if a BPF program does it.
    #[must_use]
    pub fn is_bpf(self) -> bool {
        !matches!(self, Self::CgroupFiles | Self::Clocks | Self::Off)
    }
}

/// State of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookState {
    /// Name of the hook; also of its program.
    pub hook: &'static str,
    /// How it is served now.
    pub rung: Rung,
    /// Where BPF does not serve it: why, and what to do about it.
    pub detail: String,
}

/// One hook: its name, the rung of its program, the program for kernels without BTF, the rung without any.
pub(super) struct Hook {
    pub name: &'static str,
    pub best: Rung,
    pub plain: Option<Plain>,
    pub fallback: Rung,
}

/// A program on a classic tracepoint.
pub(super) struct Plain {
    pub program: &'static str,
    pub category: &'static str,
}

/// Name of the hook that counts ticks.
pub const HEARTBEAT: &str = "heartbeat";
/// Name of the hook that meters CPU time.
pub const SCHED_SWITCH: &str = "sched_switch";
/// Name of the hook that meters received packets.
pub const NET_INGRESS: &str = "net_ingress";
/// Name of the hook that meters sent packets.
pub const NET_EGRESS: &str = "net_egress";

const fn hook(name: &'static str, best: Rung, fallback: Rung) -> Hook {
    Hook {
        name,
        best,
        plain: None,
        fallback,
    }
}

/// A hook on a BTF tracepoint whose classic twin has the same name.
const fn twin(name: &'static str, category: &'static str, program: &'static str, fallback: Rung) -> Hook {
    Hook {
        name,
        best: Rung::TpBtf,
        plain: Some(Plain { program, category }),
        fallback,
    }
}

/// All hooks. Each is loaded and attached on its own.
pub(super) const HOOKS: [Hook; 11] = [
    hook(HEARTBEAT, Rung::PerfEvent, Rung::Clocks),
    twin(SCHED_SWITCH, "sched", "plain_switch", Rung::CgroupFiles),
    hook("sched_wakeup", Rung::TpBtf, Rung::Off),
    hook("sched_wakeup_new", Rung::TpBtf, Rung::Off),
    hook("cgroup_attach_task", Rung::TpBtf, Rung::Off),
    twin("sched_process_exec", "sched", "plain_exec", Rung::Off),
    twin("sched_process_fork", "sched", "plain_fork", Rung::Off),
    twin("sched_process_exit", "sched", "plain_exit", Rung::Off),
    twin("mark_victim", "oom", "plain_victim", Rung::CgroupFiles),
    hook(NET_INGRESS, Rung::CgroupSkb, Rung::Off),
    hook(NET_EGRESS, Rung::CgroupSkb, Rung::Off),
];

impl Hook {
    pub fn served(&self) -> HookState {
        HookState {
            hook: self.name,
            rung: self.best,
            detail: format!("BPF, {}", self.best.name()),
        }
    }

    /// The classic tracepoint serves it, because of `reason`.
    pub fn plain(&self, reason: &str) -> HookState {
        HookState {
            hook: self.name,
            rung: Rung::Tracepoint,
            detail: format!("BPF, tracepoint ({reason})"),
        }
    }

    pub fn degraded(&self, reason: &str) -> HookState {
        HookState {
            hook: self.name,
            rung: self.fallback,
            detail: format!("{reason}; {}", remedy(reason)),
        }
    }
}

/// The states as the contract with r1d wants them.
pub(super) fn statuses(states: &[HookState]) -> BTreeMap<String, HookStatus> {
    let status = |s: &HookState| HookStatus {
        attached: s.rung.is_bpf(),
        detail: s.detail.clone(),
    };
    states.iter().map(|s| (s.hook.to_owned(), status(s))).collect()
}

/// What the operator can do about it.
fn remedy(reason: &str) -> &'static str {
    let lower = reason.to_lowercase();
    if lower.contains("verifier output: 0:") {
        "this kernel's verifier refuses the program: report this line"
    } else if lower.contains("switched off") {
        "switch the kernel probes on in the configuration of r1-hostd"
    } else if lower.contains("vmlinux") || lower.contains("type information") || lower.contains("unknown btf")
    {
        "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, Linux 6.1 or newer"
    } else if lower.contains("permitted") || lower.contains("permission") {
        "run r1-hostd as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, outside an unprivileged container"
    } else if lower.contains("memory") {
        "raise LimitMEMLOCK of r1-hostd.service to infinity"
    } else {
        "use Linux 6.1 or newer, or report this line"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_degraded_hook_names_reason_and_remedy() {
        let state = HOOKS[0].degraded("BPF object: Operation not permitted (os error 1)");
        assert_eq!(state.rung, Rung::Clocks);
        assert!(
            state.detail.contains("not permitted") && state.detail.contains("CAP_BPF"),
            "{}",
            state.detail
        );
        let statuses = statuses(&[state, HOOKS[1].served()]);
        assert!(!statuses["heartbeat"].attached && statuses["sched_switch"].attached);
    }
}
