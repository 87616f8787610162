//! Does what the keeper of copies decides: asks members, answers them, fetches and lets go.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use r1_core::NodeAddress;
use r1_identity::NodeKey;
use r1_net::{node_address, peer_id};
use r1_r1fs::{
    Cid,
    api::FilesError,
    car,
    durability::{
        Answer, Effect, Figures, Input, Keeper, Member, Record, Request, Safety, Scheme, Tombstone,
        message::MAX_INLINE_OBJECT,
    },
    exchange::Session,
    fetch::{self, FetchError},
    files::{Copies, Replicas},
    store::{Pin, PinChange, RecordChange, Store, StoreError},
};
use r1_r1fs_net::{Handle, Reply};
use tokio::{sync::oneshot, time::interval};

use super::exchange::asking;
use crate::clock::now_ms;

/// Label of the pins that keep copies for the network.
const LABEL: &str = "replica";
/// Keys of records in the store.
const RECORD: &[u8] = b"record/";
/// Keys of tombstones in the store.
const TOMBSTONE: &[u8] = b"tombstone/";
/// Between two ticks of the keeper.
const TICK: Duration = Duration::from_secs(1);
/// Changes that are written with one sync.
const WRITTEN_TOGETHER: usize = 1024;
/// Blocks between two words on how far a fetch is.
const PROGRESS: u64 = 64;

type Waiting = oneshot::Sender<Result<Copies, FilesError>>;

/// The keeper and those who wait for it.
pub struct Copier {
    keeper: Mutex<Keeper>,
    store: Store,
    net: Handle,
    key: Arc<NodeKey>,
    factor: u8,
    limits: fetch::Limits,
    itself: Weak<Self>,
    adds: Mutex<HashMap<Cid, Vec<Waiting>>>,
    replies: Mutex<HashMap<u64, Reply>>,
    next_token: AtomicU64,
    /// Changes that are not durable yet, in their order: a full disk delays them and loses none.
    unwritten: Mutex<VecDeque<StoreChange>>,
    /// Held by who writes them.
    writing: Mutex<()>,
}

