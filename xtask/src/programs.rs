//! Builds the programs and says where they are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The workspace's root.
pub fn root() -> PathBuf {
    // xtask lies in the workspace's root.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// Cargo in the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo run` describes xtask itself in these; a build script that watches one (ring's does) would make the
    // inner cargo build everything above it anew each time a build from the shell and one from here alternate.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|start| text.starts_with(start))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The folder of build products.
///
/// # Errors
/// If cargo does not say.
pub fn target_dir() -> Result<PathBuf, String> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata: no target folder".into())
}

/// Builds all programs with cargo's own progress on standard error, and returns their folder. With `R1_BIN_DIR` set
/// that folder's programs are taken as they are.
///
/// # Errors
/// If the build fails.
pub fn build(release: bool) -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os("R1_BIN_DIR") {
        return Ok(PathBuf::from(folder));
    }
    let mut command = cargo();
    command
        .args(["build", "--workspace", "--bins"])
        .stdout(std::io::stderr());
    if release {
        command.arg("--release");
    }
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build ended with {status}"));
    }
    Ok(target_dir()?.join(if release { "release" } else { "debug" }))
}
