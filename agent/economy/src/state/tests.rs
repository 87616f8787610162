mod compat;

use std::collections::BTreeMap;

use proptest::prelude::*;
use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle};
use r1_identity::NodeKey;

use super::*;
use crate::{Action, RecordProof, Signature, deeds::DeedRefusal, link_consent, sign_digest};

const CHAIN: u64 = 31337;
const EPOCH_MS: u64 = 60_000;

struct Wallet {
    secret: [u8; 32],
    eth: EthAddress,
    node: NodeAddress,
}

fn wallet(seed: u8) -> Wallet {
    let secret = [seed; 32];
    let key = NodeKey::from_secret_bytes(&secret).unwrap();
    Wallet {
        secret,
        eth: key.eth_address(),
        node: key.address(),
    }
}

fn state(owners: &[&Wallet]) -> State {
    State::genesis(&genesis_of(owners)).unwrap()
}

fn genesis_of(owners: &[&Wallet]) -> Genesis {
    let licences = owners
        .iter()
        .zip(1..)
        .map(|(wallet, id)| GenesisLicence {
            id,
            owner: wallet.eth,
        })
        .collect();
    let oracle = GenesisOracle {
        address: owners[0].node,
        consensus_addr: String::new(),
        net_addr: String::new(),
    };
    Genesis {
        network: "test".into(),
        chain_id: CHAIN,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: EPOCH_MS,
        },
        oracle_min_availability: 153,
        oracles: vec![oracle],
        economy: Default::default(),
        licences,
    }
}

fn at(epoch: u64) -> BlockContext {
    BlockContext {
        timestamp_ms: epoch * EPOCH_MS + 1,
        epoch,
    }
}

/// The link of a licence to the wallet's own node, which agrees for the `nonce`th time.
fn link_again(wallet: &Wallet, licence: u64, nonce: u64) -> Action {
    let licence = LicenceRef::Nd(licence);
    let hash = link_consent(CHAIN, &wallet.eth, licence, &wallet.node, nonce);
    Action::Link {
        licence,
        node: wallet.node,
        consent: Signature(sign_digest(&wallet.secret, &hash).unwrap()),
    }
}

fn link(wallet: &Wallet, licence: u64) -> Action {
    link_again(wallet, licence, 0)
}

fn nd(licence: u64) -> LicenceRef {
    LicenceRef::Nd(licence)
}

fn send(
    state: &mut State,
    context: BlockContext,
    wallet: &Wallet,
    action: Action,
) -> Result<Receipt, Refusal> {
    let nonce = state.nonce(&wallet.eth);
    let signed = Transaction {
        chain_id: CHAIN,
        nonce,
        action,
    }
    .sign(&wallet.secret)
    .unwrap();
    state.apply(context, &signed)
}

fn table(wallet: &Wallet, value: u8) -> BTreeMap<NodeAddress, u8> {
    BTreeMap::from([(wallet.node, value)])
}

#[test]
fn an_epoch_is_credited_and_claimed_to_the_wei() {
    let alice = wallet(1);
    let mut state = state(&[&alice]);
    send(&mut state, at(0), &alice, link(&alice, 1)).unwrap();
    state.close_epoch(0, &table(&alice, 255), false).unwrap();
    state.close_epoch(1, &table(&alice, 1), false).unwrap();
    let receipt = send(&mut state, at(2), &alice, Action::Claim { licence: nd(1) }).unwrap();
    let expected = U256::from(1_458_508_188_386_985_115_u64 + 5_719_639_954_458_765);
    assert_eq!(receipt.minted(), expected);
    assert_eq!(state.balance(&alice.eth), expected);
    assert_eq!(state.supply(), expected);
    assert_eq!(
        send(&mut state, at(2), &alice, Action::Claim { licence: nd(1) }),
        Err(Refusal::Deed(DeedRefusal::NothingToClaim(1)))
    );
}

#[test]
fn a_link_is_paid_from_the_epoch_in_which_it_was_made() {
    let alice = wallet(1);
    let mut state = state(&[&alice]);
    // Linked during epoch 1 while epoch 0 is not closed yet: epoch 0 is not paid.
    send(&mut state, at(1), &alice, link(&alice, 1)).unwrap();
    state.close_epoch(0, &table(&alice, 255), false).unwrap();
    assert!(state.licences().all(|view| view.claimable.is_zero()));
    state.close_epoch(1, &table(&alice, 255), false).unwrap();
    assert!(
        state
            .licences()
            .all(|view| view.claimable == state.params().nd.reward_per_epoch)
    );
}

