//! A real out-of-memory kill.

use std::path::Path;

use r1_hostd::probe::ProbeEvent;

use crate::lab::{Cgroup, Helper, answer, listen, probe, wait_for};

const LIMIT: usize = 48 << 20;

/// Takes more memory than it may have.
pub fn eater() {
    answer("ready");
    listen();
    let mut memory = Vec::new();
    for _ in 0..(4 * LIMIT) >> 20 {
        memory.push(vec![1u8; 1 << 20]);
    }
    answer(format!("still alive with {} MiB", memory.len()));
}

fn limited(test: &str) -> Option<(Cgroup, Option<Cgroup>)> {
    let leaf = Cgroup::v2(test)?;
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.is_dir() {
        let memory = Cgroup::make(v1);
        memory.set("memory.limit_in_bytes", &LIMIT.to_string());
        return Some((leaf, Some(memory)));
    }
    leaf.set("memory.max", &LIMIT.to_string());
    leaf.set("memory.swap.max", "0");
    Some((leaf, None))
}

#[test]
fn an_out_of_memory_kill_is_seen_once() {
    let test = "an_out_of_memory_kill_is_seen_once";
    let (Some(probe), Some((leaf, memory))) = (probe(test, &["mark_victim"]), limited(test)) else {
        return;
    };
    let events = probe.events().unwrap();
    let id = probe.watch_cgroup(&leaf.0).unwrap();
    let mut helper = Helper::start("eater", None);
    leaf.admit(helper.pid());
    if let Some(memory) = &memory {
        memory.admit(helper.pid());
    }
    helper.say("go");
    assert_eq!(helper.hear(), "", "it should be dead");
    assert_eq!(helper.end(), Some(9));
    let mut kills = Vec::new();
    wait_for("the kill", || {
        kills.extend(events.try_iter().filter(|e| matches!(e, ProbeEvent::Oom { .. })));
        (!kills.is_empty()).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    kills.extend(events.try_iter().filter(|e| matches!(e, ProbeEvent::Oom { .. })));
    assert_eq!(
        kills,
        [ProbeEvent::Oom {
            cgroup: Some(id),
            pid: helper.pid()
        }]
    );
    assert_eq!(probe.usage(id).unwrap().ooms, 1);
    assert_eq!(probe.dropped_events(), 0);
}
