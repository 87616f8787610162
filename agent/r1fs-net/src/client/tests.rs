use r1_r1fs::cid::{RAW, v0, v1};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A client and its clock.
struct Desk {
    client: Client,
    now: Instant,
}

#[derive(Debug, Default)]
struct Done {
    asked: Vec<(PeerId, Entry)>,
    dialled: Vec<PeerId>,
    got: Vec<(SessionId, Bytes)>,
    missing: Vec<Vec<Asked>>,
    unasked: usize,
}

impl Desk {
    fn new() -> Self {
        Self {
            client: Client::new(TIMEOUT),
            now: Instant::now(),
        }
    }

    fn tell(&mut self, input: Input) -> Done {
        self.client.handle(self.now, input);
        let mut done = Done::default();
        for effect in self.client.flush() {
            match effect {
                Effect::Ask { peer, entries } => {
                    done.asked.extend(entries.iter().map(|entry| (peer, *entry)))
                }
                Effect::Dial(peer) => done.dialled.push(peer),
                Effect::Got { session, data, .. } => done.got.push((session, data)),
                Effect::Missing { asked, .. } => done.missing.push(asked),
                Effect::Unwanted { unasked, wrong } => done.unasked += unasked + wrong,
                Effect::Expecting { .. } => {}
            }
        }
        done
    }

    /// Connected peers in one session.
    fn with_peers<const N: usize>() -> (Self, [PeerId; N]) {
        let mut desk = Self::new();
        let peers = [(); N].map(|()| PeerId::random());
        for peer in peers {
            desk.tell(Input::Connected(peer));
        }
        let candidates = peers.to_vec();
        let opened = desk.tell(Input::Open {
            session: 1,
            candidates,
        });
        assert_eq!(opened.dialled, []);
        (desk, peers)
    }

    fn want(&mut self, cid: Cid) -> Done {
        self.tell(Input::Want { session: 1, cid })
    }

    fn says(&mut self, peer: PeerId, cid: Cid, have: bool) -> Done {
        self.tell(Input::Received {
            peer,
            blocks: vec![],
            presences: vec![(cid, have)],
            wrong: 0,
        })
    }

    fn gives(&mut self, peer: PeerId, data: &'static [u8]) -> Done {
        let data = Bytes::from_static(data);
        self.tell(Input::Received {
            peer,
            blocks: vec![(v0(&data), data)],
            presences: vec![],
            wrong: 0,
        })
    }
}

/// Who was asked for the block, and who whether it has it.
fn split(done: &Done) -> (Vec<PeerId>, Vec<PeerId>) {
    let of = |kind, cancel| {
        let matching = done
            .asked
            .iter()
            .filter(|(_, entry)| entry.want == kind && entry.cancel == cancel);
        matching.map(|(peer, _)| *peer).collect()
    };
    (of(WantType::Block, false), of(WantType::Have, false))
}

fn cancelled(done: &Done) -> Vec<PeerId> {
    let cancels = done.asked.iter().filter(|(_, entry)| entry.cancel);
    cancels.map(|(peer, _)| *peer).collect()
}

#[test]
fn a_first_want_goes_to_one_and_the_question_to_the_others() {
    let (mut desk, _peers) = Desk::with_peers::<3>();
    let (blocks, haves) = split(&desk.want(v0(b"a")));
    assert_eq!((blocks.len(), haves.len()), (1, 2));
    let done = desk.gives(blocks[0], b"a");
    assert_eq!(done.got, [(1, Bytes::from_static(b"a"))]);
    let mut told = cancelled(&done);
    told.sort_unstable();
    let mut all = [haves, blocks.clone()].concat();
    all.sort_unstable();
    assert_eq!(told, all);
    // Who gave something is asked alone.
    assert_eq!(split(&desk.want(v0(b"b"))), (blocks, vec![]));
}

#[test]
fn wants_are_spread_over_those_who_have_something() {
    let (mut desk, peers) = Desk::with_peers::<2>();
    let (first, others) = split(&desk.want(v0(b"a")));
    desk.says(others[0], v0(b"a"), true);
    desk.gives(first[0], b"a");
    let mut count = HashMap::new();
    for number in 0..10u8 {
        for peer in split(&desk.want(v0(&[number]))).0 {
            *count.entry(peer).or_insert(0) += 1;
        }
    }
    assert!(peers.iter().all(|peer| count[peer] == 5), "{count:?}");
}

#[test]
fn who_says_no_is_passed_over_and_the_answer_names_all() {
    let (mut desk, peers) = Desk::with_peers::<3>();
    let cid = v0(b"a");
    let (first, others) = split(&desk.want(cid));
    assert!(desk.says(others[0], cid, false).missing.is_empty());
    assert!(desk.says(first[0], cid, false).missing.is_empty());
    let (next, _) = split(&desk.says(others[1], cid, true));
    assert_eq!(next, [others[1]]);
    let done = desk.says(others[1], cid, false);
    let asked = &done.missing[0];
    assert_eq!(asked.len(), peers.len());
    assert!(asked.iter().all(|each| each.answer == Answer::DontHave));
}

