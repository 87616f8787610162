//! The client of r1-hostd. It does not reconnect: a closed connection is reported, its owner decides.

use std::{fs::File, os::fd::AsRawFd as _, path::Path, sync::Arc, time::Duration};

use futures::StreamExt as _;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, sync::broadcast, time::timeout};
use zbus::{Connection, MatchRule, Message, MessageStream, connection, message::Type, zvariant::DynamicType};

use crate::{
    ContainerInfo, Gap, HostError, INTERFACE, LogLine, Measurements, NodeFacts, OBJECT_PATH, RunRequest,
    check_id, check_stop_timeout, check_tail,
};

/// Longest wait for an answer beyond what the call itself asks for (`Stop`).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the connection's handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Events kept for a reader that lags; it is told how many it missed.
const EVENT_QUEUE: usize = 256;

/// Something r1-hostd tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// A container ended or was lost.
    Exited(ContainerInfo),
    /// The machine or the sampler stood still for a while.
    Gap(Gap),
    /// The reader was too slow and missed this many events: ask for the state with [`HostClient::list`].
    Missed(u64),
}

/// The events of one connection.
#[derive(Debug)]
pub struct HostEvents {
    receiver: broadcast::Receiver<HostEvent>,
}

impl HostEvents {
    /// The next event, or `None` once the connection is closed.
    pub async fn next(&mut self) -> Option<HostEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(HostEvent::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// A connection to r1-hostd. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub struct HostClient {
    connection: Connection,
    events: broadcast::WeakSender<HostEvent>,
    _forwarder: Arc<Forwarder>,
}

/// Ends the task that reads signals with the last client: the task itself would keep the connection open.
#[derive(Debug)]
struct Forwarder(tokio::task::JoinHandle<()>);

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HostClient {
    /// Connects to the socket of r1-hostd (`<run>/host.sock`).
    ///
    /// Must be called inside a tokio runtime. Privilege: r1-hostd must admit this process's user.
    ///
    /// # Errors
    /// [`HostError::Disconnected`] or [`HostError::Timeout`] with the path.
    pub async fn connect(path: &Path) -> Result<Self, HostError> {
        let lost = |error: &dyn std::fmt::Display| HostError::Disconnected {
            message: format!("r1-hostd at {}: {error}", path.display()),
        };
        let handshake = async {
            let stream = open(path).await.map_err(|error| lost(&error))?;
            let builder = connection::Builder::unix_stream(stream).p2p();
            let connection = builder.build().await.map_err(|error| lost(&error))?;
            let rule = MatchRule::builder().msg_type(Type::Signal).build();
            let signals = MessageStream::for_match_rule(rule, &connection, Some(EVENT_QUEUE)).await;
            Ok((connection, signals.map_err(|error| lost(&error))?))
        };
        let (connection, signals) =
            timeout(CONNECT_TIMEOUT, handshake)
                .await
                .map_err(|_| HostError::Timeout {
                    message: format!(
                        "r1-hostd at {}: no handshake within {CONNECT_TIMEOUT:?}",
                        path.display()
                    ),
                })??;
        let (sender, _) = broadcast::channel(EVENT_QUEUE);
        let events = sender.downgrade();
        let _forwarder = Arc::new(Forwarder(tokio::spawn(forward(signals, sender))));
        Ok(Self {
            connection,
            events,
            _forwarder,
        })
    }

    /// True once the connection is of no more use.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Returns when the connection is closed.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    /// The events from now on; take it before asking for a state that must not be missed.
    pub fn events(&self) -> HostEvents {
        let receiver = match self.events.upgrade() {
            Some(sender) => sender.subscribe(),
            // The forwarder has ended with the connection: an already closed channel says so to the reader.
            None => broadcast::channel(1).1,
        };
        HostEvents { receiver }
    }

    /// Makes and starts a container; returns its id. The request is validated before it is sent.
    ///
    /// # Errors
    /// Any [`HostError`]; nothing is left behind when it fails.
    pub async fn run(&self, request: &RunRequest) -> Result<String, HostError> {
        request.validate()?;
        let json = serde_json::to_string(request).map_err(|error| HostError::contract("Run", error))?;
        self.call("Run", &json.as_str(), CALL_TIMEOUT).await
    }

    /// Ends a container: SIGTERM, then SIGKILL after `timeout_ms`. Returns when it has ended.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or what kept it from ending.
    pub async fn stop(&self, id: &str, timeout_ms: u64) -> Result<(), HostError> {
        check_id(id)?;
        check_stop_timeout(timeout_ms)?;
        self.call(
            "Stop",
            &(id, timeout_ms),
            CALL_TIMEOUT + Duration::from_millis(timeout_ms),
        )
        .await
    }

    /// Forgets a container that has ended: its record and its logs.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or [`HostError::Conflict`] while it runs.
    pub async fn remove(&self, id: &str) -> Result<(), HostError> {
        check_id(id)?;
        self.call("Remove", &id, CALL_TIMEOUT).await
    }

    /// All containers that live and all records kept of those that ended, oldest first.
    ///
    /// # Errors
    /// As [`HostClient::closed`] and the contract allow.
    pub async fn list(&self) -> Result<Vec<ContainerInfo>, HostError> {
        self.call_json("List", &()).await
    }

    /// The last lines a container wrote, oldest first.
    ///
    /// # Errors
    /// [`HostError::NotFound`] if there is no such container.
    pub async fn logs(&self, id: &str, tail: u32) -> Result<Vec<LogLine>, HostError> {
        check_id(id)?;
        check_tail(tail)?;
        self.call_json("Logs", &(id, tail)).await
    }

    /// What the machine is.
    ///
    /// # Errors
    /// As [`HostClient::closed`] and the contract allow.
    pub async fn facts(&self) -> Result<NodeFacts, HostError> {
        self.call_json("Facts", &()).await
    }

    /// What the probes measure, as of now.
    ///
    /// # Errors
    /// As [`HostClient::closed`] and the contract allow.
    pub async fn measurements(&self) -> Result<Measurements, HostError> {
        self.call_json("Measurements", &()).await
    }

    /// r1-hostd's metrics in the classic Prometheus text format.
    ///
    /// # Errors
    /// As [`HostClient::closed`] and the contract allow.
    pub async fn metrics(&self) -> Result<String, HostError> {
        self.call("Metrics", &(), CALL_TIMEOUT).await
    }

    /// Version of r1-hostd.
    ///
    /// # Errors
    /// As [`HostClient::closed`] and the contract allow.
    pub async fn version(&self) -> Result<String, HostError> {
        self.call("Version", &(), CALL_TIMEOUT).await
    }

    async fn call_json<B, T>(&self, method: &'static str, body: &B) -> Result<T, HostError>
    where
        B: Serialize + DynamicType,
        T: DeserializeOwned,
    {
        let json: String = self.call(method, body, CALL_TIMEOUT).await?;
        serde_json::from_str(&json).map_err(|error| HostError::contract(method, error))
    }

    async fn call<B, T>(&self, method: &'static str, body: &B, limit: Duration) -> Result<T, HostError>
    where
        B: Serialize + DynamicType,
        T: DeserializeOwned + zbus::zvariant::Type,
    {
        let call = self
            .connection
            .call_method(None::<&str>, OBJECT_PATH, Some(INTERFACE), method, body);
        let reply = timeout(limit, call).await.map_err(|_| HostError::Timeout {
            message: format!("{method}: r1-hostd did not answer within {limit:?}"),
        })?;
        let reply = reply.map_err(|error| HostError::of_call(method, error))?;
        reply
            .body()
            .deserialize::<T>()
            .map_err(|error| HostError::contract(method, error))
    }
}

/// A socket's address holds 107 bytes; the folder's path may be longer, that of its descriptor is not.
async fn open(path: &Path) -> std::io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path).await;
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let folder = File::open(folder)?;
    UnixStream::connect(
        Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(name),
    )
    .await
}

/// Takes signals off the connection at once, since an unread one would hold up all replies behind it.
async fn forward(mut signals: MessageStream, events: broadcast::Sender<HostEvent>) {
    while let Some(Ok(message)) = signals.next().await {
        match event_of(&message) {
            // Without a reader there is nobody to tell.
            Ok(Some(event)) => drop(events.send(event)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "signal of r1-hostd is not understood"),
        }
    }
}

fn event_of(message: &Message) -> Result<Option<HostEvent>, HostError> {
    let header = message.header();
    if header.interface().is_none_or(|name| name.as_str() != INTERFACE) {
        return Ok(None);
    }
    let body = message.body();
    let json = |member: &str| {
        body.deserialize::<&str>()
            .map_err(|error| HostError::contract(member, error))
    };
    match header.member().map(|name| name.as_str()) {
        Some("Exited") => Ok(Some(HostEvent::Exited(parse("Exited", json("Exited")?)?))),
        Some("Gap") => Ok(Some(HostEvent::Gap(parse("Gap", json("Gap")?)?))),
        _ => Ok(None),
    }
}

fn parse<T: DeserializeOwned>(member: &str, json: &str) -> Result<T, HostError> {
    serde_json::from_str(json).map_err(|error| HostError::contract(member, error))
}
