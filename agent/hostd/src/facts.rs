//! What the machine is, read from the kernel's own files.

use std::{fs, path::Path, thread};

use r1_host_api::{CpuFacts, Degraded, DiskFacts, MemoryFacts, NodeFacts};

use crate::{cgroup::Cgroups, config::Config, gpu::Gpus, process};

/// Collects the facts as of now.
pub fn collect(config: &Config, cgroups: &Cgroups, gpus: &Gpus, degraded: Vec<Degraded>) -> NodeFacts {
    let names = nix::sys::utsname::uname().ok();
    let name = |part: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        names
            .as_ref()
            .map(|names| part(names).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    NodeFacts {
        hostname: name(|names| names.nodename()),
        kernel: name(|names| names.release()),
        architecture: name(|names| names.machine()),
        os: os_name(),
        boot_id: process::boot_id().unwrap_or_default(),
        cpu: CpuFacts {
            model: cpu_model(),
            cores: cores(),
        },
        memory: memory(),
        disk: disk(&config.state),
        gpus: gpus.found.clone(),
        no_gpu_reason: gpus.reason.clone(),
        cgroup_mode: cgroups.mode(),
        cgroup_controllers: cgroups.controllers(),
        images: images(&config.images()),
        degraded,
    }
}

/// Logical processors that this process may use.
pub fn cores() -> u32 {
    thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// The machine's memory; zeros if `/proc` is not mounted.
pub fn memory() -> MemoryFacts {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| {
            line.trim_start_matches(':')
                .split_ascii_whitespace()
                .next()?
                .parse()
                .ok()
        });
        kib.unwrap_or(0u64) * 1024
    };
    MemoryFacts {
        total_bytes: bytes("MemTotal"),
        available_bytes: bytes("MemAvailable"),
    }
}

fn os_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn disk(path: &Path) -> DiskFacts {
    let stat = nix::sys::statvfs::statvfs(path).ok();
    let bytes = |blocks: fn(&nix::sys::statvfs::Statvfs) -> u64| {
        stat.as_ref()
            .map_or(0, |stat| blocks(stat).saturating_mul(stat.fragment_size()))
    };
    DiskFacts {
        path: path.display().to_string(),
        total_bytes: bytes(|stat| stat.blocks()),
        free_bytes: bytes(|stat| stat.blocks_available()),
    }
}

fn images(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter(|entry| entry.path().join("rootfs").is_dir());
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| r1_host_api::check_image(name).is_ok())
        .collect();
    names.sort();
    names
}
