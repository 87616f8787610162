//! Copies of objects while nodes crash, lose disks, fill up and part: the same seed gives the same course.
//!
//! `R1_SEEDS=5000 cargo test -p r1-r1fs --test durability_sim` runs more seeds than the usual ones.

#![allow(clippy::unwrap_used, reason = "test")]

mod invariants;
mod world;

use std::collections::BTreeSet;

use r1_r1fs::{
    Cid,
    cid::{RAW, v1},
    durability::Config,
};
use world::World;

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;
/// Disks that may be lost before repair has run: one less than copies, and no more than pieces to spare.
const LOSSES: usize = 2;

/// Shorter times than the default ones, in proportion, so that more happens in a course.
fn config() -> Config {
    Config {
        ack_timeout_ms: 20_000,
        check_interval_ms: 15_000,
        recheck_ms: 4_000,
        member_timeout_ms: 10_000,
        ask_timeout_ms: 2_000,
        reply_wait_ms: 1_000,
        poll_ms: 500,
        promise_ms: 3_000,
        ..Config::default()
    }
}

struct Course {
    world: World,
    objects: u64,
    added: u64,
}

impl Course {
    fn new(seed: u64) -> Self {
        let mut dice = world::Dice(seed ^ 0xD1CE);
        let large = seed % 50 == 49;
        let nodes = if large {
            5
        } else {
            5 + dice.below(if seed % 20 == 19 { 26 } else { 8 })
        };
        let operators = if dice.chance(30) { 3 } else { nodes };
        let objects = if large { 1_000 } else { 20 + dice.below(30) };
        let nodes = usize::try_from(nodes).unwrap();
        let mut world = World::new(seed, nodes, operators, config());
        world.run(8_000);
        Self {
            world,
            objects,
            added: 0,
        }
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.world.dice.below(self.world.nodes.len() as u64)).unwrap()
    }

    /// Adds some objects and deletes some.
    fn clients(&mut self, share: u64) {
        for _ in 0..self.objects.div_ceil(share) {
            let node = self.node();
            if !self.world.nodes[node].is_up() || self.world.nodes[node].free() < 8 << 20 {
                continue;
            }
            self.added += 1;
            let root = v1(RAW, &self.added.to_be_bytes());
            let erasure = self.world.nodes.len() >= 6 && self.world.dice.chance(20);
            let pinned = self.world.dice.chance(60);
            self.world.add(node, root, erasure, pinned);
        }
        if self.world.dice.chance(30) {
            let nth = self.world.dice.below(self.world.objects.len() as u64);
            let root = self
                .world
                .objects
                .keys()
                .nth(usize::try_from(nth).unwrap())
                .copied();
            if let Some(root) = root.filter(|root| !self.world.objects[root].deleted) {
                self.world.delete(root);
            }
        }
    }

    fn fault(&mut self) {
        let node = self.node();
        match self.world.dice.below(8) {
            0 | 1 => self.world.crash(node),
            2 | 3 => self.world.start(node),
            4 if self.world.disks_lost < LOSSES => self.world.lose_disk(node),
            5 => {
                for index in 0..self.world.nodes.len() {
                    self.world.nodes[index].side = u8::from(self.world.dice.chance(40));
                }
            }
            6 => self.world.nodes.iter_mut().for_each(|node| node.side = 0),
            7 if self.world.nodes.len() > 5 => self.world.fill(node),
            _ => self.world.loss = self.world.dice.below(30),
        }
    }

    fn chaos(&mut self) {
        self.world.slow = 3;
        for _ in 0..12 {
            self.clients(24);
            self.fault();
            let pause_ms = 500 + self.world.dice.below(20_000);
            self.world.run(pause_ms);
        }
    }

    /// All nodes come back, the network is whole, and there is time for repair.
    fn heal(&mut self) {
        self.world.loss = 0;
        self.world.slow = 0;
        for index in 0..self.world.nodes.len() {
            self.world.nodes[index].side = 0;
            self.world.empty_again(index);
            self.world.start(index);
        }
        self.world.run(240_000);
        self.check_healed();
        self.world.disks_lost = 0;
        let roots: Vec<Cid> = self.world.objects.keys().copied().collect();
        for root in roots {
            let whole = self.world.is_whole(&root);
            self.world.objects.get_mut(&root).unwrap().safe = whole;
        }
    }

    fn check_healed(&self) {
        let world = &self.world;
        let all_operators: BTreeSet<_> = world.nodes.iter().map(|node| node.member.operator).collect();
        for (root, object) in &world.objects {
            let holders = world
                .nodes
                .iter()
                .filter(|node| !node.holds(root).is_empty())
                .count();
            // A deletion that nobody heard of before the disk it was made on was lost did not happen.
            if object.deleted && !world.is_remembered(root) {
                continue;
            }
            if object.deleted {
                assert_eq!(holders, 0, "{root} is deleted and {holders} nodes have it");
                continue;
            }
            if !world.can_be_read(root) {
                assert!(!object.acknowledged || !object.safe, "{root} is lost");
                continue;
            }
            let shares = world.shares(root);
            let wanted = world.wanted(root);
            assert_eq!(shares.len(), wanted, "{root}: {shares:?}");
            assert!(world.is_whole(root), "{root}: {shares:?}");
            let operators: BTreeSet<_> = shares
                .iter()
                .map(|(node, _)| world.nodes[*node].member.operator)
                .collect();
            assert_eq!(
                operators.len(),
                wanted.min(all_operators.len()),
                "{root}: {shares:?} on too few operators"
            );
        }
    }

    /// When all is whole only questions are asked, and not many.
    fn check_quiet(&mut self) {
        let (stores, questions) = (self.world.stores, self.world.questions);
        self.world.run(30_000);
        assert_eq!(self.world.stores, stores, "copies are made though all is whole");
        let nodes = self.world.nodes.len() as u64;
        let asked = self.world.questions - questions;
        // Every second at most one batch from everybody to everybody.
        assert!(
            asked <= nodes * nodes * 31,
            "{asked} questions between {nodes} nodes"
        );
    }
}

fn run(seed: u64) -> (u64, u64, u64) {
    let mut course = Course::new(seed);
    for _ in 0..2 {
        course.chaos();
        course.heal();
    }
    course.check_quiet();
    let world = &course.world;
    let acknowledged = world
        .objects
        .values()
        .filter(|object| object.acknowledged)
        .count() as u64;
    (course.added, acknowledged, world.stores)
}

#[test]
fn what_was_acknowledged_survives_and_heals() {
    let seeds = std::env::var("R1_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("R1_SEEDS is a number"));
    let first =
        std::env::var("R1_FIRST_SEED").map_or(0, |seed| seed.parse().expect("R1_FIRST_SEED is a number"));
    let (mut added, mut acknowledged, mut stores) = (0, 0, 0);
    for seed in first..first + seeds {
        let figures = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed} failed"));
        added += figures.0;
        acknowledged += figures.1;
        stores += figures.2;
    }
    println!("{seeds} seeds: {added} added, {acknowledged} acknowledged, {stores} store requests");
    assert!(
        acknowledged * 10 > added * 7,
        "{acknowledged} of {added} acknowledged"
    );
    // A share is made for the object, again after each loss, and asked for while it is fetched.
    assert!(
        stores <= added * 40,
        "{stores} store requests for {added} objects"
    );
}
