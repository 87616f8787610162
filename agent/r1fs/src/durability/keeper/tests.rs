use r1_identity::NodeKey;

use super::*;
use crate::{
    cid::{RAW, v1},
    durability::record::Scheme,
};

const START_MS: u64 = 1_000_000;

fn key(index: u8) -> NodeKey {
    NodeKey::from_secret_bytes(&[index; 32]).unwrap()
}

fn member(index: u8) -> Member {
    Member {
        node: key(index).address(),
        operator: [index; 20],
        free: 1 << 30,
    }
}

fn record(owner: u8) -> Record {
    Record {
        root: v1(RAW, b"object"),
        size: 100,
        scheme: Scheme::Copies { factor: 3 },
        owner: key(owner).address(),
        created_ms: START_MS,
        expires_ms: None,
    }
}

/// Node 1 that knows the nodes up to `members`.
fn keeper(members: u8) -> Keeper {
    let mut keeper = Keeper::new(Config::default(), member(1));
    for index in 2..=members {
        assert_eq!(keeper.handle(START_MS, Input::MemberSeen(member(index))), []);
    }
    keeper
}

fn seen(keeper: &mut Keeper, members: u8, now_ms: u64) {
    for index in 2..=members {
        keeper.handle(now_ms, Input::MemberSeen(member(index)));
    }
}

/// The questions among effects.
fn asks(effects: &[Effect]) -> Vec<(u64, NodeAddress, Request)> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Ask {
            id, node, request, ..
        } => Some((*id, *node, request.clone())),
        _ => None,
    });
    asked.collect()
}

fn answer(keeper: &mut Keeper, now_ms: u64, id: u64, answer: Answer) -> Vec<Effect> {
    keeper.handle(now_ms, Input::Answer { id, answer })
}

fn add(keeper: &mut Keeper) -> Vec<Effect> {
    let input = Input::Added {
        record: record(1),
        pinned: true,
    };
    keeper.handle(START_MS, input)
}

fn hold(keeper: &mut Keeper, owner: u8, pinned: bool) {
    let input = Input::Held {
        record: record(owner),
        piece: None,
        pinned,
    };
    assert_eq!(keeper.handle(START_MS, input), []);
}

#[test]
fn alone_an_add_is_acknowledged_at_once_and_says_how_safe_it_is() {
    let safety = Safety {
        copies: 1,
        operators: 1,
        wanted: 3,
    };
    let root = record(1).root;
    assert_eq!(add(&mut keeper(1)), [Effect::Acknowledge { root, safety }]);
}

#[test]
fn an_add_waits_for_two_others_and_a_refusal_goes_to_the_next() {
    let mut keeper = keeper(5);
    let first = asks(&add(&mut keeper));
    assert_eq!(first.len(), 2);
    let refused = answer(&mut keeper, START_MS, first[0].0, Answer::refused("no", false));
    let second = asks(&refused);
    assert_eq!(second.len(), 1);
    assert!(first.iter().all(|(_, node, _)| *node != second[0].1));
    assert_eq!(answer(&mut keeper, START_MS, first[1].0, Answer::Stored), []);
    let done = answer(&mut keeper, START_MS, second[0].0, Answer::Stored);
    assert!(
        matches!(done[..], [Effect::Acknowledge { safety, .. }] if safety.copies == 3 && safety.operators == 3)
    );
}

#[test]
fn an_add_that_nobody_takes_is_given_up_with_the_reasons_and_goes_on() {
    let mut keeper = keeper(3);
    let mut asked = asks(&add(&mut keeper));
    let mut given_up = false;
    for second in 1..=40 {
        let now_ms = START_MS + second * 1_000;
        for (id, _, request) in std::mem::take(&mut asked) {
            let said = match request {
                Request::Have { roots, .. } => Answer::Holdings {
                    held: vec![Holding::NONE; roots.len()],
                    tombstones: vec![],
                },
                _ => Answer::refused("tired", false),
            };
            asked.extend(asks(&answer(&mut keeper, now_ms, id, said)));
        }
        seen(&mut keeper, 3, now_ms);
        let effects = keeper.handle(now_ms, Input::Tick);
        for effect in &effects {
            if let Effect::GiveUp { safety, reason, .. } = effect {
                assert!(
                    second >= 30 && safety.copies == 1 && reason.contains("tired"),
                    "{reason}"
                );
                given_up = true;
            }
        }
        asked.extend(asks(&effects));
    }
    assert!(given_up);
    assert_eq!((keeper.figures().adds, keeper.figures().left), (0, 1));
}

