use super::*;

const NETWORK: Hash = [1; 32];

fn oracles() -> (Vec<OracleKey>, ValidatorSet, Domain) {
    let mut keys: Vec<_> = (1..=4)
        .map(|seed| OracleKey::from_secret(&[seed; 32]).unwrap())
        .collect();
    keys.sort_by_key(OracleKey::eth);
    let set = ValidatorSet::new(keys.iter().map(OracleKey::node)).unwrap();
    (keys, set, Domain::new(1, NETWORK))
}

#[test]
fn only_the_rounds_proposer_is_heard() {
    let (keys, set, domain) = oracles();
    let check = |part: &Part| check_part(&domain, &set, 4, 0, part);
    let good = sign_part(&domain, &keys[0], 5, 0, vec![1].into());
    assert_eq!(check(&good), Ok(keccak(&[1])));
    assert!(
        check(&sign_part(&domain, &keys[1], 5, 0, vec![1].into())).is_err(),
        "not its turn"
    );
    assert!(
        check(&sign_part(&domain, &keys[1], 5, 1, vec![1].into())).is_ok(),
        "its turn"
    );
    assert!(
        check(&Part {
            payload: vec![2].into(),
            ..good.clone()
        })
        .is_err(),
        "another payload"
    );
    assert!(
        check(&Part {
            round: 4,
            ..good.clone()
        })
        .is_err(),
        "signed for another round"
    );
    let pretender = sign_part(&domain, &keys[1], 5, 0, vec![1].into());
    assert!(
        check(&Part {
            proposer: keys[0].eth(),
            ..pretender
        })
        .is_err(),
        "wrong key"
    );
    assert!(
        check_part(&Domain::new(2, NETWORK), &set, 4, 0, &good).is_err(),
        "another network"
    );
}

#[test]
fn heights_and_rounds_have_windows() {
    let (keys, set, domain) = oracles();
    let by_turn = |height: u64, round: u32| {
        let proposer = set.proposer(height, round).unwrap().eth;
        let key = keys.iter().find(|key| key.eth() == proposer).unwrap();
        sign_part(&domain, key, height, round, vec![1].into())
    };
    let check = |height, round, now| check_part(&domain, &set, 4, now, &by_turn(height, round)).is_ok();
    assert!(!check(4, 0, 0), "decided");
    assert!(
        check(5, 0, 0) && check(14, 0, 0) && !check(15, 0, 0),
        "ten heights"
    );
    assert!(
        check(5, 128, 0) && !check(5, 129, 0) && check(5, 129, 1),
        "rounds ahead of ours"
    );
    assert!(!check(6, 129, 1), "our round says nothing about later heights");
}
