//! A container must not reach the host's copy of this program through `/proc/<pid>/exe` (class of CVE-2019-5736):
//! before a container is made, r1-runc executes itself from a file that nobody can write.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Result, io as at, sys};

const SELF: &str = "/proc/self/exe";

/// Returns if this process already runs from an unwritable copy; otherwise executes itself from one.
pub fn ensure() -> Result<()> {
    let exe = File::open(SELF).map_err(at(format!("open {SELF}")))?;
    if is_sealed(exe.as_fd()) || is_read_only_mount(exe.as_fd()) {
        return Ok(());
    }
    let copy = match read_only_clone() {
        Ok(fd) => fd,
        // Not privileged to make a mount: copy the bytes.
        Err(_) => sealed_copy(exe)?,
    };
    Err(execute(copy.as_fd()))
}

fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    let wanted = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(fd, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(wanted))
}

/// True on the detached clone of [`read_only_clone`], whose mount alone is read-only.
fn is_read_only_mount(fd: BorrowedFd<'_>) -> bool {
    nix::sys::statvfs::fstatvfs(fd).is_ok_and(|s| s.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
}

/// A read-only mount of this program's file that is attached nowhere: no copy, no way to remount it.
fn read_only_clone() -> io::Result<OwnedFd> {
    let path = std::fs::read_link(SELF)?;
    let path = CString::new(path.as_os_str().as_bytes())?;
    crate::mount_fd::clone_with(&path, libc::MOUNT_ATTR_RDONLY, None)
}

fn sealed_copy(mut exe: File) -> Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let copy = memfd_create("r1-runc", flags).map_err(sys("memfd_create"))?;
    let mut file = File::from(copy);
    io::copy(&mut exe, &mut file).map_err(at("copy this program to memory"))?;
    // A descriptor open for writing would make the execution fail with ETXTBSY.
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let seals =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(sys("seal the copy of this program"))?;
    nix::fcntl::open(
        path.as_c_str(),
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )
    .map_err(sys("reopen the copy of this program"))
}

fn execute(fd: BorrowedFd<'_>) -> crate::error::Error {
    let text = |value: &std::ffi::OsStr| CString::new(value.as_bytes()).unwrap_or_default();
    let args: Vec<CString> = std::env::args_os().map(|a| text(&a)).collect();
    let vars: Vec<CString> = std::env::vars_os()
        .map(|(k, v)| {
            let mut line = k;
            line.push("=");
            line.push(v);
            text(&line)
        })
        .collect();
    let empty = CString::default();
    let failure = nix::unistd::execveat(fd, &empty, &args, &vars, nix::fcntl::AtFlags::AT_EMPTY_PATH);
    match failure {
        Err(errno) => sys("execute the unwritable copy of this program")(errno),
        Ok(never) => match never {},
    }
}

/// Takes over a descriptor that a raw system call returned.
pub(crate) fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
