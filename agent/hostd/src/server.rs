//! The socket of `org.ratio1.Host1`: who may connect, and the D-Bus face of the daemon.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::unistd::{Uid, User, geteuid};
use r1_host_api::{HostError, HostEvent, INTERFACE, OBJECT_PATH, RunRequest};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, broadcast},
    time::timeout,
};
use zbus::{Connection, Guid, connection};

use crate::{
    daemon::Host,
    storage::{self, StorageError, at},
};

/// Connections at a time; more are closed at once.
const MAX_CONNECTIONS: usize = 32;
/// Longest wait for a peer's handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a peer to read an event; one that does not is disconnected.
const TELL_TIMEOUT: Duration = Duration::from_secs(30);
/// Access to the socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;
/// Pause after the listener failed, out of descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Largest request text; what a valid request can need, with room for JSON's escapes.
const MAX_REQUEST: usize = 1024 * 1024;

/// The listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    allowed: Vec<u32>,
}

impl Listener {
    /// Binds the socket; a file left by a process that died is replaced (the folder's lock is held).
    ///
    /// # Errors
    /// [`StorageError`] with the path.
    pub fn bind(path: &Path, allow_uids: &[u32]) -> Result<Self, StorageError> {
        storage::remove_file(path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default();
        // A socket's address holds 107 bytes; the folder's path may be longer, that of its descriptor is not.
        let opened = fs::File::open(folder).map_err(at("open", folder))?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&opened).to_string();
        let short = Path::new("/proc/self/fd").join(fd).join(name);
        let socket = UnixListener::bind(short).map_err(at("listen on", path))?;
        // The group of the first user that was allowed, so that the file's mode lets it connect at all.
        let group = allow_uids
            .first()
            .and_then(|uid| User::from_uid(Uid::from_raw(*uid)).ok().flatten());
        if let Some(user) = group
            && geteuid().is_root()
        {
            chown(path, None, Some(user.gid.as_raw())).map_err(at("give a group to", path))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))
            .map_err(at("set the mode of", path))?;
        let mut allowed = vec![0, geteuid().as_raw()];
        allowed.extend(allow_uids);
        Ok(Self {
            socket,
            path: path.to_owned(),
            allowed,
        })
    }

    /// Serves until the task is dropped.
    pub async fn serve(&self, host: Host) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, path = %self.path.display(), "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let uid = stream.peer_cred().map(|peer| peer.uid());
            if !uid.as_ref().is_ok_and(|uid| self.allowed.contains(uid)) {
                let refused = host.refuse_peer();
                // Once for each power of two: a stranger that tries again and again does not fill the journal.
                if refused.is_power_of_two() {
                    tracing::warn!(
                        ?uid,
                        refused,
                        "connection refused: user is not allowed (--allow-uid)"
                    );
                }
                continue;
            }
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                tracing::warn!("connection refused: {MAX_CONNECTIONS} are open");
                continue;
            };
            let host = host.clone();
            tokio::spawn(async move {
                if let Err(error) = converse(stream, host).await {
                    tracing::debug!(%error, "connection ended");
                }
                drop(slot);
            });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Only tidiness: the next start replaces the file.
        let _ = fs::remove_file(&self.path);
    }
}

/// One peer: answers its calls and tells it events until it goes.
async fn converse(stream: UnixStream, host: Host) -> zbus::Result<()> {
    let mut events = host.events();
    let builder = connection::Builder::unix_stream(stream)
        .p2p()
        .server(Guid::generate())?;
    let builder = builder.serve_at(OBJECT_PATH, Host1 { host: host.clone() })?;
    let Ok(built) = timeout(HANDSHAKE_TIMEOUT, builder.build()).await else {
        return Err(zbus::Error::Handshake(format!(
            "no handshake within {HANDSHAKE_TIMEOUT:?}"
        )));
    };
    let connection = built?;
    let _open = host.open_connection();
    loop {
        tokio::select! {
            () = connection.closed() => return Ok(()),
            event = events.recv() => match event {
                Ok(event) => match timeout(TELL_TIMEOUT, tell(&connection, &event)).await {
                    Ok(told) => told?,
                    Err(_) => return Err(zbus::Error::Failure(format!("an event was not read within {TELL_TIMEOUT:?}"))),
                },
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a peer is too slow for the events");
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
        }
    }
}

async fn tell(connection: &Connection, event: &HostEvent) -> zbus::Result<()> {
    let (member, json) = match event {
        HostEvent::Exited(info) => ("Exited", serde_json::to_string(info)),
        HostEvent::Gap(gap) => ("Gap", serde_json::to_string(gap)),
        HostEvent::Missed(_) => return Ok(()),
    };
    let Ok(json) = json else { return Ok(()) };
    connection
        .emit_signal(None::<&str>, OBJECT_PATH, INTERFACE, member, &json.as_str())
        .await
}

/// The D-Bus object. It owns nothing and decides nothing.
struct Host1 {
    host: Host,
}

#[zbus::interface(name = "org.ratio1.Host1")]
impl Host1 {
    async fn run(&self, request: &str) -> Result<String, HostError> {
        let request = parse(request);
        let ran = match request {
            Ok(request) => self.host.containers().run(request).await,
            Err(error) => Err(error),
        };
        self.host.note(ran)
    }

    async fn stop(&self, id: &str, timeout_ms: u64) -> Result<(), HostError> {
        self.host.note(self.host.containers().stop(id, timeout_ms).await)
    }

    async fn remove(&self, id: &str) -> Result<(), HostError> {
        self.host.note(self.host.containers().remove(id).await)
    }

    async fn list(&self) -> Result<String, HostError> {
        print("List", &self.host.containers().list())
    }

    async fn logs(&self, id: &str, tail: u32) -> Result<String, HostError> {
        let lines = self.host.note(self.host.containers().logs(id, tail))?;
        print("Logs", &lines)
    }

    async fn facts(&self) -> Result<String, HostError> {
        print("Facts", &self.host.facts())
    }

    async fn measurements(&self) -> Result<String, HostError> {
        print("Measurements", &self.host.measurements())
    }

    async fn metrics(&self) -> Result<String, HostError> {
        self.host.metrics()
    }

    async fn version(&self) -> Result<String, HostError> {
        Ok(env!("CARGO_PKG_VERSION").to_owned())
    }
}

fn parse(json: &str) -> Result<RunRequest, HostError> {
    let invalid = |message: String| HostError::InvalidRequest {
        field: "request".into(),
        message,
    };
    if json.len() > MAX_REQUEST {
        return Err(invalid(format!(
            "request has {} bytes; at most {MAX_REQUEST} are allowed",
            json.len()
        )));
    }
    serde_json::from_str(json).map_err(|error| invalid(format!("request is not understood: {error}")))
}

fn print(method: &str, value: &impl serde::Serialize) -> Result<String, HostError> {
    serde_json::to_string(value).map_err(|error| HostError::Failed {
        message: format!("{method}: {error}"),
    })
}
