use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{NetworkParams, bank::Bank, controller::Controller};

const ALICE: EthAddress = EthAddress::new([1; 20]);
const BOB: EthAddress = EthAddress::new([2; 20]);
const OWNER: EthAddress = EthAddress::new([3; 20]);
const ORACLE: EthAddress = EthAddress::new([4; 20]);
const DAY_MS: u64 = 86_400_000;

fn name(number: u64) -> NodeAddress {
    let mut point = [2; 33];
    point[25..].copy_from_slice(&number.to_be_bytes());
    NodeAddress::from_compressed(point).unwrap()
}

fn node(number: u64) -> NodeId {
    let mut address = [7; 20];
    address[12..].copy_from_slice(&number.to_be_bytes());
    NodeId {
        address: EthAddress::new(address),
        name: Some(name(number)),
    }
}

fn nd() -> NdParams {
    NetworkParams::preset("mainnet").unwrap().nd
}

fn context(nd: &NdParams, mode: Mode, epoch: u64) -> DeedContext<'_> {
    DeedContext {
        nd,
        mode,
        at: Moment {
            timestamp_ms: (epoch + 1) * DAY_MS + 1,
            epoch,
        },
        next_epoch: epoch,
    }
}

fn agreed() -> Result<EthAddress, DeedRefusal> {
    Ok(ORACLE)
}

#[test]
fn strict_rules_pay_what_was_credited_once() {
    let nd = nd();
    let (mut deeds, mut links, mut bank) = (NodeDeeds::default(), Links::default(), Bank::new(U256::MAX));
    deeds.grant(7, &ALICE);
    let at = |epoch| context(&nd, Mode::Strict, epoch);
    assert_eq!(
        deeds.claim_credited(&at(0), &mut bank, &ALICE, 7),
        Err(DeedRefusal::NotLinked(7))
    );
    deeds
        .link(&at(0), &mut links, &ALICE, (7, node(1)), &mut agreed)
        .unwrap();
    assert!(deeds.is_node_active(&links, &node(1).address));
    deeds.credit(&nd, 0, |_| 255);
    deeds.credit(&nd, 1, |_| 1);
    let early = deeds.unlink(&at(2), &mut links, &ALICE, 7).unwrap_err();
    assert!(matches!(early, DeedRefusal::ClaimFirst { licence: 7, .. }));
    let open = DeedContext {
        next_epoch: 2,
        ..at(3)
    };
    let early = deeds.unlink(&open, &mut links, &ALICE, 7).unwrap_err();
    assert_eq!(early, DeedRefusal::EpochOpen { licence: 7, epoch: 2 });
    let paid = deeds.claim_credited(&at(2), &mut bank, &ALICE, 7).unwrap();
    assert_eq!(
        paid,
        U256::from(1_458_508_188_386_985_115_u64 + 5_719_639_954_458_765)
    );
    assert_eq!(bank.totals.minted_nd, paid);
    assert_eq!(
        deeds.claim_credited(&at(2), &mut bank, &ALICE, 7),
        Err(DeedRefusal::NothingToClaim(7))
    );
    assert_eq!(
        deeds.unlink(&at(2), &mut links, &ALICE, 7),
        Ok(Some(node(1).address))
    );
    assert_eq!(
        deeds.unlink(&at(2), &mut links, &ALICE, 7),
        Err(DeedRefusal::NotLinked(7))
    );
    assert!(links.is_empty());
}

#[test]
fn what_is_banned_paused_burned_or_not_owned_stays_as_it_is() {
    let nd = nd();
    let (mut deeds, mut links) = (NodeDeeds::default(), Links::default());
    let at = context(&nd, Mode::Compat, 0);
    let id = deeds.mint(&nd, &ALICE).unwrap();
    assert_eq!(
        deeds.ban(&OWNER, &ALICE, id).unwrap_err().revert(),
        format!("OwnableUnauthorizedAccount(\"{ALICE}\")")
    );
    deeds.ban(&OWNER, &OWNER, id).unwrap();
    let link = deeds.link(&at, &mut links, &ALICE, (id, node(1)), &mut agreed);
    assert_eq!(link, Err(DeedRefusal::Banned(id)));
    assert_eq!(
        deeds.burn(&at, &mut links, &ALICE, id),
        Err(DeedRefusal::Banned(id))
    );
    deeds.unban(&OWNER, &OWNER, id).unwrap();
    deeds.pause(&OWNER, &OWNER, true).unwrap();
    assert_eq!(
        deeds.transfer(&at, &mut links, &ALICE, id, &BOB),
        Err(DeedRefusal::Paused)
    );
    assert_eq!(deeds.pause(&OWNER, &OWNER, true), Err(DeedRefusal::Paused));
    deeds.pause(&OWNER, &OWNER, false).unwrap();
    let stolen = deeds.transfer(&at, &mut links, &BOB, id, &BOB).unwrap_err();
    assert_eq!(
        stolen.revert(),
        format!("ERC721InsufficientApproval(\"{BOB}\", 1)")
    );
    deeds.transfer(&at, &mut links, &ALICE, id, &BOB).unwrap();
    deeds.burn(&at, &mut links, &BOB, id).unwrap();
    assert_eq!(deeds.deed(id).unwrap_err().revert(), "ERC721NonexistentToken(1)");
    // Nobody is the owner where the network names none.
    assert!(deeds.pause(&NOBODY, &NOBODY, true).is_err());
}

