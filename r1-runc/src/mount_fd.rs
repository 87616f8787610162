//! Mounts by descriptor: no path is used twice.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;

use crate::sealed::owned;

/// A detached copy of the mount at `path` (a file or a folder) with these attributes, its owners shifted by the
/// mapping of `userns` if there is one. Needs CAP_SYS_ADMIN.
pub fn clone_with(path: &CStr, attributes: u64, userns: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: a NUL-terminated path and flags; returns a new descriptor or -1.
    let tree = owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    let attr = libc::mount_attr {
        attr_set: attributes
            | if userns.is_some() {
                libc::MOUNT_ATTR_IDMAP
            } else {
                0
            },
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: the descriptor is valid, the path is empty, attr is a live struct of the size given.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(tree)
    }
}

/// Attaches a detached mount at a folder.
pub fn attach(tree: &OwnedFd, target: &CStr) -> io::Result<()> {
    // SAFETY: a valid descriptor with an empty path, a NUL-terminated target, flags.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