#[test]
fn a_faulty_epoch_pays_every_linked_node_and_an_absent_node_nothing() {
    let alice = wallet(1);
    let mut state = state(&[&alice]);
    send(&mut state, at(0), &alice, link(&alice, 1)).unwrap();
    state.close_epoch(0, &BTreeMap::new(), false).unwrap();
    assert!(state.licences().all(|view| view.claimable.is_zero()));
    state.close_epoch(1, &BTreeMap::new(), true).unwrap();
    assert!(
        state
            .licences()
            .all(|view| view.claimable == state.params().nd.reward_per_epoch)
    );
}

#[test]
fn what_is_not_allowed_is_refused_by_name_and_changes_nothing() {
    let (alice, bob) = (wallet(1), wallet(2));
    let mut state = state(&[&alice, &bob]);
    let before = state.root();
    let sent = |state: &mut State, wallet, action| send(state, at(0), wallet, action).unwrap_err();
    assert_eq!(
        sent(&mut state, &alice, Action::Claim { licence: nd(9) }),
        Refusal::Deed(DeedRefusal::Unknown(9))
    );
    assert!(matches!(
        sent(&mut state, &alice, link(&alice, 2)),
        Refusal::Deed(DeedRefusal::NotOwner { licence: 2, .. })
    ));
    assert_eq!(
        sent(&mut state, &alice, Action::Claim { licence: nd(1) }),
        Refusal::Deed(DeedRefusal::NotLinked(1))
    );
    let stolen = Action::Link {
        licence: nd(1),
        node: bob.node,
        consent: Signature([7; 65]),
    };
    assert!(matches!(
        sent(&mut state, &alice, stolen),
        Refusal::Deed(DeedRefusal::NoConsent { licence: 1, .. })
    ));
    assert_eq!(
        state.close_epoch(3, &BTreeMap::new(), false),
        Err(Refusal::EpochOrder { got: 3, expected: 0 })
    );
    assert_eq!(state.root(), before);

    send(&mut state, at(0), &alice, link(&alice, 1)).unwrap();
    assert!(matches!(
        sent(&mut state, &alice, link(&alice, 1)),
        Refusal::Deed(DeedRefusal::Linked { licence: 1, .. })
    ));
    assert!(matches!(
        sent(&mut state, &bob, link(&alice, 2)),
        Refusal::Deed(DeedRefusal::NodeLinked { .. })
    ));
    state.close_epoch(0, &table(&alice, 9), false).unwrap();
    assert!(matches!(
        sent(&mut state, &alice, Action::Unlink { licence: nd(1) }),
        Refusal::Deed(DeedRefusal::ClaimFirst { .. })
    ));
}

#[test]
fn a_replayed_a_foreign_and_a_forged_transaction_are_refused() {
    let (alice, bob) = (wallet(1), wallet(2));
    let mut state = state(&[&alice, &bob]);
    let signed = Transaction {
        chain_id: CHAIN,
        nonce: 0,
        action: link(&alice, 1),
    }
    .sign(&alice.secret)
    .unwrap();
    state.apply(at(0), &signed).unwrap();
    assert!(matches!(
        state.apply(at(0), &signed),
        Err(Refusal::Nonce {
            got: 0,
            expected: 1,
            ..
        })
    ));

    let foreign = Transaction {
        chain_id: 1,
        nonce: 1,
        action: Action::Claim { licence: nd(1) },
    };
    let foreign = foreign.sign(&alice.secret).unwrap();
    assert!(matches!(
        state.apply(at(0), &foreign),
        Err(Refusal::Chain { got: 1, .. })
    ));

    let mut forged = signed.clone();
    forged.transaction.nonce = 1;
    // Another message: the signature now recovers to somebody else, whose nonce is 0.
    assert!(state.apply(at(0), &forged).is_err());
    let mut broken = signed;
    broken.signature.0[64] = 0;
    assert_eq!(state.apply(at(0), &broken), Err(Refusal::Signature));
}

