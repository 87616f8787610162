//! Limits of memory, processes and processor time.

use serde_json::json;

use crate::shim::Shim;
use crate::support::{fixture, has_controller, skip, until};

#[test]
fn too_much_memory_is_137_and_marked() {
    let Some(f) = fixture("oom") else { return };
    if !has_controller("memory") {
        return skip("oom", "needs a memory controller");
    }
    let mut request = f.request("");
    request["command"] = json!(["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]);
    request["memory_bytes"] = json!(32 << 20);
    let exit = Shim::create(&f, &request).run_to_end();
    assert_eq!(
        (exit.code, exit.signal, exit.oom_killed),
        (137, Some(9), true),
        "{exit:?}"
    );
    assert!(exit.memory_peak_bytes <= 32 << 20, "{exit:?}");
    f.assert_no_cgroup();
}

#[test]
fn the_peak_of_memory_is_kept() {
    let Some(f) = fixture("peak") else { return };
    if !has_controller("memory") {
        return skip("peak", "needs a memory controller");
    }
    let mut request = f.request("");
    request["command"] = json!(["dd", "if=/dev/zero", "of=/dev/null", "bs=24M", "count=1"]);
    let exit = Shim::create(&f, &request).run_to_end();
    assert_eq!((exit.code, exit.oom_killed), (0, false), "{exit:?}");
    assert!((24 << 20..64 << 20).contains(&exit.memory_peak_bytes), "{exit:?}");
}

#[test]
fn processes_are_limited() {
    let Some(f) = fixture("pids") else { return };
    if !has_controller("pids") {
        return skip("pids", "needs a pids controller");
    }
    let mut request = f.request("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; echo all");
    request["pids"] = json!(5);
    let outcome = f.run_request(&request);
    assert!(
        outcome.stderr.contains("fork") && !outcome.stdout.contains("all"),
        "{outcome:?}"
    );
}

#[test]
fn processor_time_is_limited() {
    let Some(f) = fixture("cpu") else { return };
    if !has_controller("cpu") {
        return skip("cpu", "needs a cpu controller");
    }
    let mut request = f.request("while :; do :; done");
    request["cpu"] = json!(0.2);
    let mut shim = Shim::create(&f, &request);
    if let Some(quota) = f.cgroup_file("cpu", "cpu.cfs_quota_us") {
        assert_eq!(quota, "20000");
    }
    shim.start();
    let began = std::time::Instant::now();
    let (before, ..) = shim.usage();
    until("a second passes", || began.elapsed().as_millis() >= 1000);
    let (after, ..) = shim.usage();
    let (wall, used) = (began.elapsed().as_nanos() as u64, after - before);
    // One period's worth of slack at either end.
    assert!(used <= wall / 5 + 60_000_000, "{used} ns of {wall} ns");
    let exit = shim.kill_to_end();
    assert_eq!((exit.code, exit.oom_killed), (137, false));
    assert!(exit.cpu_ns >= after, "{exit:?}");
}
