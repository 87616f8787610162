//! The one task that owns the swarm.

mod connections;
mod messages;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    gossipsub::MessageId,
    request_response::{OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, SwarmEvent},
};
use r1_core::NodeAddress;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

use crate::{
    Acceptance, Event, Handle, NetError, State,
    behaviour::{self, Behaviour, BehaviourEvent},
    bootstrap::Bootstrap,
    config::{COMMAND_QUEUE, Config, EVENT_QUEUE},
    gossip::{self, Topics},
    handle::Command,
    metrics::Metrics,
    peer::peer_id,
    rate::Buckets,
    request::{Protocols, Response},
};

/// How often the task looks for work that no event announces: dials, forgotten buckets, silent connections.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// A connected peer.
struct Peer {
    /// `None` if its key is not secp256k1; such a peer is on its way out.
    address: Option<NodeAddress>,
    connections: usize,
    /// When its first connection was established.
    since: Instant,
    /// True once it has said that it belongs to this network.
    member: bool,
    /// The address at which this node dialled it.
    dialled: Option<Multiaddr>,
    /// True if it is on this machine, by its connection's address.
    local: bool,
    /// Where it says it listens; the first [`crate::MAX_ADDRESSES_PER_PEER`] are remembered.
    listens: Vec<Multiaddr>,
}

/// An own request that waits for its answer.
struct Asked {
    peer: NodeAddress,
    protocol: String,
    done: oneshot::Sender<Result<Vec<u8>, NetError>>,
}

/// A judged gossip message. `None`: the application dropped the verdict or was late.
struct Judged {
    id: MessageId,
    from: PeerId,
    topic: String,
    acceptance: Option<Acceptance>,
}

/// An answered request.
struct Answered {
    protocol: String,
    channel: ResponseChannel<Response>,
    response: Response,
}

/// A bootstrap name that was looked up.
struct Resolved {
    index: usize,
    peer: Option<PeerId>,
    addresses: std::io::Result<Vec<Multiaddr>>,
}

/// The network task. The swarm is dropped before the command queue, so that a closed queue means closed sockets.
struct Task {
    swarm: Swarm<Behaviour>,
    config: Arc<Config>,
    topics: Topics,
    protocols: Protocols,
    metrics: Metrics,
    bootstrap: Bootstrap,
    /// Dials of bootstrap addresses, by connection.
    dials: HashMap<ConnectionId, usize>,
    peers: HashMap<PeerId, Peer>,
    /// Members that the application has been told of.
    announced: HashSet<PeerId>,
    /// Peers whose membership changed since; bounded by the connection limits, each peer at most once.
    changed: VecDeque<PeerId>,
    asked: HashMap<OutboundRequestId, Asked>,
    verdicts: FuturesUnordered<BoxFuture<'static, Judged>>,
    replies: FuturesUnordered<BoxFuture<'static, Answered>>,
    neighbours: Buckets<PeerId>,
    authors: Buckets<NodeAddress>,
    requesters: Buckets<PeerId>,
    /// Bootstrap names being resolved.
    lookups: FuturesUnordered<BoxFuture<'static, Resolved>>,
    /// Banned peers and when they may come back, oldest first.
    bans: VecDeque<(PeerId, Instant)>,
    /// Recent rate-limit hits of neighbours; they lower the score.
    penalties: HashMap<PeerId, f64>,
    events: mpsc::Sender<Event>,
    state: watch::Sender<State>,
    commands: mpsc::Receiver<Command>,
}

