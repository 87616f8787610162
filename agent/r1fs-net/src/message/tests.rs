use proptest::prelude::*;
use r1_r1fs::cid::{RAW, v0, v1};

use super::*;

fn flat(message: &Message) -> Bytes {
    let mut wire: Vec<u8> = message.encode().concat();
    let (mut length, mut at) = (0usize, 0);
    loop {
        length |= usize::from(wire[at] & 0x7f) << (7 * at);
        at += 1;
        if wire[at - 1] & 0x80 == 0 {
            break;
        }
    }
    wire.drain(..at);
    assert_eq!(wire.len(), length);
    wire.into()
}

fn name() -> impl Strategy<Value = Cid> {
    (any::<[u8; 8]>(), any::<bool>()).prop_map(|(data, old)| if old { v0(&data) } else { v1(RAW, &data) })
}

prop_compose! {
    fn entry()(
        cid in name(), priority in any::<i32>(), cancel in any::<bool>(), have in any::<bool>(), send in any::<bool>(),
    ) -> Entry {
        let want = if have { WantType::Have } else { WantType::Block };
        Entry { cid, priority, cancel, want, send_dont_have: send }
    }
}

prop_compose! {
    fn message()(
        full in any::<bool>(),
        entries in proptest::collection::vec(entry(), 0..20),
        blocks in proptest::collection::vec((name(), proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
        presences in proptest::collection::vec((name(), any::<bool>()), 0..20),
        pending_bytes in any::<i32>(),
    ) -> Message {
        let blocks = blocks.into_iter().map(|(cid, data)| Payload::new(&cid, data.into())).collect();
        Message { full, entries, blocks, presences, pending_bytes, left_out: 0 }
    }
}

proptest! {
    #[test]
    fn a_message_survives(message in message()) {
        prop_assert_eq!(Message::decode(flat(&message)), Ok(message));
    }

    #[test]
    fn garbage_does_no_harm(wire in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(wire.into());
    }

    #[test]
    fn a_damaged_message_does_no_harm(message in message(), at in any::<usize>(), byte in any::<u8>()) {
        let mut wire = flat(&message).to_vec();
        if !wire.is_empty() {
            let at = at % wire.len();
            wire[at] = byte;
        }
        let _ = Message::decode(wire.into());
    }

    #[test]
    fn a_prefix_makes_the_name_again(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        for cid in [v0(&data), v1(RAW, &data)] {
            prop_assert_eq!(Prefix::of(&cid).name(&data), Some(cid));
        }
    }
}

#[test]
fn the_wire_format_is_frozen() {
    let cid = v1(RAW, b"");
    let message = Message {
        entries: vec![Entry {
            cid,
            priority: 1,
            cancel: false,
            want: WantType::Have,
            send_dont_have: true,
        }],
        blocks: vec![Payload::new(&cid, Bytes::from_static(b"hi"))],
        presences: vec![(cid, false)],
        ..Message::default()
    };
    let name = cid.to_bytes();
    let mut wire = vec![0x0a, 46, 0x0a, 44, 0x0a, 36];
    wire.extend_from_slice(&name);
    wire.extend_from_slice(&[0x10, 1, 0x20, 1, 0x28, 1]);
    wire.extend_from_slice(&[0x22, 40, 0x0a, 36]);
    wire.extend_from_slice(&name);
    wire.extend_from_slice(&[0x10, 1]);
    wire.extend_from_slice(&[0x1a, 10, 0x0a, 4, 0x01, 0x55, 0x12, 0x20, 0x12, 2, b'h', b'i']);
    assert_eq!(flat(&message), wire);
}

#[test]
fn a_block_is_a_slice_of_the_message() {
    let data = Bytes::from(vec![7; 1000]);
    let message = Message {
        blocks: vec![Payload::new(&v0(&data), data)],
        ..Message::default()
    };
    let wire = flat(&message);
    let range = wire.as_ptr_range();
    let back = Message::decode(wire).unwrap();
    assert!(range.contains(&back.blocks[0].data.as_ptr()));
}

#[test]
fn an_endless_wantlist_is_cut_and_counted() {
    let entry = Entry {
        cid: v0(b"x"),
        priority: 1,
        cancel: false,
        want: WantType::Block,
        send_dont_have: false,
    };
    let message = Message {
        entries: vec![entry; MAX_ENTRIES + 5],
        ..Message::default()
    };
    let back = Message::decode(flat(&message)).unwrap();
    assert_eq!((back.entries.len(), back.left_out), (MAX_ENTRIES, 5));
}

#[test]
fn faults_are_named() {
    let decode = |wire: &'static [u8]| Message::decode(Bytes::from_static(wire)).unwrap_err();
    assert_eq!(decode(&[0x0a, 5, 1]), DecodeError::Short);
    assert_eq!(decode(&[0x0b]), DecodeError::Type(3));
    assert_eq!(decode(&[0xff; 11]), DecodeError::Varint);
    assert_eq!(
        Message::decode(vec![0; MAX_MESSAGE + 1].into()),
        Err(DecodeError::Long(MAX_MESSAGE + 1))
    );
    let empty = Payload::new(&v0(b""), Bytes::new());
    let message = Message {
        blocks: vec![empty; MAX_BLOCKS + 1],
        ..Message::default()
    };
    assert!(
        Message::decode(flat(&message))
            .unwrap_err()
            .to_string()
            .contains("4096 blocks")
    );
}

#[test]
fn only_sha2_256_makes_names() {
    let odd = Prefix {
        hash: 0x11,
        ..Prefix::V0
    };
    assert_eq!(odd.name(b""), None);
    let odd = Prefix {
        version: 2,
        ..Prefix::V0
    };
    assert_eq!(odd.name(b""), None);
    assert_eq!(Prefix::V0.name(&vec![0; MAX_BLOCK + 1]), None);
}
