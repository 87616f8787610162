//! Claims that oracles signed.

use serde_json::json;

use super::*;
use crate::{SignedClaim, message};

/// A network in compat mode; the wallet owns the contracts and is its oracle.
fn compat(owner: &Wallet) -> State {
    let mut genesis = genesis_of(&[owner]);
    let economy = json!({"mode": "compat", "owner": owner.eth});
    genesis.economy = economy.as_object().unwrap().clone();
    State::genesis(&genesis).unwrap()
}

fn linked(state: &mut State, owner: &Wallet, licence: LicenceRef) {
    let digest = message::link(&owner.eth, &owner.eth).hash();
    let link = Action::Link {
        licence,
        node: owner.node,
        consent: Signature(sign_digest(&owner.secret, &digest).unwrap()),
    };
    send(state, at(1), owner, link).unwrap();
}

fn claim(owner: &Wallet, licence: LicenceRef, first_epoch: u64, count: u64) -> Action {
    let (node, availabilities) = (owner.eth, vec![255; usize::try_from(count).unwrap()]);
    let last = first_epoch.wrapping_add(count).wrapping_sub(1);
    let (first, last) = (U256::from(first_epoch), U256::from(last));
    let digest = message::claim_v2(&node, first, last, &availabilities).hash();
    Action::ClaimSigned(vec![SignedClaim {
        licence,
        node,
        version: 2,
        first_epoch,
        availabilities,
        signatures: vec![Signature(sign_digest(&owner.secret, &digest).unwrap())],
    }])
}

#[test]
fn epochs_beyond_the_last_number_are_refused() {
    let alice = wallet(1);
    let mut state = compat(&alice);
    linked(&mut state, &alice, nd(1));
    let before = state.root();
    for (first, count) in [(u64::MAX, 1), (u64::MAX - 1, 2), (u64::MAX, 2)] {
        let refused = send(&mut state, at(3), &alice, claim(&alice, nd(1), first, count));
        assert_eq!(refused, Err(Refusal::Overflow("epochs")));
    }
    assert_eq!(state.root(), before);
    let receipt = send(&mut state, at(3), &alice, claim(&alice, nd(1), 1, 2)).unwrap();
    assert_eq!(
        receipt.minted(),
        state.params().nd.reward_per_epoch * U256::from(2)
    );
}

#[test]
fn a_receipt_of_the_genesis_node_deed_says_what_was_minted() {
    let alice = wallet(1);
    let mut state = compat(&alice);
    // Adoption withholds all but a little, so that the split does not come out even.
    state.params.adoption.licences = 7;
    state.adoption.begin();
    state.adoption.record_sale(0, 1).unwrap();
    state.adoption.commit();
    linked(&mut state, &alice, LicenceRef::Mnd(1));
    let receipt = send(&mut state, at(2), &alice, claim(&alice, LicenceRef::Mnd(1), 1, 1)).unwrap();
    let claimed = state.licence(LicenceRef::Mnd(1)).unwrap();
    let claimed = claimed.claimed - claimed.withheld;
    assert_eq!(receipt.minted(), state.supply());
    assert!(!receipt.minted().is_zero() && receipt.minted() < claimed);
    assert_eq!(state.audit(), Ok(()));
}
