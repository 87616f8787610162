//! GPUs through a library that pretends to be the driver's.

use std::{fs, path::Path, process::Command};

use r1_host_api::NodeFacts;

use crate::harness::{Node, skip};

/// The functions that are asked for, with the layouts of nvml.h (API version 12).
const FAKE: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
int nvmlInit_v2(void) { if (getenv("FAKE_HANG")) sleep(600); return getenv("FAKE_NO_DRIVER") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = getenv("FAKE_NONE") ? 0 : 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetName(void *device, char *name, unsigned size) { strncpy(name, "Fake H200", size); return 0; }
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
    strncpy(uuid, device == (void *)1 ? "GPU-1" : "GPU-2", size); return 0; }
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) { memory->total = 1ull << 37; return 0; }
"#;

fn build_fake(folder: &Path) -> bool {
    let source = folder.join("fake.c");
    fs::write(&source, FAKE).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-w", "-Wl,-soname,libnvidia-ml.so.1", "-o"]);
    gcc.arg(folder.join("libnvidia-ml.so.1"))
        .arg(source)
        .status()
        .is_ok_and(|status| status.success())
}

async fn facts_with(library: &Path, variable: &str) -> NodeFacts {
    let mut node = Node::prepare();
    let mut command = node.command();
    command
        .env("LD_LIBRARY_PATH", library)
        .env(variable, "1")
        .arg("--without-bpf");
    let mut daemon = command.spawn().unwrap();
    let facts = node.connect().await.facts().await.unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(daemon.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(daemon.wait().unwrap().success());
    facts
}

#[tokio::test]
async fn gpus_are_facts_and_their_absence_has_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    if !build_fake(folder.path()) {
        return skip("gpus_are_facts_and_their_absence_has_a_reason", "needs gcc");
    }
    let facts = facts_with(folder.path(), "FAKE_NOTHING").await;
    let shown: Vec<_> = facts
        .gpus
        .iter()
        .map(|gpu| (&*gpu.name, &*gpu.uuid, gpu.memory_bytes))
        .collect();
    assert_eq!(
        shown,
        [("Fake H200", "GPU-1", 1 << 37), ("Fake H200", "GPU-2", 1 << 37)]
    );
    assert_eq!(facts.no_gpu_reason, None);
    for (variable, word) in [
        ("FAKE_NO_DRIVER", "driver"),
        ("FAKE_NONE", "no GPU"),
        ("FAKE_HANG", "no answer"),
    ] {
        let facts = facts_with(folder.path(), variable).await;
        assert_eq!(facts.gpus, []);
        let reason = facts.no_gpu_reason.unwrap();
        assert!(reason.contains(word), "{variable}: {reason}");
    }
}
