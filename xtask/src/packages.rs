//! System packages that a task needs: named, and installed where that is allowed.

use std::{path::Path, process::Command};

/// Something that must be on the machine, and the Debian or Ubuntu package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    package: &'static str,
    reason: &'static str,
    is_there: fn() -> bool,
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path)
        .chain(sbin)
        .any(|folder| folder.join(program).is_file())
}

fn has_libseccomp() -> bool {
    let asked = Command::new("pkg-config")
        .args(["--exists", "libseccomp"])
        .status();
    asked.is_ok_and(|status| status.success())
}

/// What a build and a local network need.
pub const BUILD: &[Need] = &[
    Need {
        package: "gcc",
        reason: "links the programs",
        is_there: || on_path("cc"),
    },
    Need {
        package: "pkg-config",
        reason: "finds libseccomp",
        is_there: || on_path("pkg-config"),
    },
    Need {
        package: "libseccomp-dev",
        reason: "system call filters of containers",
        is_there: has_libseccomp,
    },
    Need {
        package: "busybox-static",
        reason: "the image of the local network",
        is_there: || Path::new("/bin/busybox").exists(),
    },
];

/// What the tests need besides.
pub const TESTS: &[Need] = &[
    Need {
        package: "crun",
        reason: "a runtime to compare with",
        is_there: || on_path("crun"),
    },
    Need {
        package: "runc",
        reason: "a runtime to compare with",
        is_there: || on_path("runc"),
    },
    Need {
        package: "iproute2",
        reason: "network namespaces",
        is_there: || on_path("ip"),
    },
    Need {
        package: "npm",
        reason: "installs IPFS peers and SDKs to test against",
        is_there: || on_path("npm"),
    },
    Need {
        package: "prometheus",
        reason: "promtool checks the metrics",
        is_there: || on_path("promtool"),
    },
    Need {
        package: "python3-venv",
        reason: "runs the published Python SDK as a peer",
        is_there: || {
            let asked = Command::new("python3")
                .args(["-c", "import venv, ensurepip"])
                .output();
            asked.is_ok_and(|output| output.status.success())
        },
    },
];

/// What the full test needs besides.
pub const PODMAN: &[Need] = &[Need {
    package: "podman",
    reason: "drives r1-runc as its users do",
    is_there: || on_path("podman"),
}];

/// What the fuzz targets need besides.
pub const FUZZ: &[Need] = &[Need {
    package: "g++",
    reason: "compiles libFuzzer",
    is_there: || on_path("c++"),
}];

/// What the idle benchmark compares with.
pub const IDLE_BENCH: &[Need] = &[Need {
    package: "prometheus-node-exporter",
    reason: "the peer of the idle benchmark",
    is_there: || on_path("prometheus-node-exporter"),
}];

/// What the benchmark of files compares with.
pub const FILES_BENCH: &[Need] = &[
    Need {
        package: "rsync",
        reason: "a peer of transfers",
        is_there: || on_path("rsync"),
    },
    Need {
        package: "openssh-server",
        reason: "a peer of transfers",
        is_there: || on_path("sshd") && on_path("scp"),
    },
];

/// The needs that are not met.
pub fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().copied().filter(|need| !(need.is_there)()).collect()
}

/// Names what is missing and installs it.
///
/// # Errors
/// If it may not be installed here; the message holds the command to type.
pub fn ensure(needs: &[Need], may_install: bool) -> Result<(), String> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        eprintln!("missing: {} ({})", need.package, need.reason);
    }
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!("apt-get install {}", names.join(" "));
    if !may_install {
        return Err(format!("install them with: {by_hand}"));
    }
    let prefix: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else {
        &["sudo", "-n"]
    };
    eprintln!("installing: {by_hand}");
    let update = apt(prefix, &["update", "-q"]);
    let install = apt(
        prefix,
        &[&["install", "-y", "-q", "--no-install-recommends"], &names[..]].concat(),
    );
    match (update, install) {
        (_, Ok(())) => Ok(()),
        (_, Err(error)) => Err(format!("{error}; install them by hand: {by_hand}")),
    }
}

/// apt-get, its output on our standard error.
fn apt(prefix: &[&str], arguments: &[&str]) -> Result<(), String> {
    let words = [prefix, &["apt-get"], arguments].concat();
    let status = Command::new(words[0])
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("apt-get {} ended with {status}", arguments[0]))
    }
}
