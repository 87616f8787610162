//! The socket `ctl.sock`: one JSON request per packet, one JSON reply back, from root or our own user only.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, getsockopt, listen, recv,
    send, socket,
};
use nix::unistd::geteuid;
use r1_core::{ShimReply, ShimRequest};

use crate::error::{Result, io, sys};

const SOCKET: &str = "ctl.sock";
/// Largest request; the largest one is below 100 bytes.
const MAX_REQUEST_BYTES: usize = 4096;
/// Connections at one time; one is r1-hostd's, the others are an operator's tools.
pub const MAX_CONNECTIONS: usize = 8;
const BACKLOG: i32 = 8;

/// The listening socket.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    path: PathBuf,
}

/// One client.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
}

/// What a client sent.
#[derive(Debug)]
pub enum Received {
    /// A request.
    Request(ShimRequest),
    /// Something that is no request; the reason.
    Invalid(String),
    /// Nothing yet.
    Nothing,
    /// The end of the connection.
    Closed,
}

impl Listener {
    /// Binds it in the container's folder.
    pub fn bind(dir: &Path) -> Result<Listener> {
        let path = dir.join(SOCKET);
        let _ = fs::remove_file(&path);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).map_err(sys("socket"))?;
        // A socket's address holds 107 bytes; the folder's path may be longer, its descriptor's is not.
        let folder = fs::File::open(dir).map_err(io(format!("open {}", dir.display())))?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
        let address = UnixAddr::new(short.as_str()).map_err(sys("socket address"))?;
        // SAFETY: umask cannot fail and this process has one thread.
        let before = unsafe { nix::libc::umask(0o177) };
        let bound = bind(fd.as_raw_fd(), &address);
        // SAFETY: as above.
        unsafe { nix::libc::umask(before) };
        bound.map_err(sys(format!("bind {}", path.display())))?;
        let backlog = Backlog::new(BACKLOG).map_err(sys("backlog"))?;
        listen(&fd, backlog).map_err(sys(format!("listen on {}", path.display())))?;
        Ok(Listener { fd, path })
    }

    /// The next client, unless it is a stranger.
    pub fn accept(&self) -> Option<Connection> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = accept4(self.fd.as_raw_fd(), flags).ok()?;
        // SAFETY: the kernel just returned this descriptor to us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let peer = getsockopt(&fd, PeerCredentials).ok()?;
        if peer.uid() == 0 || peer.uid() == geteuid().as_raw() {
            Some(Connection { fd })
        } else {
            None
        }
    }

    /// Removes the socket's file.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Connection {
    /// Reads one request.
    pub fn receive(&self) -> Received {
        let mut buffer = [0u8; MAX_REQUEST_BYTES];
        match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
            Ok(0) => Received::Closed,
            Ok(n) if n > buffer.len() => Received::Invalid(format!("a request of {n} bytes is too long")),
            Ok(n) => match serde_json::from_slice(&buffer[..n]) {
                Ok(request) => Received::Request(request),
                Err(e) => Received::Invalid(format!("not a request: {e}")),
            },
            Err(Errno::EAGAIN | Errno::EINTR) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    /// Sends a reply; false if the client does not take it.
    pub fn reply(&self, reply: &ShimReply) -> bool {
        let Ok(bytes) = serde_json::to_vec(reply) else {
            return false;
        };
        send(self.fd.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).is_ok()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