type StoreChange = (Vec<PinChange>, Vec<RecordChange>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record_key(root: &Cid) -> Vec<u8> {
    [RECORD, &root.to_bytes()].concat()
}

fn tombstone_key(tombstone: &Tombstone) -> Vec<u8> {
    [
        TOMBSTONE,
        &tombstone.root.to_bytes(),
        tombstone.owner.as_compressed(),
    ]
    .concat()
}

fn value<T: serde::Serialize>(it: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(it).ok()
}

fn replica_pin(record: &Record) -> PinChange {
    PinChange {
        root: record.root,
        label: LABEL.into(),
        pin: Some(Pin {
            created_ms: record.created_ms,
            expires_ms: record.expires_ms,
        }),
    }
}

fn keep(record: &Record) -> (Vec<PinChange>, Vec<RecordChange>) {
    (
        vec![replica_pin(record)],
        vec![(record_key(&record.root), value(record))],
    )
}

fn copies(safety: Safety) -> Copies {
    Copies {
        replicas: safety.copies,
        operators: safety.operators,
        wanted: safety.wanted,
    }
}

/// What a copier stands on.
pub(super) struct Parts {
    pub(super) keeper: Keeper,
    pub(super) store: Store,
    pub(super) net: Handle,
    pub(super) key: Arc<NodeKey>,
    pub(super) factor: u8,
    pub(super) limits: fetch::Limits,
}

impl Copier {
    /// A copier that knows what the store holds.
    pub(super) fn open(parts: Parts) -> Result<Arc<Self>, StoreError> {
        let copier = Arc::new_cyclic(|itself| Self {
            keeper: Mutex::new(parts.keeper),
            store: parts.store,
            net: parts.net,
            key: parts.key,
            factor: parts.factor,
            limits: parts.limits,
            itself: itself.clone(),
            adds: Mutex::default(),
            replies: Mutex::default(),
            next_token: AtomicU64::new(0),
            unwritten: Mutex::default(),
            writing: Mutex::default(),
        });
        copier.restore()?;
        Ok(copier)
    }

    /// Tells the keeper what is here. What was pinned without a record, as by a crash in the middle of an add, gets one.
    fn restore(&self) -> Result<(), StoreError> {
        for (_, bytes) in self.store.records(TOMBSTONE)? {
            if let Ok(tombstone) = postcard::from_bytes(&bytes) {
                self.drive(Input::Remembered(tombstone));
            }
        }
        let mut after = None;
        loop {
            let page = self.store.pins(after.as_ref(), 1024)?;
            for pinned in page.iter().filter(|pinned| pinned.label != LABEL) {
                if self.store.record(&record_key(&pinned.root))?.is_none() {
                    let size = self.store.size(&pinned.root)?.unwrap_or_default() as u64;
                    let record = self.new_record(&pinned.root, size);
                    let (pins, records) = keep(&record);
                    self.store.change(pins, records)?;
                }
            }
            match page.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        for (_, bytes) in self.store.records(RECORD)? {
            let Ok(record) = postcard::from_bytes::<Record>(&bytes) else {
                continue;
            };
            let pins = self.store.pins_of(&record.root)?;
            if pins.iter().any(|pinned| pinned.label == LABEL) {
                let pinned = pins.iter().any(|pinned| pinned.label != LABEL);
                self.provide(record.root);
                self.drive(Input::Held {
                    record,
                    piece: None,
                    pinned,
                });
            }
        }
        Ok(())
    }

    fn new_record(&self, root: &Cid, size: u64) -> Record {
        Record {
            root: *root,
            size,
            scheme: Scheme::Copies { factor: self.factor },
            owner: self.key.address(),
            created_ms: locked(&self.keeper).creation_ms(root, now_ms()),
            expires_ms: None,
        }
    }

    /// Figures of the keeper.
    pub fn figures(&self) -> Figures {
        locked(&self.keeper).figures()
    }

    /// A member was heard of.
    pub fn seen(&self, member: Member) {
        self.drive(Input::MemberSeen(member));
    }

    /// Takes a request of a member.
    pub fn asked(&self, request: r1_r1fs_net::Request) {
        let Some(from) = node_address(&request.peer) else {
            return;
        };
        let decoded = match Request::decode(&request.body) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::debug!(%from, %error, "a request about copies is refused");
                return;
            }
        };
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        locked(&self.replies).insert(token, request.reply);
        self.drive(Input::Asked {
            token,
            from,
            request: decoded,
        });
    }

    /// Lets the keeper look at the clock, for ever.
    pub async fn tick(self: Arc<Self>) {
        let mut next = interval(TICK);
        loop {
            next.tick().await;
            self.drive(Input::Room(self.store.usage().free));
            self.drive(Input::Tick);
            if !locked(&self.unwritten).is_empty() {
                let copier = Arc::clone(&self);
                tokio::task::spawn_blocking(move || copier.write_waiting());
            }
        }
    }

    /// Tells the table of providers that this node has an object, so that strangers find it.
    fn provide(&self, root: Cid) {
        let net = self.net.clone();
        tokio::spawn(async move {
            if let Err(error) = net.provide(root).await {
                tracing::debug!(%root, %error, "not told to the table of providers");
            }
        });
    }

    /// Gives the keeper an input and does what it says.
    fn drive(&self, input: Input) {
        let effects = locked(&self.keeper).handle(now_ms(), input);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&self, effect: Effect) {
        let Some(copier) = self.itself.upgrade() else {
            return;
        };
        match effect {
            Effect::Ask {
                id,
                node,
                request,
                inline,
            } => {
                tokio::spawn(async move { copier.ask(id, node, request, inline).await });
            }
            Effect::Reply { token, answer } => {
                let reply = locked(&self.replies).remove(&token);
                if let (Some(reply), Ok(bytes)) = (reply, answer.encode()) {
                    tokio::spawn(async move {
                        let _ = reply.send(bytes).await;
                    });
                }
            }
            Effect::Fetch {
                record,
                piece,
                from,
                car,
            } => {
                tokio::spawn(async move { copier.fetch(record, piece, from, car).await });
            }
            Effect::Acknowledge { root, safety } => self.answer_adds(&root, &|| Ok(copies(safety))),
            Effect::GiveUp { root, safety, reason } => self.answer_adds(&root, &|| {
                Err(FilesError::Replicas {
                    cid: root.to_string(),
                    replicas: safety.copies,
                    wanted: safety.wanted,
                    reason: reason.clone(),
                })
            }),
            Effect::Drop { root, .. } => {
                let net = self.net.clone();
                tokio::spawn(async move {
                    let _ = net.stop_providing(root).await;
                });
                let pin = PinChange {
                    root,
                    label: LABEL.into(),
                    pin: None,
                };
                copier.write(vec![pin], vec![(record_key(&root), None)]);
            }
            Effect::PersistRecord(record) => {
                copier.write(vec![], vec![(record_key(&record.root), value(&record))])
            }
            Effect::PersistTombstone(tombstone) => {
                copier.write(vec![], vec![(tombstone_key(&tombstone), value(&tombstone))]);
            }
            Effect::ForgetTombstone(tombstone) => {
                copier.write(vec![], vec![(tombstone_key(&tombstone), None)])
            }
        }
    }

    fn answer_adds(&self, root: &Cid, result: &dyn Fn() -> Result<Copies, FilesError>) {
        for waiting in locked(&self.adds).remove(root).unwrap_or_default() {
            let _ = waiting.send(result());
        }
    }

    /// Writes off the runtime.
    fn write(self: Arc<Self>, pins: Vec<PinChange>, records: Vec<RecordChange>) {
        locked(&self.unwritten).push_back((pins, records));
        tokio::task::spawn_blocking(move || self.write_waiting());
    }

    /// Writes what waits, many changes with one sync. What fails stays and is tried again with the next tick.
    fn write_waiting(&self) {
        let _writing = locked(&self.writing);
        loop {
            let (mut pins, mut records) = (Vec::new(), Vec::new());
            let taken: Vec<StoreChange> = {
                let mut unwritten = locked(&self.unwritten);
                let count = unwritten.len().min(WRITTEN_TOGETHER);
                unwritten.drain(..count).collect()
            };
            if taken.is_empty() {
                return;
            }
            for change in &taken {
                pins.extend_from_slice(&change.0);
                records.extend_from_slice(&change.1);
            }
            if let Err(error) = self.store.change(pins, records) {
                tracing::warn!(changes = taken.len(), %error, "changes of copies are not durable yet");
                let mut unwritten = locked(&self.unwritten);
                for change in taken.into_iter().rev() {
                    unwritten.push_front(change);
                }
                return;
            }
        }
    }

    async fn ask(self: Arc<Self>, id: u64, node: NodeAddress, mut request: Request, inline: bool) {
        if let (true, Request::Store { record, car, .. }) = (inline, &mut request) {
            let (store, root) = (self.store.clone(), record.root);
            let packed = tokio::task::spawn_blocking(move || pack(&store, &root)).await;
            *car = packed.ok().flatten();
        }
        let sent = match request.encode() {
            Ok(bytes) => self
                .net
                .request(peer_id(&node), bytes)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let answer = sent.and_then(|bytes| Answer::decode(&bytes).map_err(|error| error.to_string()));
        self.drive(match answer {
            Ok(answer) => Input::Answer { id, answer },
            Err(reason) => Input::Failed { id, reason },
        });
    }

    async fn fetch(
        self: Arc<Self>,
        record: Record,
        piece: Option<u8>,
        from: Vec<NodeAddress>,
        car: Option<Bytes>,
    ) {
        let root = record.root;
        let fetched = self.bring(&record, piece, &from, car).await;
        self.drive(match fetched {
            Ok(()) => {
                self.provide(root);
                let pinned = self.is_pinned(&root);
                Input::Held {
                    record,
                    piece,
                    pinned,
                }
            }
            Err((reason, full)) => Input::FetchFailed {
                root,
                piece,
                reason,
                full,
            },
        });
    }

    fn is_pinned(&self, root: &Cid) -> bool {
        let pins = self.store.pins_of(root).unwrap_or_default();
        pins.iter().any(|pinned| pinned.label != LABEL)
    }

    async fn bring(
        &self,
        record: &Record,
        piece: Option<u8>,
        from: &[NodeAddress],
        car: Option<Bytes>,
    ) -> Result<(), (String, bool)> {
        if piece.is_some() {
            return Err(("this node keeps whole copies only".into(), false));
        }
        if let Some(car) = car {
            let store = self.store.clone();
            let unpacked = tokio::task::spawn_blocking(move || unpack(&store, &car)).await;
            unpacked
                .map_err(|error| (error.to_string(), false))?
                .map_err(|error| reason(&error))?;
        }
        let peers = from
            .iter()
            .filter(|node| **node != self.key.address())
            .map(peer_id)
            .collect();
        let session: Arc<dyn Session> = asking(&self.net, peers, &record.root).await;
        let (pins, records) = keep(record);
        let (root, mut said) = (record.root, 0);
        let progress = |fetched: &fetch::Fetched| {
            if fetched.blocks >= said + PROGRESS {
                said = fetched.blocks;
                let bytes_here = fetched.bytes;
                self.drive(Input::FetchProgress {
                    root,
                    piece,
                    bytes_here,
                });
            }
        };
        let fetched = fetch::fetch(&self.store, &session, &root, self.limits, pins, records, progress).await;
        fetched.map(drop).map_err(|error| match error {
            FetchError::Store(error) => reason(&error),
            error => (error.to_string(), false),
        })
    }
}

/// Why a share was not stored, and whether for want of room.
fn reason(error: &StoreError) -> (String, bool) {
    let full = matches!(
        error,
        StoreError::Quota { .. } | StoreError::DiskFull { .. } | StoreError::IndexFull { .. }
    );
    (error.to_string(), full)
}

/// The blocks of a small object as an archive; `None` if it is not small or not whole.
fn pack(store: &Store, root: &Cid) -> Option<Bytes> {
    let mut out = BytesMut::from(&car::header(&[*root])[..]);
    let (mut waiting, mut seen, mut bytes) = (vec![*root], std::collections::HashSet::from([*root]), 0);
    while let Some(cid) = waiting.pop() {
        let data = store.get(&cid).ok()??;
        bytes += data.len() as u64;
        if bytes > MAX_INLINE_OBJECT {
            return None;
        }
        waiting.extend(
            store
                .links(&cid, &data)
                .into_iter()
                .filter(|link| seen.insert(*link)),
        );
        out.extend_from_slice(&car::section(&cid, data.len()));
        out.extend_from_slice(&data);
    }
    Some(out.freeze())
}

/// Stores the blocks of an archive that came along with a request. Blocks before a lie in it stay for the grace period.
fn unpack(store: &Store, archive: &[u8]) -> Result<(), StoreError> {
    let mut decoder = car::Decoder::default();
    decoder.feed(archive);
    let mut batch = store.batch();
    while let Ok(Some(block)) = decoder.next_block() {
        let links = store.links(&block.cid, &block.data);
        batch.put(&block, &links)?;
    }
    // The fetch that follows makes all of it durable, and asks for what was not in it.
    batch.commit(vec![], vec![])
}

#[async_trait]
impl Replicas for Copier {
    async fn added(&self, root: &Cid, bytes: u64) -> Result<Copies, FilesError> {
        let (store, name) = (self.store.clone(), *root);
        let known = tokio::task::spawn_blocking(move || store.record(&record_key(&name))).await;
        let known = known.map_err(|error| FilesError::Fault(error.to_string()))??;
        let known = known.and_then(|bytes| postcard::from_bytes::<Record>(&bytes).ok());
        let record = known.unwrap_or_else(|| self.new_record(root, bytes));
        let (store, (pins, records)) = (self.store.clone(), keep(&record));
        let changed = tokio::task::spawn_blocking(move || store.change(pins, records)).await;
        changed.map_err(|error| FilesError::Fault(error.to_string()))??;
        self.provide(*root);
        let (sender, receiver) = oneshot::channel();
        locked(&self.adds).entry(*root).or_default().push(sender);
        self.drive(Input::Added { record, pinned: true });
        receiver
            .await
            .map_err(|_| FilesError::Fault(format!("{root}: the node is stopping")))?
    }

    async fn released(&self, root: &Cid) -> Result<(), FilesError> {
        if self.is_pinned(root) {
            return Ok(());
        }
        let held = locked(&self.keeper)
            .holding(root)
            .map(|(record, _)| record.clone());
        match held {
            Some(record) if record.owner == self.key.address() => {
                let at_ms = now_ms().max(record.created_ms);
                self.drive(Input::Deleted(Tombstone::sign(&self.key, *root, at_ms)));
            }
            // Another node's object: this node no longer insists on its copy.
            Some(record) => self.drive(Input::Held {
                record,
                piece: None,
                pinned: false,
            }),
            None => {}
        }
        Ok(())
    }

    async fn copies(&self, root: &Cid) -> Copies {
        let keeper = locked(&self.keeper);
        keeper.safety(root).map_or(
            Copies {
                replicas: 0,
                operators: 0,
                wanted: u16::from(self.factor),
            },
            copies,
        )
    }
}