#[test]
fn a_member_without_room_is_not_waited_for() {
    let mut keeper = keeper(3);
    let asked = asks(&add(&mut keeper));
    let full = answer(&mut keeper, START_MS, asked[0].0, Answer::refused("full", true));
    assert!(asks(&full).is_empty());
    let done = answer(&mut keeper, START_MS, asked[1].0, Answer::Stored);
    assert!(matches!(done[0], Effect::Acknowledge { safety, .. } if safety.copies == 2));
}

/// Runs ticks until questions are asked.
fn check(keeper: &mut Keeper, members: u8, from_s: u64) -> (u64, Vec<(u64, NodeAddress, Request)>) {
    for second in from_s..from_s + 100 {
        let now_ms = START_MS + second * 1_000;
        seen(keeper, members, now_ms);
        let asked = asks(&keeper.handle(now_ms, Input::Tick));
        if !asked.is_empty() {
            return (now_ms, asked);
        }
    }
    panic!("nothing was asked");
}

fn everybody_has_it(
    keeper: &mut Keeper,
    now_ms: u64,
    asked: Vec<(u64, NodeAddress, Request)>,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (id, _, _) in asked {
        let held = vec![Holding::WHOLE];
        let said = Answer::Holdings {
            held,
            tombstones: vec![],
        };
        effects.extend(answer(keeper, now_ms, id, said));
    }
    effects.extend(keeper.handle(now_ms, Input::Tick));
    effects
}

/// So many members that node 1 ranks behind three of them.
fn surplus_keeper() -> (Keeper, u8) {
    let members = 8;
    let mut keeper = keeper(members);
    hold(&mut keeper, 2, false);
    let all: Vec<_> = (1..=members).map(member).collect();
    let ranked = super::super::placement::rank(&record(2).root, &all);
    let position = ranked.iter().position(|member| member.node == key(1).address());
    assert!(position > Some(2), "choose another object");
    (keeper, members)
}

#[test]
fn a_surplus_copy_goes_after_three_promises() {
    let (mut keeper, members) = surplus_keeper();
    let (now_ms, asked) = check(&mut keeper, members, 20);
    let effects = everybody_has_it(&mut keeper, now_ms, asked);
    let promises = asks(&effects);
    assert_eq!(promises.len(), 3);
    assert!(
        promises
            .iter()
            .all(|(_, _, request)| matches!(request, Request::Have { promise: true, .. }))
    );
    let effects = everybody_has_it(&mut keeper, now_ms, promises);
    assert!(matches!(
        effects[..],
        [Effect::Drop {
            cause: Cause::Surplus,
            shares: Holding::WHOLE,
            ..
        }]
    ));
    assert!(keeper.holding(&record(2).root).is_none());
}

#[test]
fn who_promised_to_keep_it_drops_nothing() {
    let (mut keeper, members) = surplus_keeper();
    let (now_ms, asked) = check(&mut keeper, members, 20);
    let effects = everybody_has_it(&mut keeper, now_ms, asked);
    let request = Request::Have {
        roots: vec![record(2).root],
        promise: true,
    };
    let input = Input::Asked {
        token: 7,
        from: key(3).address(),
        request,
    };
    let replied = keeper.handle(now_ms, input);
    assert!(matches!(&replied[..], [Effect::Reply { token: 7, .. }]));
    let effects = everybody_has_it(&mut keeper, now_ms, asks(&effects));
    assert_eq!(effects, []);
    assert!(keeper.holding(&record(2).root).is_some());
}

