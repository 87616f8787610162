//! All rooms through the ledger: what each action does, who may do it, and what it costs.

mod jobs;
mod modes;

use std::collections::BTreeMap;

use r1_core::{EpochClock, Genesis, GenesisLicence, GenesisOracle};
use r1_identity::NodeKey;
use serde_json::{Value, json};

use super::*;
use crate::{
    Action, BlockContext, LinkMany, Mode, OwnerAction, Purchase, Signature, SignedClaim,
    bank::{Asset, holder},
    controller::ControllerRefusal,
    link_consent, message,
    mnd::MndRefusal,
    poai::{JobRequest, PoaiRefusal, permission},
    pool::PoolRefusal,
    sign_digest,
};

const CHAIN: u64 = 31_337;
const EPOCH_MS: u64 = 60_000;
/// The owner of the contracts, who is the only oracle.
const OWNER: u8 = 1;
const ALICE: u8 = 2;
const BOB: u8 = 3;
const USDC: u64 = 1_000_000;

fn key(who: u8) -> NodeKey {
    NodeKey::from_secret_bytes(&[who; 32]).unwrap()
}

fn eth(who: u8) -> EthAddress {
    key(who).eth_address()
}

fn sign(who: u8, hash: &[u8; 32]) -> Signature {
    Signature(sign_digest(&[who; 32], hash).unwrap())
}

fn r1(whole: u64) -> U256 {
    U256::from(whole) * U256::from(10).pow(U256::from(18))
}

fn world(mode: &str) -> State {
    let licence = |(id, who)| GenesisLicence { id, owner: eth(who) };
    let account = |who| json!({ "account": eth(who), "r1": r1(100_000).to_string(), "usdc": (100_000 * USDC).to_string() });
    let economy = json!({
        "mode": mode,
        "owner": eth(OWNER),
        "pool": { "account": eth(OWNER), "r1": r1(3_000_000).to_string(), "usdc": (1_500_000 * USDC).to_string() },
        "allocations": [account(ALICE), account(BOB)],
        "nd": { "direct_add_lp_bp": 5000 },
        "mnd": { "no_mining_epochs": 2 },
        "adoption": { "licences": 1, "volume_usdc": 1 },
        "jobs": { "min_epochs": 2, "redeem_after_ms": 1000, "consensus_cooldown_ms": 1 },
    });
    let Value::Object(economy) = economy else {
        unreachable!()
    };
    State::genesis(&Genesis {
        network: "test".into(),
        chain_id: CHAIN,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: EPOCH_MS,
        },
        oracle_min_availability: 153,
        oracles: vec![GenesisOracle {
            address: key(OWNER).address(),
            consensus_addr: String::new(),
            net_addr: String::new(),
        }],
        licences: [(1, OWNER), (2, ALICE), (3, BOB)].map(licence).to_vec(),
        economy,
    })
    .unwrap()
}

fn at(epoch: u64, ms: u64) -> BlockContext {
    BlockContext {
        timestamp_ms: epoch * EPOCH_MS + ms,
        epoch,
    }
}

/// Sends with a signature, as a node would; whatever comes of it, every promise holds.
fn send(state: &mut State, context: BlockContext, who: u8, action: Action) -> Result<Effect, Refusal> {
    let transaction = Transaction {
        chain_id: CHAIN,
        nonce: state.nonce(&eth(who)),
        action,
    };
    let signed = transaction.sign(&[who; 32]).unwrap();
    let decoded = SignedTransaction::decode(&signed.encode()).unwrap();
    let json = serde_json::to_string(&signed).unwrap();
    assert_eq!(serde_json::from_str::<SignedTransaction>(&json).unwrap(), decoded);
    let before = state.root();
    let outcome = state.apply(context, &decoded).map(|receipt| receipt.effect);
    if outcome.is_err() {
        assert_eq!(state.root(), before);
    }
    assert_eq!(state.audit(), Ok(()));
    outcome
}

