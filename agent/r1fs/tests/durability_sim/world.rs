//! Nodes on virtual time: keepers, disks, and a network that loses, delays and parts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use r1_core::NodeAddress;
use r1_identity::NodeKey;
use r1_r1fs::{
    Cid,
    durability::{
        Answer, Cause, Config, Effect, Holding, Input, Keeper, Member, Record, Request, Scheme, Tombstone,
    },
};

/// Copies of an object that is kept whole.
pub const FACTOR: u8 = 3;
/// Pieces needed and pieces to spare of the others.
pub const DATA: u8 = 2;
pub const PARITY: u8 = 2;

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn keys() -> &'static [NodeKey] {
    static KEYS: OnceLock<Vec<NodeKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        (1..=30)
            .map(|index| NodeKey::from_secret_bytes(&[index; 32]).unwrap())
            .collect()
    })
}

/// What a disk keeps of an object.
#[derive(Clone)]
pub struct Stored {
    pub record: Record,
    pub holding: Holding,
    pub pinned: bool,
}

pub struct Node {
    pub member: Member,
    keeper: Option<Keeper>,
    pub disk: BTreeMap<Cid, Stored>,
    pub tombstones: BTreeMap<Cid, Tombstone>,
    capacity: u64,
    /// Counts starts: what was meant for an earlier life does not arrive.
    life: u64,
    /// Nodes of another side are not reached.
    pub side: u8,
}

impl Node {
    pub fn is_up(&self) -> bool {
        self.keeper.is_some()
    }

    pub fn free(&self) -> u64 {
        let used: u64 = self.disk.values().map(|stored| stored.record.share_bytes()).sum();
        self.capacity.saturating_sub(used)
    }

    pub fn holds(&self, root: &Cid) -> Holding {
        self.disk.get(root).map_or(Holding::NONE, |stored| stored.holding)
    }
}

enum Event {
    Tick,
    Request {
        from: usize,
        id: u64,
        request: Request,
        inline: bool,
    },
    Answer {
        id: u64,
        answer: Answer,
    },
    Fetched {
        record: Record,
        piece: Option<u8>,
        here: bool,
    },
}

/// An object that a client added.
#[derive(Default, Clone)]
pub struct Object {
    pub owner: usize,
    pub acknowledged: bool,
    pub deleted: bool,
    /// It had its full number of shares on as many nodes since the last period of faults began.
    pub safe: bool,
}

pub struct World {
    pub dice: Dice,
    pub now_ms: u64,
    pub nodes: Vec<Node>,
    pub objects: BTreeMap<Cid, Object>,
    pub index: BTreeMap<NodeAddress, usize>,
    /// Percent of messages that are lost.
    pub loss: u64,
    /// Percent of messages that take up to four seconds.
    pub slow: u64,
    /// Disks lost since all was whole.
    pub disks_lost: usize,
    pub stores: u64,
    pub questions: u64,
    pub gave_up: u64,
    config: Config,
    queue: BTreeMap<(u64, u64), (usize, u64, Event)>,
    count: u64,
    /// Questions whose answer is awaited: who asked, in which life, under which number.
    tokens: BTreeMap<u64, (usize, u64, u64)>,
    /// Requests that came with the blocks.
    inline: BTreeSet<(usize, Cid)>,
}

impl World {
    pub fn new(seed: u64, nodes: usize, operators: u64, config: Config) -> Self {
        let mut world = Self {
            dice: Dice(seed),
            now_ms: 1_000_000,
            nodes: Vec::new(),
            objects: BTreeMap::new(),
            index: BTreeMap::new(),
            loss: 0,
            slow: 3,
            disks_lost: 0,
            stores: 0,
            questions: 0,
            gave_up: 0,
            config,
            queue: BTreeMap::new(),
            count: 0,
            tokens: BTreeMap::new(),
            inline: BTreeSet::new(),
        };
        for index in 0..nodes {
            let member = Member {
                node: keys()[index].address(),
                operator: [u8::try_from(index as u64 % operators).unwrap(); 20],
                free: 0,
            };
            world.index.insert(member.node, index);
            world.nodes.push(Node {
                member,
                keeper: None,
                disk: BTreeMap::new(),
                tombstones: BTreeMap::new(),
                capacity: 1 << 34,
                life: 0,
                side: 0,
            });
        }
        for index in 0..nodes {
            world.start(index);
        }
        world
    }

    /// A disk that takes nothing more.
    pub fn fill(&mut self, index: usize) {
        self.nodes[index].capacity = 0;
    }

