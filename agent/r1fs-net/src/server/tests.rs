use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use r1_r1fs::{Cid, cid::v0};

use super::*;
use crate::{Blocks, message::Payload};

const LIMITS: ServerLimits = ServerLimits {
    wants_per_peer: 1000,
    message: 1000,
    in_flight_per_peer: 2000,
    in_flight_per_stranger: 1000,
    in_flight: 1_000_000,
    reads: 1,
};

struct Shelf(HashMap<Cid, Bytes>);

impl Blocks for Shelf {
    fn size(&self, cid: &Cid) -> Option<usize> {
        self.0.get(cid).map(Bytes::len)
    }

    fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.0.get(cid).cloned()
    }
}

fn entry(cid: Cid) -> Entry {
    Entry {
        cid,
        priority: 1,
        cancel: false,
        want: WantType::Block,
        send_dont_have: true,
    }
}

/// A server, its store and its clock.
struct Desk {
    server: Server,
    shelf: Shelf,
    now: Instant,
    /// Bytes that each peer was sent, in order.
    sent: Vec<(PeerId, usize)>,
    messages: Vec<Message>,
    refused: usize,
}

impl Desk {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: ServerLimits) -> Self {
        Self {
            server: Server::new(limits),
            shelf: Shelf(HashMap::new()),
            now: Instant::now(),
            sent: Vec::new(),
            messages: Vec::new(),
            refused: 0,
        }
    }

    fn peer(&mut self, rate: Option<u64>) -> PeerId {
        let peer = PeerId::random();
        let known = true;
        self.tell(Input::Connected { peer, rate, known });
        peer
    }

    /// Blocks of a size, with their names.
    fn stock(&mut self, seed: u8, count: usize, size: usize) -> Vec<Entry> {
        let blocks = (0..count).map(|number| {
            let mut data = vec![seed; size];
            data[..8].copy_from_slice(&number.to_be_bytes());
            Bytes::from(data)
        });
        let named: Vec<_> = blocks.map(|data| (v0(&data), data)).collect();
        self.shelf.0.extend(named.iter().cloned());
        named.iter().map(|(cid, _)| entry(*cid)).collect()
    }

    /// Tells the server something, and does at once what it wants read; what is sent stays in flight.
    fn tell(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.server.handle(self.now, input) {
                match effect {
                    Effect::Read { peer, wants, budget } => {
                        let reading = read(&self.shelf, wants, budget);
                        inputs.push(Input::Read { peer, reading });
                    }
                    Effect::Send { peer, message, cost } => {
                        self.sent.push((peer, cost));
                        self.messages.push(message);
                    }
                    Effect::Refused(count) => self.refused += count,
                }
            }
        }
    }

    fn wants(&mut self, peer: PeerId, entries: Vec<Entry>) {
        let full = false;
        self.tell(Input::Wants { peer, full, entries });
    }

    /// The wire takes everything until nothing comes any more.
    fn drain(&mut self) -> Vec<(PeerId, usize)> {
        let mut all = Vec::new();
        while !self.sent.is_empty() {
            for (peer, cost) in std::mem::take(&mut self.sent) {
                all.push((peer, cost));
                self.tell(Input::Sent { peer, cost });
            }
        }
        all
    }

    fn bytes(&self, peer: PeerId) -> usize {
        let of = self.sent.iter().filter(|(other, _)| *other == peer);
        of.map(|(_, cost)| cost).sum()
    }
}

#[test]
fn each_kind_of_want_has_its_answer() {
    let mut desk = Desk::new();
    let peer = desk.peer(None);
    let stocked = desk.stock(1, 2, 100);
    let have = Entry {
        want: WantType::Have,
        ..stocked[1]
    };
    let absent = entry(v0(b"absent"));
    let quiet = Entry {
        send_dont_have: false,
        ..entry(v0(b"quiet"))
    };
    desk.wants(peer, vec![stocked[0], have, absent, quiet]);
    let message = &desk.messages[0];
    assert_eq!(message.blocks.len(), 1);
    assert_eq!(message.presences, [(have.cid, true), (absent.cid, false)]);
    assert_eq!(
        message.blocks[0],
        Payload::new(&stocked[0].cid, desk.shelf.get(&stocked[0].cid).unwrap())
    );
    assert_eq!(desk.server.waiting(), 0);
}

#[test]
fn bytes_in_flight_are_bounded_until_the_wire_took_them() {
    let mut desk = Desk::new();
    let peer = desk.peer(None);
    let wants = desk.stock(1, 20, 500);
    desk.wants(peer, wants);
    assert_eq!(desk.bytes(peer), LIMITS.in_flight_per_peer);
    assert_eq!(desk.server.waiting(), 16);
    let total: usize = desk.drain().iter().map(|(_, cost)| cost).sum();
    assert_eq!((total, desk.server.waiting()), (10_000, 0));
}

