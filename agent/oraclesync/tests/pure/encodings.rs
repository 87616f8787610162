//! Encodings: round trips, one encoding for one thing, limits, hostile bytes; and constants that a change of format
//! would change.

use proptest::prelude::*;
use r1_oraclesync::{
    Block, Certificate, DecidedBlock, DecodeError, MAX_BLOCK_BYTES, MAX_TX_BYTES, MAX_TXS, Outcome,
    SignedTable, TableBody, Tip, ValidatorSet, keccak,
};

use crate::samples::{block, close, decide, domain, genesis, key, node, oracles, table};

fn sample() -> Block {
    block(&Tip::genesis(domain().network()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// If one of these changes, the format has: raise the version byte and keep reading the old one.
#[test]
fn the_formats_are_those_of_version_2() {
    let decided = decide(&sample());
    let hashes = [
        ("network", domain().network()),
        ("table", keccak(&table(&oracles()[0], 3, 200).encode())),
        ("block", keccak(&decided.payload)),
        ("certificate", keccak(&decided.certificate.encode())),
        ("decided block", keccak(&decided.encode())),
    ];
    assert_eq!(
        hashes.map(|(name, hash)| (name, hex(&hash))),
        VERSION_2.map(|(n, h)| (n, h.to_owned()))
    );
}

const VERSION_2: [(&str, &str); 5] = [
    (
        "network",
        "377c710fe86e8b4f03406bcc70f6ffcff50877c6eddcca6c80fcf5005b41eda5",
    ),
    (
        "table",
        "de1e948242890344f7cb1ebe1934df8175250ec9636721abfc2c1106a30bf2fb",
    ),
    (
        "block",
        "9f9348ca2f5ac48d8506cf11c1542c15ed196da60eba33b98e9de2e35c034bbe",
    ),
    (
        "certificate",
        "145c18c0a7cfe29a4846698d3d47ff2e5473bcdb36851002a7be5b05cf5353ea",
    ),
    (
        "decided block",
        "f96dc5f4071338b0dc1ff84c0f4951dfa9efe2b3dd65ee1c059af2bf83bad0e3",
    ),
];

/// Computed with the Python package eth-account from the typed data of the same vote.
#[test]
fn a_precommit_digest_is_that_of_eip_712() {
    assert_eq!(hex(&domain().precommit(5, 2, &[7; 32])), PRECOMMIT);
}

const PRECOMMIT: &str = "ca0c00adcc2bb0fc093b71b189728c9086d13de4d78a8748dd293d723c95f0f7";

#[test]
fn what_is_encoded_is_read_back() {
    let decided = decide(&sample());
    assert_eq!(Block::decode(&decided.payload), Ok(sample()));
    assert_eq!(DecidedBlock::decode(&decided.encode()), Ok(decided.clone()));
    assert_eq!(
        Certificate::decode(&decided.certificate.encode()),
        Ok(decided.certificate)
    );
    let abstained = SignedTable::sign(&domain(), &key(1), 3, TableBody::Abstained);
    assert_eq!(SignedTable::decode(&abstained.encode()), Ok(abstained));
}

#[test]
fn limits_hold_both_ways() {
    let tip = Tip::genesis(domain().network());
    let with = |txs: Vec<Vec<u8>>| Block {
        epoch_close: None,
        txs,
        ..block(&tip)
    };
    assert!(with(vec![vec![0; MAX_TX_BYTES]; 10]).encode().is_ok());
    assert!(matches!(
        with(vec![vec![0; MAX_TX_BYTES + 1]]).encode(),
        Err(DecodeError::Count { .. })
    ));
    assert!(matches!(
        with(vec![vec![]; MAX_TXS + 1]).encode(),
        Err(DecodeError::Count { .. })
    ));
    let full = with(vec![vec![0; MAX_TX_BYTES]; MAX_BLOCK_BYTES / MAX_TX_BYTES + 1]);
    assert!(matches!(full.encode(), Err(DecodeError::TooLong { .. })));
    let long = vec![1; MAX_BLOCK_BYTES + 1];
    assert!(matches!(Block::decode(&long), Err(DecodeError::TooLong { .. })));
}

#[test]
fn other_versions_and_second_encodings_are_refused() {
    let bytes = sample().encode().unwrap();
    let mut other = bytes.clone();
    other[0] = 1;
    assert_eq!(
        Block::decode(&other),
        Err(DecodeError::Version {
            what: "block",
            found: Some(1)
        })
    );
    assert_eq!(
        Block::decode(&[]),
        Err(DecodeError::Version {
            what: "block",
            found: None
        })
    );
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        Block::decode(&longer),
        Err(DecodeError::Malformed { .. })
    ));
    // Height 1 as a varint of two bytes: the value is the same, the bytes are not.
    assert_eq!(bytes[33], 1);
    let mut padded = bytes[..33].to_vec();
    padded.extend_from_slice(&[0x81, 0x00]);
    padded.extend_from_slice(&bytes[34..]);
    assert!(matches!(
        Block::decode(&padded),
        Err(DecodeError::Malformed { .. })
    ));
}

#[test]
fn tables_of_an_epoch_are_checked_one_by_one() {
    let set = ValidatorSet::from_genesis(&genesis()).unwrap();
    let good = close(3, [Some(1), Some(2), Some(3), None]);
    let check = |change: &dyn Fn(&mut r1_oraclesync::EpochClose)| {
        let mut close = good.clone();
        change(&mut close);
        close
            .verify(&domain(), &set)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(check(&|_| {}), "");
    assert_eq!(check(&|close| drop(close.tables.pop())), "");
    assert!(check(&|close| close.tables.truncate(2)).contains("2 of 4 tables"));
    assert!(check(&|close| close.tables.reverse()).contains("out of order"));
    assert!(check(&|close| close.tables[1] = close.tables[0].clone()).contains("twice"));
    assert!(check(&|close| close.epoch = 4).contains("another epoch"));
    assert!(check(&|close| close.tables[0].body = TableBody::Abstained).contains("signature is wrong"));
    assert!(check(&|close| close.tables[0] = table(&key(8), 3, 1)).contains("not an oracle"));
    assert!(
        check(&|close| close.tables[0].body = TableBody::Values([(node(), 99)].into())).contains("signature")
    );
}

#[test]
fn a_close_that_leaves_known_tables_out_to_be_faulty_hides_them() {
    let set = ValidatorSet::from_genesis(&genesis()).unwrap();
    let all = close(3, [Some(1), Some(2), Some(3), None]);
    let other_epoch = close(4, [Some(1), Some(2), Some(3), None]);
    let mut liar = all.clone();
    let left_out = liar
        .tables
        .iter()
        .position(|table| table.values().is_some())
        .unwrap();
    liar.tables.remove(left_out);
    assert_eq!(
        liar.verify(&domain(), &set),
        Ok(()),
        "three tables, one of them an abstention"
    );
    assert_eq!(liar.outcome(&set), Outcome::Faulty);
    assert!(liar.hides(&all.tables, &set));
    assert!(!liar.hides([], &set), "nobody knows better");
    assert!(!liar.hides(&liar.tables, &set), "known twice is known once");
    assert!(!liar.hides(&other_epoch.tables, &set));
    assert!(!all.hides(&all.tables, &set));
    let honest = close(3, [Some(1), Some(2), None, None]);
    assert!(!honest.hides(&honest.tables, &set), "too many abstained");
}

fn any_block() -> impl Strategy<Value = Block> {
    let values = proptest::array::uniform4(proptest::option::of(any::<u8>()));
    let epoch_close = proptest::option::of((any::<u64>(), values).prop_map(|(epoch, v)| close(epoch, v)));
    let txs = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5);
    (
        any::<[u8; 32]>(),
        any::<u64>(),
        any::<[u8; 32]>(),
        any::<u64>(),
        epoch_close,
        txs,
        any::<[u8; 32]>(),
    )
        .prop_map(
            |(network, height, parent, timestamp_ms, epoch_close, txs, state_root)| Block {
                network,
                height,
                parent,
                timestamp_ms,
                epoch_close,
                txs,
                state_root,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_block_is_read_back(block in any_block()) {
        prop_assert_eq!(Block::decode(&block.encode().unwrap()), Ok(block));
    }

    #[test]
    fn hostile_bytes_are_refused_or_are_the_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        for version in [None, Some(2)] {
            if let (Some(version), Some(first)) = (version, bytes.first_mut()) {
                *first = version;
            }
            if let Ok(block) = Block::decode(&bytes) {
                prop_assert_eq!(block.encode().unwrap(), bytes.clone());
            }
            if let Ok(table) = SignedTable::decode(&bytes) {
                prop_assert_eq!(table.encode(), bytes.clone());
            }
            if let Ok(decided) = DecidedBlock::decode(&bytes) {
                prop_assert_eq!(decided.encode(), bytes.clone());
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = sample().encode().unwrap();
        let index = at.index(bytes.len());
        prop_assume!(bytes[index] != to);
        bytes[index] = to;
        if let Ok(block) = Block::decode(&bytes) {
            prop_assert_ne!(block.clone(), sample());
            prop_assert_eq!(block.encode().unwrap(), bytes);
        }
    }
}
