//! Less than everything: no BPF, no rights.

use nix::unistd::{Gid, Uid, setgid, setuid};
use r1_host_api::{EvidenceSource, UsageSource};
use r1_hostd::probe::{Probe, ProbeConfig, Rung};

use crate::lab::{Cgroup, Helper, answer, listen, skip, wait_for};

#[test]
fn without_bpf_clocks_and_cgroup_files_stand_in() {
    let test = "without_bpf_clocks_and_cgroup_files_stand_in";
    if !nix::unistd::geteuid().is_root() {
        return skip(test, "not root");
    }
    let Some(cgroup) = Cgroup::v2(test) else { return };
    let probe = Probe::start(ProbeConfig {
        bpf: false,
        ..ProbeConfig::default()
    });
    assert!(probe.hook_states().iter().all(|h| !h.rung.is_bpf()));
    assert!(probe.program_stats().is_empty());
    let metrics = probe.metrics();
    assert!(
        metrics.contains("r1_ebpf_hook{hook=\"sched_switch\",state=\"cgroup_files\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("r1_ebpf_hook{hook=\"heartbeat\",state=\"clocks\"} 1"),
        "{metrics}"
    );

    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let mut helper = Helper::start("busy", None);
    cgroup.admit(helper.pid());
    let before = probe.usage(id).unwrap().cpu_ns;
    let reference: u64 = helper.ask("go").parse().unwrap();
    let usage = probe.usage(id).unwrap();
    assert_eq!(usage.source, UsageSource::Cgroup);
    let measured = usage.cpu_ns - before;
    assert!(
        measured.abs_diff(reference) * 50 < reference,
        "{measured} ns by cpu.stat, {reference} ns by getrusage"
    );

    let evidence = wait_for("ticks", || Some(probe.evidence()).filter(|e| e.ticks >= 2));
    assert_eq!(evidence.source, EvidenceSource::Proc);
    assert_eq!(evidence.gaps, 0);
}

#[test]
fn without_btf_classic_tracepoints_stand_in() {
    let test = "without_btf_classic_tracepoints_stand_in";
    if !nix::unistd::geteuid().is_root() {
        return skip(test, "not root");
    }
    let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap();
    let before = mounts();
    let Some(cgroup) = Cgroup::v2(test) else { return };
    let probe = Probe::start(ProbeConfig {
        btf: false,
        ..ProbeConfig::default()
    });
    assert_eq!(mounts(), before, "tracefs is mounted for nobody else");
    let rung = |name| probe.hook_states().into_iter().find(|h| h.hook == name).unwrap();
    if rung("heartbeat").rung != Rung::PerfEvent {
        return skip(test, &rung("heartbeat").detail);
    }
    for name in [
        "sched_switch",
        "sched_process_exec",
        "sched_process_exit",
        "mark_victim",
    ] {
        assert_eq!(rung(name).rung, Rung::Tracepoint, "{}", rung(name).detail);
    }
    assert_eq!(rung("sched_wakeup").rung, Rung::Off);

    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let mut helper = Helper::start("busy", None);
    cgroup.admit(helper.pid());
    let before = probe.usage(id).unwrap().cpu_ns;
    let reference: u64 = helper.ask("go").parse().unwrap();
    // The slice that has just ended is billed with the helper's next switch.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let usage = probe.usage(id).unwrap();
    assert_eq!(usage.source, UsageSource::Bpf);
    let measured = usage.cpu_ns - before;
    eprintln!("classic tracepoint: measured {measured} ns, getrusage {reference} ns");
    // Interrupts and what a hypervisor took are billed on this rung.
    assert!(
        measured.abs_diff(reference) * 10 < reference,
        "{measured} ns, {reference} ns by getrusage"
    );
    helper.end();
    assert_eq!(probe.unwatch(id).unwrap().exits, 2);
    wait_for("ticks", || (probe.evidence().ticks >= 2).then_some(()));
    assert_eq!(probe.evidence().source, EvidenceSource::Bpf);
}

/// Gives up all rights first.
pub fn nobody() {
    setgid(Gid::from_raw(65_534)).unwrap();
    setuid(Uid::from_raw(65_534)).unwrap();
    answer("ready");
    let probe = Probe::start(ProbeConfig::default());
    listen();
    let heartbeat = probe.hook_states().into_iter().next().unwrap();
    answer(format!(
        "{} {} {}",
        heartbeat.rung.name(),
        probe.evidence().boot_id.len(),
        heartbeat.detail
    ));
}

#[test]
fn without_rights_it_starts_and_names_the_remedy() {
    if !nix::unistd::geteuid().is_root() {
        return skip("without_rights_it_starts_and_names_the_remedy", "not root");
    }
    let said = Helper::start("nobody", None).ask("go");
    assert!(said.starts_with("clocks 36 "), "{said}");
    assert!(said.contains("CAP_BPF"), "{said}");
}