#[test]
fn who_is_silent_is_passed_over_and_told() {
    let (mut desk, _) = Desk::with_peers::<2>();
    let cid = v0(b"a");
    let (first, others) = split(&desk.want(cid));
    desk.says(others[0], cid, true);
    desk.now += TIMEOUT / 2;
    assert_eq!(split(&desk.tell(Input::Tick)), (vec![], vec![]));
    desk.now += TIMEOUT / 2;
    let done = desk.tell(Input::Tick);
    assert_eq!(cancelled(&done), first);
    assert_eq!(split(&done).0, others);
    // The first one's block is welcome all the same.
    assert_eq!(desk.gives(first[0], b"a").got.len(), 1);
}

#[test]
fn progress_keeps_a_want_alive_but_not_for_ever() {
    let (mut desk, [peer]) = Desk::with_peers::<1>();
    desk.want(v0(b"never"));
    let mut patience = 0;
    loop {
        desk.want(v0(b"a"));
        desk.gives(peer, b"a");
        desk.now += TIMEOUT / 2;
        patience += 1;
        if let Some(asked) = desk.tell(Input::Tick).missing.first() {
            assert_eq!(asked[0].answer, Answer::Silent);
            break;
        }
    }
    assert_eq!(patience, 2 * HARD_TIMEOUTS);
}

#[test]
fn a_lost_peer_loses_only_what_it_owed() {
    let (mut desk, [one, two]) = Desk::with_peers::<2>();
    let cid = v0(b"a");
    let (first, others) = split(&desk.want(cid));
    desk.says(others[0], cid, true);
    let done = desk.tell(Input::Disconnected(first[0]));
    assert_eq!(split(&done).0, others);
    assert!([one, two].contains(&others[0]));
    assert_eq!(desk.gives(others[0], b"a").got.len(), 1);
}

#[test]
fn the_only_peer_is_dialled_again_and_not_for_ever() {
    let (mut desk, [peer]) = Desk::with_peers::<1>();
    let cid = v0(b"a");
    desk.want(cid);
    for _ in 0..MAX_DIALS {
        assert_eq!(desk.tell(Input::Disconnected(peer)).dialled, [peer]);
        assert_eq!(split(&desk.tell(Input::Connected(peer))).0, [peer]);
    }
    let done = desk.tell(Input::Disconnected(peer));
    assert_eq!(
        done.missing,
        [[Asked {
            peer,
            answer: Answer::Unreachable
        }]]
    );
}

#[test]
fn an_unreachable_peer_ends_its_wants() {
    let (mut desk, peer) = (Desk::new(), PeerId::random());
    let opened = desk.tell(Input::Open {
        session: 1,
        candidates: vec![peer, peer],
    });
    assert_eq!(opened.dialled, [peer]);
    assert!(desk.want(v0(b"a")).missing.is_empty());
    let done = desk.tell(Input::Unreachable(peer));
    assert_eq!(done.missing.len(), 1);
    assert_eq!(desk.want(v0(b"b")).missing.len(), 1);
}

#[test]
fn three_blocks_that_nobody_asked_for_are_enough() {
    let (mut desk, [bad]) = Desk::with_peers::<1>();
    let cid = v0(b"a");
    desk.want(cid);
    for wrong in [b"x", b"y"] {
        let done = desk.gives(bad, wrong);
        assert_eq!((done.got.len(), done.unasked, done.missing.len()), (0, 1, 0));
    }
    let done = desk.gives(bad, b"z");
    assert_eq!(done.missing[0][0].answer, Answer::Banned);
    assert_eq!(desk.want(v0(b"b")).missing.len(), 1);
}

#[test]
fn a_block_that_comes_twice_is_no_offence() {
    let (mut desk, [peer]) = Desk::with_peers::<1>();
    desk.want(v0(b"a"));
    desk.gives(peer, b"a");
    for _ in 0..2 * MAX_STRIKES {
        assert_eq!(desk.gives(peer, b"a").unasked, 1);
    }
    assert!(desk.want(v0(b"b")).missing.is_empty());
}

#[test]
fn two_sessions_share_an_answer_and_not_a_cancel() {
    let (mut desk, [peer]) = Desk::with_peers::<1>();
    desk.tell(Input::Open {
        session: 2,
        candidates: vec![],
    });
    desk.want(v0(b"a"));
    let cid = v1(RAW, b"a");
    desk.tell(Input::Want { session: 2, cid });
    let digest = digest(&cid).unwrap();
    let done = desk.tell(Input::Cancel { session: 2, digest });
    assert_eq!(cancelled(&done), []);
    desk.tell(Input::Want { session: 2, cid });
    assert_eq!(desk.gives(peer, b"a").got.len(), 2);
    desk.want(v0(b"b"));
    assert_eq!(cancelled(&desk.tell(Input::Close(1))), [peer]);
    assert_eq!(desk.client.waiting(), 0);
}