#[test]
fn a_licence_can_be_linked_again_only_after_the_cooldown() {
    let alice = wallet(1);
    let mut state = state(&[&alice]);
    send(&mut state, at(0), &alice, link(&alice, 1)).unwrap();
    send(&mut state, at(0), &alice, Action::Unlink { licence: nd(1) }).unwrap();
    assert!(matches!(
        send(&mut state, at(0), &alice, link(&alice, 1)),
        Err(Refusal::Deed(DeedRefusal::Cooldown { .. }))
    ));
    let exactly = BlockContext {
        timestamp_ms: 1 + EPOCH_MS,
        epoch: 1,
    };
    assert!(matches!(
        send(&mut state, exactly, &alice, link(&alice, 1)),
        Err(Refusal::Deed(DeedRefusal::Cooldown { .. }))
    ));
    let after = BlockContext {
        timestamp_ms: 2 + EPOCH_MS,
        epoch: 1,
    };
    // What the node agreed to the first time is used up.
    assert!(matches!(
        send(&mut state, after, &alice, link(&alice, 1)),
        Err(Refusal::Deed(DeedRefusal::NoConsent { .. }))
    ));
    send(&mut state, after, &alice, link_again(&alice, 1, 1)).unwrap();
}

#[test]
fn an_epoch_that_is_over_but_not_closed_is_not_lost_by_unlinking() {
    let alice = wallet(1);
    let mut state = state(&[&alice]);
    send(&mut state, at(0), &alice, link(&alice, 1)).unwrap();
    let unlink = || Action::Unlink { licence: nd(1) };
    assert_eq!(
        send(&mut state, at(1), &alice, unlink()),
        Err(Refusal::Deed(DeedRefusal::EpochOpen { licence: 1, epoch: 0 }))
    );
    state.close_epoch(0, &table(&alice, 255), false).unwrap();
    assert!(matches!(
        send(&mut state, at(1), &alice, unlink()),
        Err(Refusal::Deed(DeedRefusal::ClaimFirst { .. }))
    ));
    send(&mut state, at(1), &alice, Action::Claim { licence: nd(1) }).unwrap();
    send(&mut state, at(1), &alice, unlink()).unwrap();
    assert_eq!(state.licence_of(&alice.node), None);
}

#[test]
fn the_bytes_that_are_signed_hashed_and_stored_do_not_change_silently() {
    let alice = wallet(1);
    let mut state = state(&[&alice]);
    let genesis = hex::encode(state.root());
    let signed = Transaction {
        chain_id: CHAIN,
        nonce: 0,
        action: link(&alice, 1),
    }
    .sign(&alice.secret)
    .unwrap();
    state.apply(at(0), &signed).unwrap();
    state.close_epoch(0, &table(&alice, 200), false).unwrap();
    send(&mut state, at(1), &alice, Action::Claim { licence: nd(1) }).unwrap();
    // These change with the version of the wire form or of the stored state only.
    assert_eq!(
        hex::encode(signed.transaction.hash()),
        "ba939a1c025a2e8503ee437578ee29fee7d9eedee3e484d96d4e773fc94007b9"
    );
    assert_eq!(
        genesis,
        "ae6ec411135b65464fc2f32da974e9aa435f125a0e49abb430ebc755aa00ddc5"
    );
    assert_eq!(
        hex::encode(state.root()),
        "10b58f4af6f62dddbe055b086c343f3a599bbb8863d1867cfb7dbe1fd9614625"
    );
    let mut again = State::empty(&genesis_of(&[&alice])).unwrap();
    for (table, key, slot) in state.changes() {
        again.restore(table, &key, &slot.unwrap()).unwrap();
    }
    assert_eq!(again, state);
    assert_eq!(again.root(), state.root());
    let key = postcard::to_allocvec(&1u64).unwrap();
    let proof = state.prove("deeds", &key).unwrap();
    assert_eq!(proof.state_root(), Some(state.root()));
    let forged = RecordProof {
        value: vec![0],
        ..proof
    };
    assert_ne!(forged.state_root(), Some(state.root()));
}

/// What the rules say in the plainest words, to compare with: every epoch of a link is kept and summed on claim.
#[derive(Default)]
struct Model {
    earned: BTreeMap<u64, Vec<u8>>,
    minted: BTreeMap<u64, U256>,
}

