//! Control groups of a local network: found by name, removed when empty.

use std::{fs, path::Path};

/// Where hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Removes `<hierarchy>/<path>` and what is below it in every hierarchy. Only empty groups can be removed, so
/// nothing that runs is touched. Returns those that are left.
pub fn remove(path: &str) -> Vec<String> {
    let relative = path.trim_start_matches('/');
    let mut left = Vec::new();
    let hierarchies = fs::read_dir(ROOT)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    for hierarchy in hierarchies.chain([ROOT.into()]) {
        let group = hierarchy.join(relative);
        if hierarchy.is_symlink() || !group.is_dir() {
            continue;
        }
        remove_tree(&group);
        if group.is_dir() {
            left.push(group.display().to_string());
        }
    }
    left
}

fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // A group that is not empty stays, and is reported.
    let _ = fs::remove_dir(group);
}