#[test]
fn a_tombstone_is_honoured_from_its_owner_only() {
    let mut keeper = keeper(3);
    hold(&mut keeper, 2, false);
    let root = record(2).root;
    let mut release = |tombstone: Tombstone| {
        let input = Input::Asked {
            token: 1,
            from: key(3).address(),
            request: Request::Release { tombstone },
        };
        keeper.handle(START_MS, input)
    };
    let mut forged = Tombstone::sign(&key(3), root, START_MS);
    forged.owner = key(2).address();
    assert!(matches!(
        &release(forged)[..],
        [Effect::Reply {
            answer: Answer::Refused { .. },
            ..
        }]
    ));
    let stranger = release(Tombstone::sign(&key(3), root, START_MS));
    assert!(
        !stranger
            .iter()
            .any(|effect| matches!(effect, Effect::Drop { .. }))
    );
    let effects = release(Tombstone::sign(&key(2), root, START_MS));
    assert!(matches!(
        effects[1],
        Effect::Drop {
            cause: Cause::Deleted,
            ..
        }
    ));
    assert!(keeper.creation_ms(&root, START_MS) > START_MS);
    // Whoever wants to store it again learns that it is deleted; a later record wins.
    let mut store = |created_ms: u64| {
        let record = Record {
            created_ms,
            ..record(2)
        };
        let request = Request::Store {
            record,
            piece: None,
            car: None,
        };
        let input = Input::Asked {
            token: 2,
            from: key(2).address(),
            request,
        };
        keeper.handle(START_MS, input)
    };
    assert!(matches!(
        &store(START_MS)[..],
        [Effect::Reply {
            answer: Answer::Deleted(_),
            ..
        }]
    ));
    assert!(matches!(&store(START_MS + 1)[..], [Effect::Fetch { .. }]));
}

#[test]
fn what_this_node_pins_itself_survives_another_owners_deletion() {
    let mut keeper = keeper(3);
    hold(&mut keeper, 2, true);
    let tombstone = Tombstone::sign(&key(2), record(2).root, START_MS + 5);
    let request = Request::Release { tombstone };
    let input = Input::Asked {
        token: 1,
        from: key(2).address(),
        request,
    };
    let effects = keeper.handle(START_MS + 5, input);
    assert!(matches!(&effects[1], Effect::PersistRecord(record) if record.owner == key(1).address()));
    assert!(keeper.holding(&record(2).root).is_some());
}

#[test]
fn what_has_expired_is_dropped() {
    let mut keeper = keeper(1);
    let record = Record {
        expires_ms: Some(START_MS + 10),
        ..record(1)
    };
    let input = Input::Held {
        record,
        piece: None,
        pinned: true,
    };
    keeper.handle(START_MS, input);
    assert_eq!(keeper.handle(START_MS + 9, Input::Tick), []);
    let effects = keeper.handle(START_MS + 10, Input::Tick);
    assert!(matches!(
        effects[..],
        [Effect::Drop {
            cause: Cause::Expired,
            ..
        }]
    ));
}

#[test]
fn a_store_request_is_answered_when_the_share_is_here_and_refused_without_room() {
    let mut keeper = keeper(2);
    let store = |token| Input::Asked {
        token,
        from: key(2).address(),
        request: Request::Store {
            record: record(2),
            piece: None,
            car: None,
        },
    };
    keeper.handle(START_MS, Input::Room(99));
    let refused = keeper.handle(START_MS, store(1));
    assert!(matches!(
        &refused[..],
        [Effect::Reply {
            answer: Answer::Refused { full: true, .. },
            ..
        }]
    ));
    keeper.handle(START_MS, Input::Room(100));
    assert!(matches!(
        &keeper.handle(START_MS, store(2))[..],
        [Effect::Fetch { .. }]
    ));
    assert_eq!(keeper.handle(START_MS, store(3)), []);
    let held = Input::Held {
        record: record(2),
        piece: None,
        pinned: false,
    };
    let replies = keeper.handle(START_MS, held);
    let stored = |token| Effect::Reply {
        token,
        answer: Answer::Stored,
    };
    assert_eq!(replies, [stored(2), stored(3)]);
}