fn consent(state: &State, who: u8, licence: LicenceRef, node: u8) -> Signature {
    let nonce = state.link_nonce(licence);
    sign(
        node,
        &link_consent(CHAIN, &eth(who), licence, &key(node).address(), nonce),
    )
}

fn link(state: &mut State, context: BlockContext, who: u8, licence: LicenceRef, node: u8) {
    let action = Action::Link {
        licence,
        node: key(node).address(),
        consent: consent(state, who, licence, node),
    };
    send(state, context, who, action).unwrap();
}

fn close(state: &mut State, values: &[(u8, u8)]) -> EpochClosed {
    let table: BTreeMap<_, _> = values
        .iter()
        .map(|(who, value)| (key(*who).address(), *value))
        .collect();
    let closed = state.close_epoch(state.next_epoch(), &table, false).unwrap();
    assert_eq!(state.audit(), Ok(()));
    closed
}

#[test]
fn licences_are_bought_with_an_approval_that_serves_once() {
    let mut state = world("strict");
    let purchase = |approval| Purchase {
        count: 2,
        tier: 1,
        max_price: r1(1001),
        invoice: [7; 32],
        usd_limit: U256::from(10_000),
        vat_bp: U256::from(2000),
        approval,
    };
    let compat = message::buy(&eth(BOB), &[7; 32], U256::from(10_000), U256::from(2000));
    let refused = send(
        &mut state,
        at(1, 1),
        BOB,
        Action::Buy(purchase(sign(OWNER, &compat.hash()))),
    );
    assert!(matches!(
        refused,
        Err(Refusal::Sale(crate::sale::SaleRefusal::Oracle(
            ControllerRefusal::NotOracle { .. }
        )))
    ));
    let nonce = state.nonce(&eth(BOB));
    let strict = message::buy_strict(CHAIN, nonce, &compat);
    let bought = send(
        &mut state,
        at(1, 1),
        BOB,
        Action::Buy(purchase(sign(OWNER, &strict.hash()))),
    )
    .unwrap();
    assert!(matches!(bought, Effect::Bought(bought) if bought.first == 4 && bought.count == 2));
    assert_eq!(state.economy().licences, (5, 1));
    assert!(state.totals().burned_sale > U256::ZERO);
    assert_eq!(state.economy().sale.sold, 2);
}

#[test]
fn a_master_node_deed_is_credited_withheld_and_explained() {
    let mut state = world("strict");
    let add = |who| {
        Action::Owner(OwnerAction::AddMnd {
            owner: eth(who),
            assigned: r1(300_000),
        })
    };
    assert_eq!(
        send(&mut state, at(0, 1), ALICE, add(ALICE)),
        Err(Refusal::NotContractOwner(eth(ALICE)))
    );
    let made = send(&mut state, at(0, 1), OWNER, add(ALICE)).unwrap();
    assert_eq!(made, Effect::Made(LicenceRef::Mnd(2)));
    let licence = LicenceRef::Mnd(2);
    let stolen = Action::Link {
        licence,
        node: key(BOB).address(),
        consent: consent(&state, ALICE, LicenceRef::Nd(2), BOB),
    };
    assert!(matches!(
        send(&mut state, at(0, 1), ALICE, stolen),
        Err(Refusal::NoConsent { .. })
    ));
    link(&mut state, at(0, 1), ALICE, licence, BOB);
    assert_eq!(state.licence_of(&key(BOB).address()), Some(licence));
    for _ in 0..2 {
        close(&mut state, &[(BOB, 255)]);
    }
    assert_eq!(
        state.licence(licence).unwrap().claimable,
        U256::ZERO,
        "it does not mine yet"
    );
    close(&mut state, &[(BOB, 255)]);
    // Nothing was sold and nothing spent: all is withheld.
    let view = state.licence(licence).unwrap();
    assert_eq!((view.claimable, view.withheld), (U256::ZERO, view.claimed));
    assert!(view.withheld > U256::ZERO);
    let explained = state.explain_reward(licence, 2, 255).unwrap();
    let text = explained.text.join("\n");
    assert!(text.contains("adoption was 0 of 65535"), "{text}");
    assert!(
        text.contains("the curve stands at 0.029312230751356318 of 1"),
        "{text}"
    );
    assert_eq!(explained.earned, U256::ZERO);
    assert_eq!(
        send(&mut state, at(3, 1), ALICE, Action::Claim { licence }),
        Err(MndRefusal::NothingToClaim(licence).into())
    );
    // Two licences are sold: twice the threshold of one half makes adoption whole.
    let compat = message::buy(&eth(BOB), &[1; 32], r1(1), U256::ZERO);
    let strict = message::buy_strict(CHAIN, state.nonce(&eth(BOB)), &compat);
    let purchase = Purchase {
        count: 2,
        tier: 1,
        max_price: r1(2000),
        invoice: [1; 32],
        usd_limit: r1(1),
        vat_bp: U256::ZERO,
        approval: sign(OWNER, &strict.hash()),
    };
    send(&mut state, at(3, 1), BOB, Action::Buy(purchase)).unwrap();
    close(&mut state, &[(BOB, 255)]);
    let claimed = send(&mut state, at(4, 1), ALICE, Action::Claim { licence }).unwrap();
    assert!(
        matches!(claimed, Effect::Minted(amount) if amount > r1(29)),
        "{claimed:?}"
    );
    assert_eq!(
        state.totals().minted_mnd,
        state.balance(&eth(ALICE)) - r1(100_000)
    );
}

