use super::*;
use crate::{NetworkParams, adoption::Adoption, bank::Bank};

const ALICE: EthAddress = EthAddress::new([1; 20]);
const NODE: EthAddress = EthAddress::new([2; 20]);
const ORACLE: EthAddress = EthAddress::new([3; 20]);

/// A licence that mines from epoch 223 on, linked before.
fn linked(params: &NetworkParams, mode: Mode) -> MasterDeeds {
    let (mut masters, mut links) = (MasterDeeds::default(), Links::default());
    let context = context(params, mode, 200);
    let id = masters.add(&context, &ALICE, params.mnd.max_per_licence).unwrap();
    let node = NodeId {
        address: NODE,
        name: None,
    };
    masters.link(&context, &mut links, &ALICE, id, node).unwrap();
    masters
}

fn context(params: &NetworkParams, mode: Mode, epoch: u64) -> MasterContext<'_> {
    MasterContext {
        mnd: &params.mnd,
        adoption: &params.adoption,
        link_cooldown_ms: 0,
        mode,
        at: Moment {
            timestamp_ms: epoch * 1000 + 1,
            epoch,
        },
    }
}

fn claim(mode: Mode, epochs: &[u64], availabilities: &[u8]) -> Result<crate::release::EpochPay, MndRefusal> {
    let params = NetworkParams::preset("mainnet").unwrap();
    let mut masters = linked(&params, mode);
    let (mut bank, mut adoption) = (Bank::new(params.r1_cap), Adoption::default());
    adoption.record_sale(0, 15_000).unwrap();
    let claim = MasterClaim {
        id: 2,
        node: NODE,
        epochs,
        availabilities,
    };
    let at = context(&params, mode, 225);
    masters.begin();
    let paid = masters.claim(&at, &ALICE, &claim, (&mut bank, &adoption), ORACLE);
    masters.commit();
    paid
}

/// The flaw: the contract looks at both lengths together, so that a list of availabilities that is too long passes if the
/// epochs fit, and what is too much is ignored; one that is too short panics.
#[test]
fn a_list_of_availabilities_that_is_too_long_passes_in_compat_and_is_refused_in_strict() {
    let fits = claim(Mode::Compat, &[223, 224], &[255, 255]).unwrap();
    assert!(fits.released > U256::ZERO);
    assert_eq!(claim(Mode::Strict, &[223, 224], &[255, 255]), Ok(fits));
    assert_eq!(claim(Mode::Compat, &[223, 224], &[255, 255, 255]), Ok(fits));
    let refused = claim(Mode::Strict, &[223, 224], &[255, 255, 255]);
    assert!(matches!(
        refused,
        Err(MndRefusal::WrongCount {
            availabilities: 3,
            needed: 2,
            ..
        })
    ));
    for mode in [Mode::Compat, Mode::Strict] {
        let refused = claim(mode, &[223, 224], &[255]);
        assert!(matches!(refused, Err(MndRefusal::WrongCount { .. })), "{mode:?}");
    }
}

#[test]
fn everything_stops_while_paused_and_a_second_pause_is_refused() {
    let params = NetworkParams::preset("mainnet").unwrap();
    let mut masters = linked(&params, Mode::Strict);
    assert_eq!(masters.pause(false), Err(MndRefusal::NotPaused));
    masters.pause(true).unwrap();
    assert_eq!(masters.pause(true), Err(MndRefusal::Paused));
    let refused = masters.claim_credited(
        &context(&params, Mode::Strict, 225),
        &ALICE,
        2,
        &mut Bank::default(),
    );
    assert_eq!(refused, Err(MndRefusal::Paused));
    masters.pause(false).unwrap();
}
