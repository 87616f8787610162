//! Metrics of the probe, in Prometheus' classic text format.

use std::fmt::Write;

use super::{heartbeat::Ticks, hooks::HookState, stats::ProgramStats};

/// What is shown.
pub struct Figures<'a> {
    pub hooks: &'a [HookState],
    pub ticks: Ticks,
    pub dropped: u64,
    pub watched: usize,
    pub stats: &'a [ProgramStats],
}

/// Renders the figures.
pub fn render(figures: &Figures<'_>) -> String {
    let mut out = String::with_capacity(4096);
    head(
        &mut out,
        "r1_ebpf_hook",
        "gauge",
        "How each kernel hook is served; the value is always 1.",
    );
    for h in figures.hooks {
        line(
            &mut out,
            "r1_ebpf_hook",
            &format!("hook=\"{}\",state=\"{}\"", h.hook, h.rung.name()),
            1.0,
        );
    }
    let ticks = figures.ticks;
    single(
        &mut out,
        "r1_heartbeat_ticks_total",
        "counter",
        "Ticks of the heartbeat.",
        ticks.ticks as f64,
    );
    single(
        &mut out,
        "r1_heartbeat_gaps_total",
        "counter",
        "Times without a tick above the threshold.",
        ticks.gaps as f64,
    );
    single(
        &mut out,
        "r1_heartbeat_gap_seconds_total",
        "counter",
        "Their sum.",
        seconds(ticks.gap_total_ns),
    );
    single(
        &mut out,
        "r1_heartbeat_max_gap_seconds",
        "gauge",
        "Longest time between ticks.",
        seconds(ticks.max_gap_ns),
    );
    single(
        &mut out,
        "r1_probe_watched_cgroups",
        "gauge",
        "Cgroups that are metered.",
        figures.watched as f64,
    );
    single(
        &mut out,
        "r1_probe_dropped_events_total",
        "counter",
        "Events lost to a full queue.",
        figures.dropped as f64,
    );
    head(
        &mut out,
        "r1_ebpf_verified_instructions",
        "gauge",
        "Instructions the verifier looked at, by program.",
    );
    for s in figures.stats {
        let label = format!("program=\"{}\"", s.name);
        line(
            &mut out,
            "r1_ebpf_verified_instructions",
            &label,
            s.verified_insns as f64,
        );
    }
    out
}

fn single(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    head(out, name, kind, help);
    line(out, name, "", value);
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = match labels {
        "" => writeln!(out, "{name} {value}"),
        _ => writeln!(out, "{name}{{{labels}}} {value}"),
    };
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::hooks::HOOKS;

    #[test]
    fn the_ladder_is_visible() {
        let hooks = [HOOKS[0].served(), HOOKS[1].degraded("BPF is switched off")];
        let figures = Figures {
            hooks: &hooks,
            ticks: Ticks::default(),
            dropped: 3,
            watched: 0,
            stats: &[],
        };
        let text = render(&figures);
        assert!(
            text.contains("r1_ebpf_hook{hook=\"heartbeat\",state=\"perf_event\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("r1_ebpf_hook{hook=\"sched_switch\",state=\"cgroup_files\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("\nr1_probe_dropped_events_total 3\n"), "{text}");
    }
}