#[test]
fn one_signature_links_several_nodes_and_lists_must_match() {
    let nd = nd();
    let (mut deeds, mut links) = (NodeDeeds::default(), Links::default());
    let at = context(&nd, Mode::Compat, 0);
    let ids: Vec<u64> = (0..3).map(|_| deeds.mint(&nd, &ALICE).unwrap()).collect();
    let nodes: Vec<NodeId> = (0..3).map(node).collect();
    let refused = deeds.link_multi(&at, &mut links, &ALICE, (&ids, &nodes[..2]), &mut agreed);
    assert_eq!(refused.unwrap_err().revert(), "MismatchedInputArraysLength()");
    let forged = &mut || Err(Controller::new(1).verify(&[0; 32], &[], true).unwrap_err().into());
    let refused = deeds.link_multi(&at, &mut links, &ALICE, (&ids, &nodes), forged);
    assert_eq!(refused.unwrap_err().revert(), "Insufficient signatures");
    deeds
        .link_multi(&at, &mut links, &ALICE, (&ids, &nodes), &mut agreed)
        .unwrap();
    assert_eq!(links.len(), 3);
}

proptest! {
    #[test]
    fn a_credit_is_the_floor_of_the_share(reward in any::<u128>(), value in any::<u8>()) {
        let nd = NdParams { reward_per_epoch: U256::from(reward), ..nd() };
        prop_assert_eq!(nd_credit(&nd, value), U256::from(reward) * U256::from(value) / U256::from(255));
    }

    #[test]
    fn claiming_signed_epochs_and_claiming_credits_pay_the_same(
        values in prop::collection::vec(any::<u8>(), 1..30),
        claimed in 0u64..20
    ) {
        let nd = nd();
        let claimed = nd.cap - U256::from(claimed) * nd.reward_per_epoch;
        let epoch = values.len() as u64;
        let mut paid = Vec::new();
        for mode in [Mode::Compat, Mode::Strict] {
            let (mut deeds, mut links, mut bank) = (NodeDeeds::default(), Links::default(), Bank::new(U256::MAX));
            deeds.grant(1, &ALICE);
            deeds.deeds.entry_claimed(claimed);
            deeds.link(&context(&nd, mode, 0), &mut links, &ALICE, (1, node(1)), &mut agreed).unwrap();
            let table: BTreeMap<u64, u8> = (0..).zip(values.iter().copied()).collect();
            for epoch in 0..epoch {
                deeds.credit(&nd, epoch, |_| table[&epoch]);
            }
            let at = context(&nd, mode, epoch);
            let claim = NdClaim {
                licence: 1,
                node: node(1).address,
                epochs: (0..epoch).collect(),
                availabilities: values.clone(),
            };
            paid.push(match mode {
                Mode::Compat => deeds.claim_signed(&at, &mut bank, &ALICE, &[claim], &mut |_, _| Ok(ORACLE)).unwrap()[0],
                Mode::Strict => deeds.claim_credited(&at, &mut bank, &ALICE, 1).unwrap_or_default(),
            });
            prop_assert!(deeds.deed(1).unwrap().claimed <= nd.cap);
            prop_assert_eq!(bank.totals.r1, *paid.last().unwrap());
        }
        prop_assert_eq!(paid[0], paid[1]);
    }
}

trait EntryClaimed {
    fn entry_claimed(&mut self, claimed: U256);
}

impl EntryClaimed for Table<u64, NodeDeed> {
    fn entry_claimed(&mut self, claimed: U256) {
        self.get_mut(&1).unwrap().claimed = claimed;
    }
}
