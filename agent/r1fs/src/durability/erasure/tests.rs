use proptest::prelude::*;

use super::*;

fn leaves(lengths: &[usize]) -> Vec<Block> {
    let leaf = |(index, bytes): (usize, &usize)| {
        let data: Vec<u8> = (0..*bytes)
            .map(|at| u8::try_from((at * 7 + index * 13) % 251).unwrap())
            .collect();
        Block {
            cid: v1(RAW, &data),
            data: data.into(),
        }
    };
    lengths.iter().enumerate().map(leaf).collect()
}

fn manifest() -> Manifest {
    let stripes = [&[100; 10][..], &[100, 100, 7][..]]
        .map(|lengths| encode_stripe(&leaves(lengths), DATA, PARITY).unwrap().0)
        .to_vec();
    Manifest {
        root: v1(RAW, b"root"),
        data: DATA,
        parity: PARITY,
        interior: vec![v1(RAW, b"root"), v1(RAW, b"branch")],
        stripes,
    }
}

#[test]
fn a_manifest_survives_a_round_trip_and_names_the_blocks_of_each_piece() {
    let manifest = manifest();
    let block = manifest.encode().unwrap();
    assert_eq!(Manifest::decode(&block.data).unwrap(), manifest);
    let counts: Vec<_> = (0..14).map(|piece| manifest.blocks_of(piece).len()).collect();
    assert_eq!(counts, [4, 4, 4, 3, 3, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(manifest.blocks_of(13)[1], manifest.stripes[1].parity[3]);
}

#[test]
fn manifests_that_contradict_themselves_are_refused() {
    let changes: [fn(&mut Manifest); 8] = [
        |it| it.data = 0,
        |it| it.parity = 0,
        |it| it.data = 200,
        |it| it.stripes.clear(),
        |it| it.stripes.swap(0, 1),
        |it| it.stripes[1].leaves.clear(),
        |it| it.stripes[0].leaves[3].bytes = 0,
        |it| it.stripes[0].parity.truncate(3),
    ];
    for change in changes {
        let mut changed = manifest();
        change(&mut changed);
        assert!(changed.encode().is_err());
        let bytes = postcard::to_extend(&changed, vec![VERSION]).unwrap();
        assert!(Manifest::decode(&bytes).is_err());
    }
    let mut bytes = manifest().encode().unwrap().data.to_vec();
    bytes.push(0);
    assert!(Manifest::decode(&bytes).is_err());
    bytes[0] = 2;
    assert!(Manifest::decode(&bytes).is_err());
}

#[test]
fn wrong_blocks_and_lengths_are_refused() {
    let blocks = leaves(&[50, 60]);
    let (stripe, parity) = encode_stripe(&blocks, 10, 2).unwrap();
    let present = [
        None,
        Some(blocks[1].data.clone()),
        Some(parity[0].data.clone()),
        None,
    ];
    assert_eq!(reconstruct_stripe(&stripe, &present).unwrap()[0], blocks[0]);
    let mut wrong = present.clone();
    wrong[2] = Some(parity[1].data.clone());
    assert!(matches!(
        reconstruct_stripe(&stripe, &wrong),
        Err(ErasureError::Block(_))
    ));
    assert!(matches!(
        reconstruct_stripe(&stripe, &present[..2]),
        Err(ErasureError::TooFew {
            present: 1,
            wanted: 2,
            ..
        })
    ));
    let mut lying = stripe.clone();
    lying.leaves[1].bytes = 70;
    assert!(matches!(
        reconstruct_stripe(&lying, &present),
        Err(ErasureError::Manifest(_))
    ));
    let mut lying = stripe.clone();
    lying.leaves[0].bytes = 40;
    assert!(matches!(
        reconstruct_stripe(&lying, &present),
        Err(ErasureError::Block(_))
    ));
    let mut lying = stripe;
    lying.leaves[0].cid = blocks[1].cid;
    assert!(reconstruct_stripe(&lying, &present).is_err());
}

#[test]
fn a_stripe_takes_as_many_leaves_as_it_has_data() {
    assert!(encode_stripe(&leaves(&[10; 10]), 10, 4).is_ok());
    assert!(encode_stripe(&leaves(&[10; 11]), 10, 4).is_err());
    assert!(encode_stripe(&leaves(&[10, 0]), 10, 4).is_err());
    assert!(encode_stripe(&[], 10, 4).is_err());
}

proptest! {
    #[test]
    fn any_blocks_as_many_as_leaves_give_the_others_back(
        lengths in proptest::collection::vec(1_usize..300, 1..10),
        parity in 1_u8..5,
        order in Just((0..14_usize).collect::<Vec<_>>()).prop_shuffle(),
        lost in 0_usize..5,
    ) {
        let blocks = leaves(&lengths);
        let (stripe, parity_blocks) = encode_stripe(&blocks, 10, parity).unwrap();
        let all: Vec<Block> = blocks.into_iter().chain(parity_blocks).collect();
        let mut present: Vec<_> = all.iter().map(|block| Some(block.data.clone())).collect();
        let gone: Vec<_> = order.into_iter().filter(|at| *at < all.len()).take(lost.min(parity.into())).collect();
        for at in &gone {
            present[*at] = None;
        }
        let mut wanted: Vec<_> = gone.clone();
        wanted.sort_unstable();
        let wanted: Vec<_> = wanted.into_iter().map(|at| all[at].clone()).collect();
        prop_assert_eq!(reconstruct_stripe(&stripe, &present).unwrap(), wanted);
    }

    #[test]
    fn hostile_manifests_never_panic(at in 0_usize..2000, value: u8, cut in 0_usize..2000) {
        let mut bytes = manifest().encode().unwrap().data.to_vec();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(manifest) = Manifest::decode(&bytes) {
            for piece in 0..MAX_PIECES {
                let _ = manifest.blocks_of(piece);
            }
            for stripe in &manifest.stripes {
                let _ = reconstruct_stripe(stripe, &[]);
            }
        }
    }
}