#[test]
fn the_reward_of_an_epoch_is_explained_line_by_line() {
    let mut state = world("strict");
    link(&mut state, at(1, 1), ALICE, LicenceRef::Nd(2), ALICE);
    close(&mut state, &[(ALICE, 255)]);
    close(&mut state, &[(ALICE, 247)]);
    let before = state.explain_reward(LicenceRef::Nd(2), 0, 255).unwrap();
    assert!(
        before.text[0].contains("younger than epoch 0"),
        "{:?}",
        before.text
    );
    let explained = state.explain_reward(LicenceRef::Nd(2), 1, 247).unwrap();
    assert_eq!(explained.earned.to_string(), "1412751068751314993");
    assert_eq!(
        explained.text,
        [
            "a whole epoch pays 1.458508188386985115 R1; 247 of 255 of it, rounded down to the wei: 1.412751068751314993 R1",
            "the licence has claimed 0 of at most 1575.188843457943925233 R1; 1575.188843457943925233 R1 are left",
            "it is part of the 1.412751068751314993 R1 that a claim pays now (epochs 1 to 1)",
        ]
    );
    let licence = LicenceRef::Nd(2);
    let minted = send(&mut state, at(2, 1), ALICE, Action::Claim { licence }).unwrap();
    assert_eq!(minted, Effect::Minted(explained.earned));
    let paid = state.explain_reward(licence, 1, 247).unwrap().text;
    assert_eq!(paid[2], "epoch 1 is paid: the last claim went up to epoch 1");
    assert_eq!(state.explain_reward(LicenceRef::Nd(99), 1, 0), None);
}

#[test]
fn what_belongs_to_the_owner_or_to_the_rules_is_refused_to_others() {
    let mut state = world("strict");
    let transfer = |to, amount: u64| Action::Transfer {
        asset: Asset::R1,
        to,
        amount: U256::from(amount),
    };
    for to in [
        EthAddress::new([0; 20]),
        holder::ESCROW,
        holder::POOL,
        holder::SALE,
    ] {
        let refused = send(&mut state, at(1, 1), ALICE, transfer(to, 1));
        assert_eq!(refused, Err(Refusal::Receiver(to)));
    }
    assert_eq!(
        send(&mut state, at(1, 1), ALICE, transfer(eth(BOB), 0)),
        Err(Refusal::Nothing("transfer"))
    );
    for action in [
        OwnerAction::Ban { licence: 2 },
        OwnerAction::PauseDeeds { paused: true },
        OwnerAction::PauseMasters { paused: true },
        OwnerAction::InitiateMnd {
            id: 1,
            receiver: eth(ALICE),
        },
    ] {
        let refused = send(&mut state, at(1, 1), ALICE, Action::Owner(action.clone()));
        assert_eq!(refused, Err(Refusal::NotContractOwner(eth(ALICE))));
        send(&mut state, at(1, 1), OWNER, Action::Owner(action)).unwrap();
    }
    let licence = LicenceRef::Nd(3);
    let action = Action::Link {
        licence,
        node: key(BOB).address(),
        consent: consent(&state, BOB, licence, BOB),
    };
    let refused = send(&mut state, at(1, 1), BOB, action).unwrap_err();
    assert_eq!(refused.to_string(), "node deeds are paused");
}