    pub fn empty_again(&mut self, index: usize) {
        self.nodes[index].capacity = 1 << 34;
    }

    pub fn start(&mut self, index: usize) {
        if self.nodes[index].is_up() {
            return;
        }
        let node = &mut self.nodes[index];
        node.life += 1;
        node.keeper = Some(Keeper::new(self.config, node.member.clone()));
        let mut inputs = vec![Input::Room(node.free())];
        inputs.extend(node.tombstones.values().cloned().map(Input::Remembered));
        for stored in node.disk.values() {
            let (record, pinned) = (&stored.record, stored.pinned);
            let shares = stored
                .holding
                .pieces()
                .map(Some)
                .chain(stored.holding.has(None).then_some(None));
            inputs.extend(shares.map(|piece| Input::Held {
                record: record.clone(),
                piece,
                pinned,
            }));
        }
        for input in inputs {
            self.give(index, input);
        }
        let phase = self.dice.below(1_000);
        self.later(phase, index, Event::Tick);
    }

    pub fn crash(&mut self, index: usize) {
        self.nodes[index].keeper = None;
    }

    pub fn lose_disk(&mut self, index: usize) {
        self.crash(index);
        self.nodes[index].disk.clear();
        self.nodes[index].tombstones.clear();
        self.disks_lost += 1;
        self.check_nothing_is_lost();
    }

    /// A client adds an object on a node.
    pub fn add(&mut self, owner: usize, root: Cid, erasure: bool, pinned: bool) {
        let scheme = if erasure {
            Scheme::Erasure {
                data: DATA,
                parity: PARITY,
                manifest: root,
            }
        } else {
            Scheme::Copies { factor: FACTOR }
        };
        let record = Record {
            root,
            size: 1_000 + self.dice.below(3 << 20),
            scheme,
            owner: self.nodes[owner].member.node,
            created_ms: self.now_ms,
            expires_ms: None,
        };
        let stored = Stored {
            record: record.clone(),
            holding: Holding::WHOLE,
            pinned,
        };
        self.nodes[owner].disk.insert(root, stored);
        self.objects.insert(
            root,
            Object {
                owner,
                ..Object::default()
            },
        );
        self.give(owner, Input::Added { record, pinned });
    }