#[test]
fn a_peer_that_asks_for_much_does_not_delay_one_that_asks_for_little() {
    let mut desk = Desk::new();
    let (greedy, modest) = (desk.peer(None), desk.peer(None));
    let (much, little) = (desk.stock(1, 100, 1000), desk.stock(2, 2, 1000));
    desk.wants(greedy, much);
    desk.wants(modest, little);
    let order = desk.drain();
    let last = order.iter().rposition(|(peer, _)| *peer == modest).unwrap();
    assert!(last < 8, "{last}");
    assert_eq!(order.iter().map(|(_, cost)| cost).sum::<usize>(), 102_000);
}

#[test]
fn large_blocks_get_no_larger_share_than_small_ones() {
    // No peer is held up by what it has in flight: the order of reads alone decides.
    let mut desk = Desk::with(ServerLimits {
        in_flight_per_peer: 200_000,
        in_flight: 3000,
        ..LIMITS
    });
    let (large, small) = (desk.peer(None), desk.peer(None));
    let (few, many) = (desk.stock(1, 40, 3000), desk.stock(2, 800, 100));
    desk.wants(large, few);
    desk.wants(small, many);
    let mut shares = HashMap::new();
    for (peer, cost) in desk.drain() {
        *shares.entry(peer).or_insert(0) += cost;
        if shares[&peer] >= 40_000 {
            break;
        }
    }
    let (large, small) = (shares[&large], shares[&small]);
    assert!(large.abs_diff(small) <= 10_000, "{large} and {small}");
}

#[test]
fn a_rate_is_kept_over_time() {
    let mut desk = Desk::new();
    let rate = r1_r1fs::MAX_BLOCK as u64;
    let peer = desk.peer(Some(rate));
    let size = r1_r1fs::MAX_BLOCK / 4;
    let wants = desk.stock(1, 20, size);
    desk.wants(peer, wants);
    let burst = desk.drain().len();
    assert_eq!(burst, 4);
    desk.tell(Input::Tick);
    assert_eq!(desk.drain().len(), 0);
    desk.now += Duration::from_secs(1);
    desk.tell(Input::Tick);
    assert_eq!(desk.drain().len(), 4);
}

#[test]
fn too_many_wants_are_dropped_and_counted() {
    let mut desk = Desk::new();
    let peer = desk.peer(None);
    let names: Vec<_> = (0..3000u32)
        .map(|number| entry(v0(&number.to_be_bytes())))
        .collect();
    let stocked = desk.stock(1, 4, 1000);
    // Two in flight: the rest waits.
    desk.wants(peer, stocked);
    let before = desk.server.waiting();
    desk.wants(peer, names.clone());
    assert_eq!(desk.server.waiting(), LIMITS.wants_per_peer);
    assert_eq!(desk.refused, 3000 + before - LIMITS.wants_per_peer);
    desk.wants(peer, names[..500].to_vec());
    assert_eq!(desk.server.waiting(), LIMITS.wants_per_peer);
}

#[test]
fn cancels_full_lists_and_departures_forget() {
    let mut desk = Desk::new();
    let peer = desk.peer(None);
    let wants = desk.stock(1, 10, 1000);
    desk.wants(peer, wants.clone());
    assert_eq!(desk.server.waiting(), 8);
    let cancel = Entry {
        cancel: true,
        ..wants[9]
    };
    desk.wants(peer, vec![cancel]);
    assert_eq!(desk.server.waiting(), 7);
    desk.tell(Input::Wants {
        peer,
        full: true,
        entries: vec![wants[9]],
    });
    assert_eq!(desk.server.waiting(), 1);
    desk.tell(Input::Disconnected(peer));
    assert_eq!((desk.server.waiting(), desk.server.in_flight), (0, 0));
}

#[test]
fn higher_priorities_come_first() {
    let mut desk = Desk::new();
    let peer = desk.peer(None);
    let mut wants = desk.stock(1, 6, 1000);
    wants[5].priority = 9;
    desk.wants(peer, wants.clone());
    let first = &desk.messages[0].blocks[0];
    assert_eq!(first.prefix.name(&first.data), Some(wants[5].cid));
}

#[test]
fn a_stranger_has_less_in_flight_until_it_is_announced() {
    let mut desk = Desk::new();
    let peer = PeerId::random();
    let connected = |desk: &mut Desk, known| {
        let rate = None;
        desk.tell(Input::Connected { peer, rate, known });
    };
    connected(&mut desk, false);
    let wants = desk.stock(1, 10, 500);
    desk.wants(peer, wants);
    assert_eq!(desk.bytes(peer), LIMITS.in_flight_per_stranger);
    connected(&mut desk, true);
    desk.tell(Input::Tick);
    assert_eq!(desk.bytes(peer), LIMITS.in_flight_per_peer);
}
