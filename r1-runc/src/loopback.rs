//! The loopback device of a new network namespace: the kernel makes it down and libcontainer leaves it so, but every
//! program that talks to itself needs it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::error::{Result, io as at, sys};

/// Brings `lo` up in the network namespace of a process. This process visits that namespace; it has one thread, and
/// descriptors opened before stay where they belong.
pub fn bring_up(pid: i32) -> Result<()> {
    let open = |path: String| File::open(&path).map_err(at(format!("open {path}")));
    let theirs = open(format!("/proc/{pid}/ns/net"))?;
    let ours = open("/proc/self/ns/net".to_owned())?;
    setns(theirs.as_fd(), CloneFlags::CLONE_NEWNET).map_err(sys("enter the network namespace"))?;
    let result = set_up().map_err(at("bring lo up"));
    setns(ours.as_fd(), CloneFlags::CLONE_NEWNET).map_err(sys("leave the network namespace"))?;
    result
}

fn set_up() -> io::Result<()> {
    let fd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: a plain C struct, valid in zeroes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    // SAFETY: a socket and a request that names a device; the kernel fills in its flags.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the flags are the member of the union that the call above has set.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    // SAFETY: as above, read by the kernel.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