    /// A client deletes an object on the node that added it.
    pub fn delete(&mut self, root: Cid) {
        let owner = self.objects[&root].owner;
        if !self.nodes[owner].is_up() {
            return;
        }
        let tombstone = Tombstone::sign(&keys()[owner], root, self.now_ms);
        self.objects.get_mut(&root).unwrap().deleted = true;
        self.nodes[owner].disk.remove(&root);
        self.give(owner, Input::Deleted(tombstone));
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end_ms {
                break;
            }
            let ((at_ms, _), (to, life, event)) = entry.remove_entry();
            self.now_ms = at_ms;
            if self.nodes[to].is_up() && self.nodes[to].life == life {
                self.happen(to, event);
            }
        }
        self.now_ms = end_ms;
    }

    fn later(&mut self, after_ms: u64, to: usize, event: Event) {
        self.count += 1;
        self.queue.insert(
            (self.now_ms + after_ms, self.count),
            (to, self.nodes[to].life, event),
        );
    }

    fn reach(&self, from: usize, to: usize) -> bool {
        self.nodes[to].is_up() && self.nodes[from].side == self.nodes[to].side
    }

    fn happen(&mut self, to: usize, event: Event) {
        match event {
            Event::Tick => {
                self.give(to, Input::Room(self.nodes[to].free()));
                if (self.now_ms / 1_000).is_multiple_of(3) {
                    self.announce(to);
                }
                self.give(to, Input::Tick);
                self.later(1_000, to, Event::Tick);
            }
            Event::Request {
                from,
                id,
                request,
                inline,
            } => {
                self.count += 1;
                let token = self.count;
                self.tokens.insert(token, (from, self.nodes[from].life, id));
                if let (true, Request::Store { record, .. }) = (inline, &request) {
                    self.inline.insert((to, record.root));
                }
                let bytes = request.encode().unwrap();
                let request = Request::decode(&bytes).unwrap();
                let from = self.nodes[from].member.node;
                self.give(to, Input::Asked { token, from, request });
            }
            Event::Answer { id, answer } => self.give(to, Input::Answer { id, answer }),
            Event::Fetched { record, piece, here } => self.fetched(to, record, piece, here),
        }
    }

    fn announce(&mut self, from: usize) {
        let mut member = self.nodes[from].member.clone();
        member.free = self.nodes[from].free();
        for to in 0..self.nodes.len() {
            if to != from && self.reach(from, to) && !self.dice.chance(self.loss) {
                self.give(to, Input::MemberSeen(member.clone()));
            }
        }
    }

    fn fetched(&mut self, to: usize, record: Record, piece: Option<u8>, here: bool) {
        let root = record.root;
        let reachable: Vec<_> = (0..self.nodes.len())
            .filter(|from| self.reach(to, *from))
            .collect();
        let all = reachable.iter().fold(Holding::NONE, |all, from| {
            all.with(self.nodes[*from].holds(&root))
        });
        let enough =
            all.has(None) || record.scheme.pieces().is_some() && all.pieces().count() >= usize::from(DATA);
        let full = self.nodes[to].free() < record.share_bytes() && self.nodes[to].holds(&root).is_empty();
        if full || !(here || enough) {
            let reason = if full { "disk is full" } else { "nobody has it" }.to_owned();
            return self.give(
                to,
                Input::FetchFailed {
                    root,
                    piece,
                    reason,
                    full,
                },
            );
        }
        let stored = self.nodes[to].disk.entry(root).or_insert_with(|| Stored {
            record: record.clone(),
            holding: Holding::NONE,
            pinned: false,
        });
        stored.holding = stored.holding.with(Holding::share(piece));
        let pinned = stored.pinned;
        self.give(
            to,
            Input::Held {
                record,
                piece,
                pinned,
            },
        );
    }

    fn give(&mut self, to: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(keeper) = self.nodes[to].keeper.as_mut() else {
            return;
        };
        for effect in keeper.handle(now_ms, input) {
            self.perform(to, effect);
        }
    }

    fn send(&mut self, from: usize, to: usize, event: Event) {
        let after_ms = 1
            + self.dice.below(60)
            + if self.dice.chance(self.slow) {
                self.dice.below(4_000)
            } else {
                0
            };
        if self.reach(from, to) && !self.dice.chance(self.loss) {
            self.later(after_ms, to, event);
        }
    }

    fn perform(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Ask {
                id,
                node,
                request,
                inline,
            } => {
                match request {
                    Request::Store { .. } => self.stores += 1,
                    _ => self.questions += 1,
                }
                let to = self.index[&node];
                self.send(
                    at,
                    to,
                    Event::Request {
                        from: at,
                        id,
                        request,
                        inline,
                    },
                );
            }
            Effect::Reply { token, answer } => {
                let (to, life, id) = self.tokens.remove(&token).unwrap();
                if self.nodes[to].life == life {
                    let answer = Answer::decode(&answer.encode().unwrap()).unwrap();
                    self.send(at, to, Event::Answer { id, answer });
                }
            }
            Effect::Fetch { record, piece, .. } => {
                let here = self.inline.remove(&(at, record.root));
                let after_ms = 5 + self.dice.below(if here { 50 } else { 3_000 });
                self.later(after_ms, at, Event::Fetched { record, piece, here });
            }
            Effect::Acknowledge { root, .. } => {
                let whole = self.is_whole(&root);
                let object = self.objects.get_mut(&root).unwrap();
                object.acknowledged = true;
                object.safe = whole;
            }
            Effect::GiveUp { reason, .. } => {
                assert!(!reason.is_empty());
                self.gave_up += 1;
            }
            Effect::Drop { root, shares, cause } => self.dropped(at, root, shares, cause),
            Effect::PersistRecord(record) => {
                if let Some(stored) = self.nodes[at].disk.get_mut(&record.root) {
                    stored.record = record;
                }
            }
            Effect::PersistTombstone(tombstone) => {
                self.nodes[at].tombstones.insert(tombstone.root, tombstone);
            }
            Effect::ForgetTombstone(tombstone) => {
                self.nodes[at].tombstones.remove(&tombstone.root);
            }
        }
    }

    fn dropped(&mut self, at: usize, root: Cid, shares: Holding, cause: Cause) {
        if let Some(stored) = self.nodes[at].disk.get_mut(&root) {
            stored.holding = stored.holding.without(shares);
            if stored.holding.is_empty() {
                self.nodes[at].disk.remove(&root);
            }
        }
        match cause {
            Cause::Deleted => assert!(self.objects[&root].deleted, "{root} was dropped and not deleted"),
            Cause::Expired => panic!("{root} has no end"),
            Cause::Surplus => {
                let left = self.shares(&root).len();
                let wanted = self.wanted(&root);
                assert!(
                    self.objects[&root].deleted || left + self.disks_lost >= wanted,
                    "{root}: dropped with {left} of {wanted} shares left"
                );
            }
        }
    }
}
