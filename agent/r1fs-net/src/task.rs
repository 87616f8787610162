//! The task that owns the swarm and carries out what the pure parts decide.

mod commands;
mod events;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use libp2p::{
    PeerId, Swarm,
    kad::QueryId,
    request_response::OutboundRequestId,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};
use r1_r1fs::Cid;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use crate::{
    Blocks, NetError,
    client::{self, Client, SessionId},
    config::{COMMAND_QUEUE, Config, EVENT_QUEUE, Limits, MAX_PENDING_REPLIES},
    error::FetchError,
    handle::{Answer, Command, Event, Handle, State, protocols},
    message::{Digest, Message},
    metrics::Metrics,
    server::{self, Reading, Server},
    session::{SessionCommand, Waiter},
    swarm::{Node, swarm},
};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// Most wantlist entries that are sent in one message.
const ENTRIES: usize = 512;
/// Commands of sessions that are taken at a time: their wants travel together.
const BATCH: usize = 256;

/// Starts the network: one task that owns the swarm. Must be called inside a tokio runtime. Returns a handle to ask it
/// for something, and what it has to tell; the task ends with [`Handle::shutdown`] or when the last handle is dropped.
///
/// # Errors
/// [`NetError`] for a setting out of range, a bad secret, or an address that cannot be listened on.
pub fn spawn(
    config: Config,
    blocks: Arc<dyn Blocks>,
    metrics: Metrics,
) -> Result<(Handle, mpsc::Receiver<Event>), NetError> {
    config.validate()?;
    let swarm = swarm(&config)?;
    let local = *swarm.local_peer_id();
    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (wants, want_queue) = mpsc::unbounded_channel();
    let (events, event_queue) = mpsc::channel(EVENT_QUEUE);
    let (state, watcher) = watch::channel(State::default());
    let (readings, reading_queue) = mpsc::unbounded_channel();
    let handle = Handle {
        commands: commands.clone(),
        wants,
        state: watcher,
        local,
        protocols: protocols(&config),
        sessions: Handle::sessions(),
        next_session: Arc::new(AtomicU64::new(0)),
        window: config.limits.window,
    };
    let task = Task {
        swarm,
        client: Client::new(config.times.block),
        server: Server::new(config.limits.server),
        blocks,
        metrics,
        limits: config.limits,
        events,
        commands: commands.downgrade(),
        state,
        readings,
        waiters: HashMap::new(),
        requests: HashMap::new(),
        records: HashMap::new(),
        connects: HashMap::new(),
        replies: Arc::new(Semaphore::new(MAX_PENDING_REPLIES)),
    };
    drop(commands);
    tokio::spawn(task.run(command_queue, want_queue, reading_queue));
    Ok((handle, event_queue))
}

/// Who waits for a block of a session.
struct Waiters {
    cid: Cid,
    list: Vec<(u64, Waiter)>,
}

/// A question to the table of providers.
enum Record {
    Provide {
        reply: Answer<()>,
    },
    Find {
        found: Vec<PeerId>,
        reply: Answer<Vec<PeerId>>,
    },
}

struct Task {
    swarm: Swarm<Node>,
    client: Client,
    server: Server,
    blocks: Arc<dyn Blocks>,
    metrics: Metrics,
    limits: Limits,
    events: mpsc::Sender<Event>,
    commands: mpsc::WeakSender<Command>,
    state: watch::Sender<State>,
    readings: mpsc::UnboundedSender<(PeerId, Reading)>,
    waiters: HashMap<(SessionId, Digest), Waiters>,
    requests: HashMap<OutboundRequestId, (PeerId, Answer<Vec<u8>>)>,
    records: HashMap<QueryId, Record>,
    connects: HashMap<ConnectionId, (libp2p::Multiaddr, Answer<PeerId>)>,
    replies: Arc<Semaphore>,
}

impl Task {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut wants: mpsc::UnboundedReceiver<SessionCommand>,
        mut readings: mpsc::UnboundedReceiver<(PeerId, Reading)>,
    ) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.swarm_event(event),
                command = commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.command(command),
                },
                count = wants.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    for command in batch.drain(..) {
                        self.session_command(command);
                    }
                }
                Some((peer, reading)) = readings.recv() => {
                    self.serve(server::Input::Read { peer, reading });
                }
                _ = tick.tick() => self.tick(),
            }
            self.flush();
        }
    }

    fn tick(&mut self) {
        self.serve(server::Input::Tick);
        self.client.handle(Instant::now(), client::Input::Tick);
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.wanted.set(count(self.client.waiting()));
        self.metrics.wants_waiting.set(count(self.server.waiting()));
    }

    /// Tells the serving side something and does what follows.
    fn serve(&mut self, input: server::Input) {
        for effect in self.server.handle(Instant::now(), input) {
            match effect {
                server::Effect::Read { peer, wants, budget } => {
                    let (blocks, readings) = (self.blocks.clone(), self.readings.clone());
                    tokio::task::spawn_blocking(move || {
                        let reading = server::read(&*blocks, wants, budget);
                        let _ = readings.send((peer, reading));
                    });
                }
                server::Effect::Send { peer, message, cost } => {
                    self.metrics.sent_blocks.inc_by(message.blocks.len() as u64);
                    self.metrics.sent_bytes.inc_by(message.block_bytes() as u64);
                    self.swarm.behaviour_mut().bitswap.send(peer, &message, cost);
                }
                server::Effect::Refused(count) => {
                    self.metrics.wants_refused.inc_by(count as u64);
                }
            }
        }
    }

    /// Does what the asking side has decided.
    fn flush(&mut self) {
        for effect in self.client.flush() {
            match effect {
                client::Effect::Ask { peer, entries } => {
                    for entries in entries.chunks(ENTRIES) {
                        let message = Message {
                            entries: entries.to_vec(),
                            ..Message::default()
                        };
                        self.swarm.behaviour_mut().bitswap.send(peer, &message, 0);
                    }
                }
                client::Effect::Dial(peer) => self.dial(peer),
                client::Effect::Got {
                    session,
                    digest,
                    data,
                } => self.answer(session, digest, |_| Ok(data.clone())),
                client::Effect::Missing {
                    session,
                    digest,
                    asked,
                } => {
                    let missing = |cid| FetchError::Missing {
                        cid,
                        asked: asked.clone(),
                    };
                    self.answer(session, digest, |cid| Err(missing(cid)));
                }
                client::Effect::Expecting { peer, count } => {
                    self.swarm.behaviour_mut().bitswap.expect(&peer, count);
                }
                client::Effect::Unwanted { unasked, wrong } => {
                    self.metrics.unasked_blocks.inc_by(unasked as u64);
                    self.metrics.wrong_blocks.inc_by(wrong as u64);
                }
            }
        }
    }

    fn answer(
        &mut self,
        session: SessionId,
        digest: Digest,
        result: impl Fn(Cid) -> Result<bytes::Bytes, FetchError>,
    ) {
        if let Some(waiters) = self.waiters.remove(&(session, digest)) {
            for (_, reply) in waiters.list {
                let _ = reply.send(result(waiters.cid));
            }
        }
    }

    fn dial(&mut self, peer: PeerId) {
        let now = Instant::now();
        match self.swarm.dial(DialOpts::peer_id(peer).build()) {
            // Under way already: how it ends will be told. Or connected.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {
                if self.swarm.behaviour().bitswap.is_connected(&peer) {
                    self.client.handle(now, client::Input::Connected(peer));
                }
            }
            Err(_) => self.client.handle(now, client::Input::Unreachable(peer)),
        }
    }
}
