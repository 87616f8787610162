//! Compat and strict side by side.

use super::*;

/// The flaw and its mending side by side: a compat signature names neither chain nor turn, so that it serves again.
#[test]
fn a_link_is_agreed_to_for_ever_in_compat_and_once_in_strict() {
    for mode in ["compat", "strict"] {
        let mut state = world(mode);
        let licence = LicenceRef::Nd(2);
        let agreed = match state.params().mode {
            Mode::Compat => sign(OWNER, &message::link(&eth(ALICE), &eth(ALICE)).hash()),
            Mode::Strict => consent(&state, ALICE, licence, ALICE),
        };
        let link = || Action::Link {
            licence,
            node: key(ALICE).address(),
            consent: agreed,
        };
        send(&mut state, at(0, 1), ALICE, link()).unwrap();
        send(&mut state, at(0, 2), ALICE, Action::Unlink { licence }).unwrap();
        let again = send(&mut state, at(1, 2), ALICE, link());
        match state.params().mode {
            Mode::Compat => assert_eq!(again, Ok(Effect::Done)),
            Mode::Strict => assert!(again.unwrap_err().to_string().contains("has not agreed")),
        }
        // A consent to a link on another chain is none here.
        let foreign = link_consent(1, &eth(BOB), LicenceRef::Nd(3), &key(BOB).address(), 0);
        let action = Action::Link {
            licence: LicenceRef::Nd(3),
            node: key(BOB).address(),
            consent: sign(BOB, &foreign),
        };
        assert!(send(&mut state, at(1, 2), BOB, action).is_err());
    }
}

/// Compat takes a claim that the oracles signed, of either layout; strict takes none, and the other way round.
#[test]
fn compat_is_paid_by_signed_availability_and_strict_by_the_closed_epochs() {
    let mut state = world("compat");
    let (licence, node) = (LicenceRef::Nd(2), eth(ALICE));
    let approval = sign(OWNER, &message::link(&eth(ALICE), &node).hash());
    let link = Action::Link {
        licence,
        node: key(ALICE).address(),
        consent: approval,
    };
    send(&mut state, at(0, 1), ALICE, link).unwrap();
    assert!(matches!(
        send(&mut state, at(1, 1), ALICE, Action::Claim { licence }),
        Err(Refusal::Mode { action: "claim", .. })
    ));
    let claim = |version, first: u64, values: &[u8]| {
        let epochs: Vec<U256> = (first..).take(values.len()).map(U256::from).collect();
        let packed = match version {
            1 => message::claim_v1(&node, &epochs, values),
            _ => message::claim_v2(&node, epochs[0], epochs[values.len() - 1], values),
        };
        SignedClaim {
            licence,
            node,
            version,
            first_epoch: first,
            availabilities: values.to_vec(),
            signatures: vec![sign(OWNER, &packed.hash())],
        }
    };
    let send_claim =
        |state: &mut State, epoch, claim| send(state, at(epoch, 1), ALICE, Action::ClaimSigned(vec![claim]));
    let minted = send_claim(&mut state, 1, claim(1, 0, &[255])).unwrap();
    assert_eq!(minted, Effect::Minted(state.params().nd.reward_per_epoch));
    send_claim(&mut state, 3, claim(2, 1, &[255, 10])).unwrap();
    assert!(
        send_claim(
            &mut state,
            4,
            SignedClaim {
                version: 3,
                ..claim(1, 3, &[255])
            }
        )
        .is_err()
    );
    let lie = SignedClaim {
        availabilities: vec![255],
        ..claim(1, 3, &[9])
    };
    assert!(send_claim(&mut state, 4, lie).is_err());
    let signed = claim(1, 0, &[255]);
    let mut strict = world("strict");
    let refused = send(&mut strict, at(1, 1), ALICE, Action::ClaimSigned(vec![signed]));
    assert!(matches!(
        refused,
        Err(Refusal::Mode {
            action: "claim_signed",
            ..
        })
    ));
}
