//! The image that every local node has: one static busybox with links for its applets.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use crate::error::{Error, at};

/// Name of the image.
pub const BUSYBOX_IMAGE: &str = "busybox";
/// Where Debian's busybox-static puts it.
const BUSYBOX: &str = "/bin/busybox";
/// Applets that tests and examples use.
const APPLETS: [&str; 24] = [
    "sh", "ash", "cat", "cp", "date", "dd", "echo", "env", "false", "head", "hostname", "id", "kill", "ls",
    "mkdir", "mount", "ps", "sleep", "tail", "test", "touch", "true", "wc", "yes",
];

/// Installs the image below a folder of images: `<images>/busybox/rootfs/`. An image that is there stays.
///
/// # Errors
/// [`Error::File`]; without `/bin/busybox` it names the package to install.
pub fn install_busybox(images: &Path) -> Result<(), Error> {
    let rootfs = images.join(BUSYBOX_IMAGE).join("rootfs");
    if rootfs.join("bin/true").exists() {
        return Ok(());
    }
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp", "run", "root"] {
        fs::create_dir_all(rootfs.join(folder)).map_err(at(rootfs.join(folder)))?;
    }
    let busybox = rootfs.join("bin/busybox");
    fs::copy(BUSYBOX, &busybox).map_err(|source| Error::File {
        path: BUSYBOX.into(),
        source: std::io::Error::new(
            source.kind(),
            format!("{source}; install the package busybox-static"),
        ),
    })?;
    fs::set_permissions(&busybox, fs::Permissions::from_mode(0o755)).map_err(at(&busybox))?;
    for applet in APPLETS {
        let link = rootfs.join("bin").join(applet);
        match symlink("busybox", &link) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(at(link)(error)),
            _ => {}
        }
    }
    Ok(())
}
