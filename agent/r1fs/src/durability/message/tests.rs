use proptest::prelude::*;
use r1_identity::NodeKey;

use super::*;
use crate::{
    cid::{RAW, v0, v1},
    durability::Scheme,
};

fn key() -> NodeKey {
    NodeKey::from_secret_bytes(&[1; 32]).unwrap()
}

fn tombstone(index: u64) -> Tombstone {
    Tombstone::sign(&key(), v1(RAW, &index.to_be_bytes()), index)
}

fn record(scheme: Scheme) -> Record {
    Record {
        root: v0(b"root"),
        size: 77,
        scheme,
        owner: key().address(),
        created_ms: 5,
        expires_ms: Some(9),
    }
}

fn store(scheme: Scheme, piece: Option<u8>, car: Option<Bytes>) -> Request {
    Request::Store {
        record: record(scheme),
        piece,
        car,
    }
}

const ERASURE: fn() -> Scheme = || Scheme::Erasure {
    data: 10,
    parity: 4,
    manifest: v1(RAW, b"manifest"),
};

#[test]
fn every_message_survives_a_round_trip() {
    let requests = [
        store(
            Scheme::Copies { factor: 3 },
            None,
            Some(Bytes::from_static(b"car")),
        ),
        store(ERASURE(), Some(13), None),
        Request::Have {
            roots: vec![v0(b"a"), v1(RAW, b"b")],
            promise: true,
        },
        Request::Release {
            tombstone: tombstone(4),
        },
    ];
    for request in requests {
        assert_eq!(Request::decode(&request.encode().unwrap()), Ok(request));
    }
    let answers = [
        Answer::Stored,
        Answer::Fetching { bytes_here: 1 << 40 },
        Answer::refused("no room", true),
        Answer::Deleted(tombstone(1)),
        Answer::Holdings {
            held: vec![Holding::WHOLE.pinned(true), Holding::share(Some(31))],
            tombstones: vec![tombstone(2)],
        },
        Answer::Done,
    ];
    for answer in answers {
        assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
    }
}

#[test]
fn the_largest_messages_fit() {
    let roots = vec![v1(RAW, b"x"); MAX_ROOTS];
    let question = Request::Have {
        roots,
        promise: false,
    }
    .encode()
    .unwrap();
    assert!(Request::decode(&question).is_ok() && question.len() < MAX_MESSAGE);
    let answer = Answer::Holdings {
        held: vec![Holding(u64::MAX); MAX_ROOTS],
        tombstones: vec![tombstone(1); MAX_ROOTS],
    };
    assert!(Answer::decode(&answer.encode().unwrap()).is_ok());
    let car = Some(Bytes::from(vec![0; MAX_CAR]));
    assert!(store(ERASURE(), Some(0), car).encode().is_ok());
}

#[test]
fn what_breaks_a_limit_is_neither_sent_nor_taken() {
    let car = Some(Bytes::from(vec![0; MAX_CAR + 1]));
    let roots = vec![v1(RAW, b"x"); MAX_ROOTS + 1];
    for request in [
        store(Scheme::Copies { factor: 3 }, Some(0), None),
        store(Scheme::Copies { factor: 33 }, None, None),
        store(ERASURE(), None, None),
        store(ERASURE(), Some(14), None),
        store(Scheme::Copies { factor: 3 }, None, car),
        Request::Have {
            roots,
            promise: false,
        },
    ] {
        assert!(request.encode().is_err());
        assert!(Request::decode(&super::encode(&request).unwrap()).is_err());
    }
    let answer = Answer::Holdings {
        held: vec![],
        tombstones: vec![tombstone(1)],
    };
    assert!(Answer::decode(&super::encode(&answer).unwrap()).is_err());
    let long = Answer::Refused {
        reason: "x".repeat(MAX_REASON + 1),
        full: false,
    };
    assert!(Answer::decode(&super::encode(&long).unwrap()).is_err());
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let Answer::Refused { reason, .. } = Answer::refused("é".repeat(101), false) else {
        panic!("not a refusal");
    };
    assert_eq!(reason.len(), MAX_REASON);
    let Answer::Refused { reason, .. } = Answer::refused(format!("x{}", "é".repeat(101)), false) else {
        panic!("not a refusal");
    };
    assert_eq!(reason.len(), MAX_REASON - 1);
}

#[test]
fn other_versions_and_ends_are_refused_by_name() {
    assert_eq!(Request::decode(&[]), Err(MessageError::Version(None)));
    assert_eq!(Request::decode(&[2, 0]), Err(MessageError::Version(Some(2))));
    let mut bytes = Answer::Stored.encode().unwrap();
    bytes.push(0);
    assert!(matches!(Answer::decode(&bytes), Err(MessageError::Malformed(_))));
    let bytes = vec![VERSION; MAX_MESSAGE + 1];
    assert!(matches!(
        Request::decode(&bytes),
        Err(MessageError::TooLong { .. })
    ));
}

#[test]
fn holdings_are_sets_of_shares() {
    let both = Holding::share(Some(3)).with(Holding::share(Some(5)));
    assert_eq!(both.pieces().collect::<Vec<_>>(), [3, 5]);
    assert!(!both.has(None) && !both.is_pinned() && both.pinned(true).is_pinned());
    assert!(!Holding::NONE.pinned(true).is_pinned() && Holding::NONE.pinned(true).is_empty());
    assert!(Holding::share(Some(32)).is_empty());
    assert!(both.without(both).is_empty());
}

proptest! {
    #[test]
    fn hostile_bytes_are_read_or_refused_but_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert!(request.encode().is_ok());
        }
        if let Ok(answer) = Answer::decode(&bytes) {
            prop_assert!(answer.encode().is_ok());
        }
    }

    #[test]
    fn a_changed_or_cut_message_never_panics(at in 0_usize..200, value: u8, cut in 0_usize..200) {
        let mut bytes = Answer::Holdings {
            held: vec![Holding::WHOLE; 3],
            tombstones: vec![tombstone(1)],
        }
        .encode()
        .unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len().saturating_sub(cut));
        let _ = Answer::decode(&bytes).map(|answer| answer.encode());
    }
}