#[test]
fn burns_swaps_and_gifts_of_licences_go_through_the_ledger() {
    let mut state = world("strict");
    let burn = |amount: u64, app: Option<&str>| Action::Burn {
        amount: r1(amount),
        app: app.map(str::to_owned),
    };
    send(&mut state, at(1, 1), ALICE, burn(5, Some("redmesh"))).unwrap();
    send(&mut state, at(1, 1), BOB, burn(2, None)).unwrap();
    assert_eq!(state.top_apps(), [("redmesh".to_owned(), r1(5))]);
    assert_eq!(state.top_burners(), [(eth(ALICE), r1(5)), (eth(BOB), r1(2))]);
    let swap = |min_out| Action::Swap {
        asset: Asset::R1,
        amount: r1(10),
        min_out: U256::from(min_out),
    };
    assert!(matches!(
        send(&mut state, at(1, 1), ALICE, swap(5 * USDC)),
        Err(Refusal::Pool(PoolRefusal::InsufficientOutput { .. }))
    ));
    assert!(matches!(
        send(&mut state, at(1, 1), ALICE, swap(4 * USDC)),
        Ok(Effect::Swapped(_))
    ));
    let licence = LicenceRef::Nd(2);
    let give = |to| Action::TransferLicence { licence, to: eth(to) };
    assert!(send(&mut state, at(1, 1), BOB, give(BOB)).is_err());
    send(&mut state, at(1, 1), ALICE, give(BOB)).unwrap();
    assert_eq!(state.wallet(&eth(BOB)).licences.len(), 2);
    send(&mut state, at(1, 1), BOB, Action::BurnLicence { licence }).unwrap();
    assert_eq!(state.licence(licence), None);
    let many = LinkMany {
        licences: vec![3],
        nodes: vec![key(ALICE).address()],
        consents: vec![consent(&state, BOB, LicenceRef::Nd(3), ALICE)],
    };
    send(&mut state, at(1, 1), BOB, Action::LinkMany(many)).unwrap();
    assert!(state.is_node_active(&eth(ALICE)));
}

#[test]
fn a_genesis_that_contradicts_itself_makes_no_state() {
    let genesis = |economy: Value, id| Genesis {
        network: "test".into(),
        chain_id: 1,
        epoch: EpochClock {
            genesis_ms: 0,
            length_ms: EPOCH_MS,
        },
        oracle_min_availability: 0,
        oracles: Vec::new(),
        licences: vec![GenesisLicence {
            id,
            owner: eth(ALICE),
        }],
        economy: economy.as_object().cloned().unwrap(),
    };
    let refused = |economy, id| State::genesis(&genesis(economy, id)).unwrap_err().to_string();
    assert!(refused(json!({ "preset": "moon" }), 1).contains("moon"));
    assert!(refused(json!({}), 50_000).contains("licence 50000"));
    let rich = json!({ "account": eth(ALICE), "r1": r1(200_000_000).to_string(), "usdc": "0" });
    assert!(refused(json!({ "allocations": [rich] }), 1).contains("cap"));
    let holder = json!({ "account": holder::ESCROW, "r1": "1", "usdc": "0" });
    assert!(refused(json!({ "allocations": [holder] }), 1).contains("belongs to the rules"));
    assert!(
        refused(
            json!({ "pool": { "account": eth(ALICE), "r1": "1", "usdc": "1" } }),
            1
        )
        .contains("share")
    );
}
