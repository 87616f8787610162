//! The control socket of a container's shim: one JSON request per packet, one reply back.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    time::Duration,
};

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr};
use r1_core::{ShimReply, ShimRequest};
use tokio::{io::unix::AsyncFd, time::timeout};

/// Longest wait for a shim's answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest reply: a state with its warnings.
const MAX_REPLY: usize = 64 * 1024;

/// Why a shim did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The socket failed or nobody listens on it.
    #[error("shim of container {id:?}: {source}")]
    Io {
        /// The container.
        id: String,
        /// What the socket said.
        source: io::Error,
    },
    /// It is there and silent.
    #[error("shim of container {id:?} did not answer within {REPLY_TIMEOUT:?}")]
    Silent {
        /// The container.
        id: String,
    },
    /// It answered something else.
    #[error("shim of container {id:?}: {reason}")]
    Answer {
        /// The container.
        id: String,
        /// What it said.
        reason: String,
    },
}

/// Sends one request to the shim of container `id` whose folder is `folder`, and returns its reply; a reply
/// that is an error becomes [`ShimError::Answer`].
///
/// # Errors
/// [`ShimError`] with the id.
pub async fn ask(folder: &Path, id: &str, request: &ShimRequest) -> Result<ShimReply, ShimError> {
    let broken = |source: io::Error| ShimError::Io {
        id: id.to_owned(),
        source,
    };
    let answer = |reason: String| ShimError::Answer {
        id: id.to_owned(),
        reason,
    };
    let exchange = async {
        let socket = connect(folder).map_err(broken)?;
        let packet = serde_json::to_vec(request).map_err(|error| answer(error.to_string()))?;
        send(&socket, &packet).await.map_err(broken)?;
        let reply = receive(&socket).await.map_err(broken)?;
        serde_json::from_slice(&reply).map_err(|error| answer(format!("reply is not understood: {error}")))
    };
    let limited = timeout(REPLY_TIMEOUT, exchange).await;
    match limited.map_err(|_| ShimError::Silent { id: id.to_owned() })?? {
        ShimReply::Error { message } => Err(answer(message)),
        reply => Ok(reply),
    }
}

fn connect(folder: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    // A socket's address holds 107 bytes; the folder's path may be longer, that of its descriptor is not.
    let folder = File::open(folder)?;
    let short = format!("/proc/self/fd/{}/ctl.sock", folder.as_raw_fd());
    // A Unix socket connects at once or not at all: with a full backlog it reports EAGAIN.
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(short.as_str())?)?;
    // SAFETY: the watcher owns the descriptor; it is closed with it, not before.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

async fn send(socket: &AsyncFd<OwnedFd>, packet: &[u8]) -> io::Result<()> {
    loop {
        let mut ready = socket.writable().await?;
        let sent = ready.try_io(|fd| {
            Ok(socket::send(
                fd.as_raw_fd(),
                packet,
                MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_EOR,
            )?)
        });
        if let Ok(result) = sent {
            return result.map(drop);
        }
    }
}

async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; MAX_REPLY];
    loop {
        let mut ready = socket.readable().await?;
        let received = ready.try_io(|fd| Ok(socket::recv(fd.as_raw_fd(), &mut packet, MsgFlags::empty())?));
        let Ok(length) = received else { continue };
        let length = length?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        packet.truncate(length);
        return Ok(packet);
    }
}
