//! The light client accepts the next decided block and nothing else; its store has the shape of an oracle's.

use r1_oraclesync::{BlockError, CertificateError, DecidedBlock, Follower, LightError, Outcome, Tip, keccak};
#[cfg(feature = "engine")]
use r1_oraclesync::{Store, StoreError};

use crate::samples::{block, certificate, decide, genesis, node, oracles};

fn chain(length: u64) -> Vec<DecidedBlock> {
    let mut follower = Follower::new(&genesis()).unwrap();
    (0..length)
        .map(|_| {
            let decided = decide(&block(&follower.tip()));
            follower.accept(&decided).unwrap();
            decided
        })
        .collect()
}

#[test]
fn a_chain_is_followed_to_its_tip() {
    let mut follower = Follower::new(&genesis()).unwrap();
    for (decided, height) in chain(3).iter().zip(1..) {
        let block = follower.accept(decided).unwrap();
        assert_eq!((block.height, follower.tip().height), (height, height));
        let outcome = block.epoch_close.unwrap().outcome(follower.set());
        assert_eq!(outcome, Outcome::Agreed([(node(), 20)].into()));
    }
}

#[test]
fn a_block_out_of_order_or_of_another_chain_is_refused() {
    let blocks = chain(2);
    let mut follower = Follower::new(&genesis()).unwrap();
    assert!(matches!(
        follower.accept(&blocks[1]),
        Err(LightError::Other { height: 1 })
    ));
    follower.accept(&blocks[0]).unwrap();
    assert!(matches!(
        follower.accept(&blocks[0]),
        Err(LightError::Other { height: 2 })
    ));
    let tip = follower.tip();
    let stray = decide(&block(&Tip { id: [9; 32], ..tip }));
    assert_eq!(
        follower.accept(&stray),
        Err(LightError::Block(BlockError::Parent { height: 2 }))
    );
    let early = decide(&block(&Tip {
        timestamp_ms: 0,
        ..tip
    }));
    assert!(
        follower.accept(&early).is_ok(),
        "as late as its parent is late enough"
    );
    assert_eq!(follower.tip().height, 2);
}

#[test]
fn a_payload_needs_its_own_certificate() {
    let mut follower = Follower::new(&genesis()).unwrap();
    let good = decide(&block(&follower.tip()));
    let mut other = block(&follower.tip());
    other.txs.push(vec![9]);
    let payload = other.encode().unwrap();
    let swapped = DecidedBlock {
        payload: payload.clone(),
        certificate: good.certificate.clone(),
    };
    assert!(matches!(follower.accept(&swapped), Err(LightError::Other { .. })));
    let few = DecidedBlock {
        certificate: certificate(&oracles()[..2], 1, 0, keccak(&payload)),
        payload,
    };
    let error = follower.accept(&few).unwrap_err();
    assert_eq!(
        error,
        LightError::Certificate(CertificateError::TooFew {
            height: 1,
            signed: 2,
            oracles: 4
        })
    );
    assert_eq!(follower.tip().height, 0);
    let mut empty = block(&follower.tip());
    (empty.epoch_close, empty.txs) = (None, Vec::new());
    assert_eq!(
        follower.accept(&decide(&empty)),
        Err(LightError::Block(BlockError::Empty { height: 1 }))
    );
}

#[cfg(feature = "engine")]
#[test]
fn a_store_keeps_blocks_in_order_and_the_larger_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = chain(3);
    {
        let store = Store::open(dir.path()).unwrap();
        assert_eq!((store.first().unwrap(), store.tip().unwrap()), (0, 0));
        store.append(&blocks[0]).unwrap();
        assert!(matches!(
            store.append(&blocks[2]),
            Err(StoreError::Gap {
                height: 3,
                tip: 1,
                ..
            })
        ));
        store.append(&blocks[1]).unwrap();
        store.append(&blocks[1]).unwrap();
        let larger = certificate(&oracles(), 2, 0, blocks[1].certificate.value_id);
        store
            .append(&DecidedBlock {
                payload: blocks[1].payload.clone(),
                certificate: larger,
            })
            .unwrap();
        store.append(&blocks[1]).unwrap();
        let mut fork = blocks[1].clone();
        fork.certificate.value_id = [1; 32];
        assert!(matches!(
            store.append(&fork),
            Err(StoreError::Fork { height: 2, .. })
        ));
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.first().unwrap(), store.tip().unwrap()), (1, 2));
    assert_eq!(store.get(2).unwrap().unwrap().certificate.signatures.len(), 4);
    assert_eq!(store.get(3).unwrap(), None);
    assert_eq!(store.decided(1, 1).unwrap(), blocks[..1]);
    assert_eq!(store.decided(2, 10).unwrap().len(), 1);
    assert_eq!(store.decided(3, 10).unwrap(), []);
}
