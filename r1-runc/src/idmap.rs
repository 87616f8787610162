//! Root file systems of user-namespace containers: the image's files belong to root on the host, so they are shown
//! through an id-mapped mount. It lives in this process's own mount namespace and ends with it.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe};

use crate::error::{Error, Result, io as at, refused, sys};

/// Folders that every host has, that every user may enter, and that hold nothing a container needs: the mapped
/// root file system is mounted over the first suitable one, in this process's own mount namespace only.
const MOUNT_POINTS: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];

/// One range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// First id inside.
    pub inside: u32,
    /// First id on the host.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// Where a root file system is to be seen now, and what is wrong with it.
#[derive(Debug)]
pub struct Shown {
    /// The folder.
    pub at: PathBuf,
    /// One line, if its owners could not be shifted.
    pub warning: Option<String>,
}

/// Makes `rootfs` visible with shifted owners, to users who could not reach its folder. `in_use` are paths that must
/// stay reachable. Moves the calling process into a mount namespace of its own.
pub fn mount_rootfs(rootfs: &Path, uids: &[Mapping], gids: &[Mapping], in_use: &[&Path]) -> Result<Shown> {
    let target = MOUNT_POINTS
        .iter()
        .map(Path::new)
        .find(|point| point.is_dir() && !in_use.iter().any(|path| path.starts_with(point)))
        .ok_or_else(|| Error::Refused("no folder of /mnt /media /srv /opt to mount on".to_owned()))?;
    let userns = user_namespace(uids, gids)?;
    let source = CString::new(rootfs.as_os_str().as_bytes())
        .map_err(|_| Error::Refused("rootfs: holds a NUL".to_owned()))?;
    let shifted = crate::mount_fd::clone_with(&source, 0, Some(userns.as_fd()));
    let (tree, warning) = match shifted {
        Ok(tree) => (tree, None),
        // Some file systems cannot: overlayfs, some network file systems. Readable to all is enough to run.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let plain = crate::mount_fd::clone_with(&source, 0, None);
            let why =
                "the files of the root belong to nobody inside: its file system has no id-mapped mounts";
            (
                plain.map_err(at(format!("mount of {}", rootfs.display())))?,
                Some(why.to_owned()),
            )
        }
        Err(error) => return Err(at(format!("id-mapped mount of {}", rootfs.display()))(error)),
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(sys("unshare the mount namespace"))?;
    // Slave: the host's unmounts still reach us, ours never reach the host.
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).map_err(sys("make / a slave mount"))?;
    let point = CString::new(target.as_os_str().as_bytes()).unwrap_or_default();
    crate::mount_fd::attach(&tree, &point)
        .map_err(at(format!("mount the rootfs on {}", target.display())))?;
    Ok(Shown {
        at: target.to_path_buf(),
        warning,
    })
}

/// A user namespace with these mappings, held by its descriptor alone.
fn user_namespace(uids: &[Mapping], gids: &[Mapping]) -> Result<OwnedFd> {
    let (mut ready, tell) = pipe()
        .map(|(r, w)| (fs::File::from(r), fs::File::from(w)))
        .map_err(sys("pipe"))?;
    // SAFETY: this program has one thread, so the child may use every function.
    match unsafe { fork() }.map_err(sys("fork"))? {
        ForkResult::Child => hold_user_namespace(tell),
        ForkResult::Parent { child } => {
            drop(tell);
            let mut answer = [0u8; 1];
            let got = ready.read(&mut answer);
            let result = match got {
                Ok(1) if answer[0] == b'+' => write_maps(child, uids, gids),
                _ => refused("the kernel gives no user namespace"),
            };
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            result
        }
    }
}

fn hold_user_namespace(mut tell: fs::File) -> ! {
    let made = unshare(CloneFlags::CLONE_NEWUSER).is_ok();
    let _ = tell.write_all(if made { b"+" } else { b"-" });
    loop {
        // SAFETY: sleeps until the parent's SIGKILL.
        unsafe { libc::pause() };
    }
}

fn write_maps(child: Pid, uids: &[Mapping], gids: &[Mapping]) -> Result<OwnedFd> {
    let text = |maps: &[Mapping]| -> String {
        maps.iter()
            .map(|m| format!("{} {} {}\n", m.inside, m.host, m.size))
            .collect()
    };
    for (file, maps) in [("uid_map", uids), ("gid_map", gids)] {
        let path = format!("/proc/{child}/{file}");
        fs::write(&path, text(maps)).map_err(at(format!("write {path}")))?;
    }
    let path = format!("/proc/{child}/ns/user");
    let file: io::Result<fs::File> = fs::File::open(&path);
    Ok(file.map_err(at(format!("open {path}")))?.into())
}