impl Model {
    fn claimable(&self, params: &crate::NetworkParams, licence: u64) -> U256 {
        let claimed = self.minted.get(&licence).copied().unwrap_or_default();
        let epochs = self.earned.get(&licence).into_iter().flatten().copied();
        crate::reward::explain(&params.nd, claimed, (0..).zip(epochs)).pays
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_can_be_claimed_is_the_sum_of_the_linked_epochs(
        steps in prop::collection::vec((0u8..6, 1u8..4, any::<u8>()), 1..60)
    ) {
        let wallets: Vec<_> = (1..4).map(wallet).collect();
        let owners: Vec<_> = wallets.iter().collect();
        let mut state = state(&owners);
        // A small cap, so that it is reached.
        state.params.nd.cap = state.params.nd.reward_per_epoch * U256::from(3);
        let mut model = Model::default();
        for (kind, who, value) in steps {
            let (wallet, licence) = (&wallets[usize::from(who) - 1], u64::from(who));
            let context = at(state.next_epoch());
            let linked = state.licence_of(&wallet.node) == Some(nd(licence));
            match kind {
                0 => { let nonce = state.link_nonce(nd(licence)); let _ = send(&mut state, context, wallet, link_again(wallet, licence, nonce)); }
                1 => { let _ = send(&mut state, context, wallet, Action::Unlink { licence: nd(licence) }); }
                2 => {
                    let expected = model.claimable(&state.params, licence);
                    match send(&mut state, context, wallet, Action::Claim { licence: nd(licence) }) {
                        Ok(receipt) => {
                            prop_assert_eq!(receipt.minted(), expected);
                            *model.minted.entry(licence).or_default() += receipt.minted();
                            model.earned.remove(&licence);
                        }
                        Err(_) => prop_assert!(!linked || expected.is_zero()),
                    }
                }
                _ => {
                    let faulty = kind == 5;
                    for other in &wallets {
                        if let Some(LicenceRef::Nd(licence)) = state.licence_of(&other.node) {
                            let seen = if other.eth == wallet.eth { value } else { 0 };
                            model.earned.entry(licence).or_default().push(if faulty { 255 } else { seen });
                        }
                    }
                    state.close_epoch(state.next_epoch(), &table(wallet, value), faulty).unwrap();
                }
            }
            for view in state.licences() {
                prop_assert_eq!(view.claimable, model.claimable(&state.params, view.licence.number()));
                prop_assert!(view.claimed + view.claimable <= state.params.nd.cap);
            }
            prop_assert_eq!(state.audit(), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sequence_keeps_the_sums_and_replays_to_the_same_hash(
        steps in prop::collection::vec((0u8..5, 1u8..4, any::<u8>()), 1..40)
    ) {
        let wallets: Vec<_> = (1..4).map(wallet).collect();
        let owners: Vec<_> = wallets.iter().collect();
        let run = || {
            let mut state = state(&owners);
            for (step, (kind, who, value)) in steps.iter().enumerate() {
                let wallet = &wallets[usize::from(*who) - 1];
                let context = at(step as u64);
                let licence = u64::from(value % 4);
                // Refusals are part of the sequence.
                let _ = match kind {
                    0 => send(&mut state, context, wallet, link(wallet, licence)).map(|_| ()),
                    1 => send(&mut state, context, wallet, Action::Unlink { licence: nd(licence) }).map(|_| ()),
                    2 => send(&mut state, context, wallet, Action::Claim { licence: nd(licence) }).map(|_| ()),
                    _ => state.close_epoch(state.next_epoch(), &table(wallet, *value), kind % 2 == 0).map(|_| ()),
                };
            }
            state
        };
        let (mut first, mut second) = (run(), run());
        prop_assert_eq!(first.audit(), Ok(()));
        prop_assert!(first.licences().all(|view| view.claimed <= view.assigned));
        prop_assert_eq!(first.root(), second.root());
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SignedTransaction::decode(&bytes);
        let mut framed = vec![2];
        framed.extend(bytes);
        if let Ok(signed) = SignedTransaction::decode(&framed) {
            prop_assert_eq!(SignedTransaction::decode(&signed.encode()).unwrap(), signed);
        }
    }
}
