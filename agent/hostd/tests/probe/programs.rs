//! The programs themselves: what the verifier thinks, and that they go away.

use r1_hostd::probe::ProbeEvent;

use crate::lab::{Cgroup, Helper, probe, wait_for};

/// Instructions the verifier may have to look at, at most. More means slower programs, or none on older kernels.
const CEILINGS: [(&str, u64); 11] = [
    ("cgroup_attach_task", 350),
    ("heartbeat", 650),
    ("mark_victim", 250),
    ("net_egress", 40),
    ("net_ingress", 40),
    ("sched_process_exec", 400),
    ("sched_process_exit", 40),
    ("sched_process_fork", 40),
    ("sched_switch", 400),
    ("sched_wakeup", 40),
    ("sched_wakeup_new", 40),
];

#[test]
fn no_program_grows_beyond_its_ceiling() {
    let names = CEILINGS.map(|(name, _)| name);
    let Some(probe) = probe("no_program_grows_beyond_its_ceiling", &names) else {
        return;
    };
    let stats = probe.program_stats();
    assert_eq!(stats.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), names);
    for (program, (name, ceiling)) in stats.iter().zip(CEILINGS) {
        assert!(program.verified_insns > 0, "{name}: the kernel does not say");
        assert!(
            program.verified_insns <= ceiling,
            "{name}: {} instructions > {ceiling}",
            program.verified_insns
        );
    }
}

#[test]
fn a_started_program_is_an_event() {
    let test = "a_started_program_is_an_event";
    let (Some(probe), Some(cgroup)) = (probe(test, &["sched_process_exec"]), Cgroup::v2(test)) else {
        return;
    };
    let id = probe.watch_cgroup(&cgroup.0).unwrap();
    let events = probe.events().unwrap();
    assert!(probe.events().is_none(), "there is one receiver");
    let procs = cgroup.0.join("cgroup.procs");
    let script = format!("echo $$ > {} && exec true", procs.display());
    let mut shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .spawn()
        .unwrap();
    let pid = shell.id();
    assert!(shell.wait().unwrap().success());
    let event = wait_for("the event", || {
        events.try_iter().find(|e| matches!(e, ProbeEvent::Exec { .. }))
    });
    assert_eq!(
        event,
        ProbeEvent::Exec {
            cgroup: id,
            pid,
            comm: "true".to_owned()
        }
    );
    assert_eq!(probe.usage(id).unwrap().execs, 1);
}

#[test]
fn nothing_stays_behind() {
    let test = "nothing_stays_behind";
    let (Some(probe), Some(cgroup)) = (probe(test, &["heartbeat", "net_egress"]), Cgroup::v2(test)) else {
        return;
    };
    probe.watch_cgroup(&cgroup.0).unwrap();
    let ids: Vec<u32> = probe.program_stats().iter().map(|s| s.id).collect();
    assert!(ids.len() == CEILINGS.len() && !ids.contains(&0), "{ids:?}");
    drop(probe);
    // A helper process that inherited a descriptor would keep the programs alive.
    let _helper = Helper::start("busy", None);
    wait_for("the end of the programs", || {
        let left = aya::programs::loaded_programs()
            .flatten()
            .any(|p| ids.contains(&p.id()));
        (!left).then_some(())
    });
}