/// Starts the network: listens, dials the bootstrap peers and returns at once.
///
/// The task ends with [`Handle::shutdown`], or when the event receiver or all handles are dropped. Must be called inside
/// a tokio runtime.
///
/// # Errors
/// [`NetError::Setting`], [`NetError::Secret`] or [`NetError::Listen`]; then nothing runs.
pub fn spawn(config: Config, metrics: Metrics) -> Result<(Handle, mpsc::Receiver<Event>), NetError> {
    config.validate()?;
    let topics = gossip::topics(&config);
    let protocols: Protocols = Arc::new(
        config
            .protocols
            .iter()
            .map(|limits| (limits.name.clone(), limits.clone()))
            .collect(),
    );
    let swarm = behaviour::swarm(&config, &topics, &protocols, &metrics)?;
    metrics.prepare(&config);
    let config = Arc::new(config);
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (events, event_receiver) = mpsc::channel(EVENT_QUEUE);
    let (state, state_receiver) = watch::channel(State::default());
    let now = Instant::now();
    let own = *swarm.local_peer_id();
    let task = Task {
        bootstrap: Bootstrap::new(
            &config.bootstrap,
            own,
            config.times.clone(),
            config.enough_peers,
            now,
        ),
        neighbours: Buckets::new(config.limits.gossip_per_neighbour),
        authors: Buckets::new(config.limits.gossip_per_author),
        requesters: Buckets::new(config.limits.requests_per_peer),
        swarm,
        topics,
        protocols,
        metrics,
        dials: HashMap::new(),
        peers: HashMap::new(),
        announced: HashSet::new(),
        changed: VecDeque::new(),
        asked: HashMap::new(),
        verdicts: FuturesUnordered::new(),
        replies: FuturesUnordered::new(),
        lookups: FuturesUnordered::new(),
        bans: VecDeque::new(),
        penalties: HashMap::new(),
        events,
        state,
        commands,
        config: config.clone(),
    };
    tokio::spawn(task.run());
    Ok((
        Handle::new(command_sender, state_receiver, config),
        event_receiver,
    ))
}

impl Task {
    async fn run(mut self) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = self.events.clone();
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown) | None => break,
                    Some(command) => self.on_command(command),
                },
                Some(judged) = self.verdicts.next() => self.on_judged(judged),
                Some(answered) = self.replies.next() => self.on_answered(answered),
                permit = events.reserve(), if !self.changed.is_empty() => match permit {
                    Ok(permit) => self.announce(permit),
                    Err(_) => break,
                },
                Some(resolved) = self.lookups.next() => self.on_resolved(resolved),
                () = events.closed() => break,
                _ = housekeeping.tick() => self.housekeep(),
            }
        }
        tracing::debug!(network = %self.config.network, "network task ends");
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Request(event)) => self.on_request(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(_) => {}
            other => self.on_connection(other),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, data, done } => {
                let _ = done.send(self.publish(&topic, data));
            }
            Command::Request {
                peer,
                protocol,
                body,
                done,
            } => self.ask(Asked { peer, protocol, done }, body),
            Command::Dial { address, done } => {
                let _ = done.send(self.dial(address));
            }
            Command::Score { peer, done } => {
                let _ = done.send(self.swarm.behaviour().gossip.peer_score(&peer));
            }
            Command::Shutdown => {}
        }
    }

    /// Tells the application of the peer whose membership changed first.
    fn announce(&mut self, permit: mpsc::Permit<'_, Event>) {
        let Some(peer) = self.changed.pop_front() else {
            return;
        };
        let Some(address) = crate::node_address(&peer) else {
            return;
        };
        let member = self.is_member(&peer);
        if member && self.announced.insert(peer) {
            permit.send(Event::PeerConnected(address));
        } else if !member && self.announced.remove(&peer) {
            permit.send(Event::PeerDisconnected(address));
        }
    }

    /// A peer became a member or ceased to be one.
    fn membership_changed(&mut self, peer: PeerId) {
        if !self.changed.contains(&peer) {
            self.changed.push_back(peer);
        }
        let mut members: Vec<_> = self
            .peers
            .values()
            .filter(|peer| peer.member)
            .filter_map(|peer| peer.address)
            .collect();
        members.sort_unstable();
        self.metrics
            .peers
            .set(i64::try_from(members.len()).unwrap_or(i64::MAX));
        self.state.send_modify(|state| state.peers = members);
    }

    fn is_member(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.member)
    }

    fn members(&self) -> usize {
        self.peers.values().filter(|peer| peer.member).count()
    }

    fn housekeep(&mut self) {
        let now = Instant::now();
        self.drop_silent_peers(now);
        self.dial_bootstrap(now);
        self.forgive();
        self.ban_the_worst(now);
        self.end_bans(now);
        self.neighbours.sweep(now);
        self.authors.sweep(now);
        self.requesters.sweep(now);
    }

    fn own_address(&self) -> Option<NodeAddress> {
        crate::node_address(self.swarm.local_peer_id())
    }
}

/// The peer id of a request's addressee.
fn addressee(asked: &Asked) -> PeerId {
    peer_id(&asked.peer)
}
