//! Money, the pool, the sale, and what only the owner of the contracts may do.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Action, LicenceRef, Mode, OwnerAction, Purchase,
    bank::{Asset, holder},
    message,
};

use crate::{
    act::{Hand, NOBODY, part},
    licences::receiver,
    script::Kind,
    sign::sign,
    world::CHAIN,
};

/// One R1, wei.
const R1: u64 = 1_000_000_000_000_000_000;
/// One USDC, micro-units.
const USDC: u64 = 1_000_000;
/// Apps that are burned for; the last name is none.
const APPS: [&str; 3] = ["a", "b.c-1", "No App"];

/// The action, if it is one of these.
pub fn action(hand: &Hand<'_>, kind: Kind) -> Option<(EthAddress, Action)> {
    let who = hand.who().eth;
    Some(match kind {
        Kind::Transfer => (who, transfer(hand)),
        Kind::Burn => (who, burn(hand)),
        Kind::Swap => (who, swap(hand)),
        Kind::AddLiquidity => (who, add(hand)),
        Kind::RemoveLiquidity => remove(hand),
        Kind::Buy => (who, buy(hand)),
        _ => return owner(hand, kind),
    })
}

fn asset(number: u8) -> Asset {
    if number.is_multiple_of(2) {
        Asset::R1
    } else {
        Asset::Usdc
    }
}

/// An account, or now and then one that belongs to the rules, or nobody.
fn payee(hand: &Hand<'_>, number: u8) -> EthAddress {
    match number {
        252..=254 => holder::ALL[usize::from(number - 252)],
        255 => NOBODY,
        _ => hand.account(number),
    }
}

fn transfer(hand: &Hand<'_>) -> Action {
    let asset = asset(hand.step.a);
    let held = hand.state.balance_of(asset, &hand.who().eth);
    Action::Transfer {
        asset,
        to: payee(hand, hand.step.b),
        amount: part(held, hand.step.c),
    }
}

fn burn(hand: &Hand<'_>) -> Action {
    let app = APPS.get(usize::from(hand.step.a % 5));
    Action::Burn {
        amount: part(hand.state.balance(&hand.who().eth), hand.step.c),
        app: app.map(|app| (*app).to_owned()),
    }
}

/// What is accepted at least: mostly anything.
fn least(hand: &Hand<'_>, amount: U256) -> U256 {
    if hand.fault(3) { amount } else { U256::ZERO }
}

fn swap(hand: &Hand<'_>) -> Action {
    let asset = asset(hand.step.a);
    let held = hand.state.balance_of(asset, &hand.who().eth);
    Action::Swap {
        asset,
        amount: part(held, hand.step.c),
        min_out: least(hand, U256::MAX),
    }
}

fn add(hand: &Hand<'_>) -> Action {
    let held = |asset| hand.state.balance_of(asset, &hand.who().eth);
    let (r1, usdc) = (
        part(held(Asset::R1), hand.step.b),
        part(held(Asset::Usdc), hand.step.c),
    );
    Action::AddLiquidity {
        r1,
        usdc,
        min_r1: least(hand, r1),
        min_usdc: least(hand, usdc),
    }
}

/// Somebody who has liquidity takes some out.
fn remove(hand: &Hand<'_>) -> (EthAddress, Action) {
    let shares = |account: &EthAddress| hand.state.wallet(account).pool_shares;
    let wallets = hand.world.wallets().iter().map(|wallet| wallet.eth);
    let providers: Vec<EthAddress> = wallets.filter(|account| !shares(account).is_zero()).collect();
    let who = crate::act::pick(&providers, hand.step.who).copied();
    let who = hand.sender(who.unwrap_or(hand.who().eth));
    let action = Action::RemoveLiquidity {
        shares: part(shares(&who), hand.step.c),
        min_r1: least(hand, U256::MAX),
        min_usdc: least(hand, U256::ZERO),
    };
    (who, action)
}

fn buy(hand: &Hand<'_>) -> Action {
    let buyer = hand.who();
    let (step, state) = (hand.step, hand.state);
    let (invoice, vat_bp) = ([step.b; 32], U256::from(u64::from(step.c % 12) * 1_000));
    let usd_limit = U256::from(if hand.fault(1) { 400_u64 } else { 20_000 });
    let compat = message::buy(&buyer.eth, &invoice, usd_limit, vat_bp);
    // A signature for the transaction before this one is worth nothing.
    let nonce = state.nonce(&buyer.eth).wrapping_sub(u64::from(hand.fault(2)));
    let digest = match state.params().mode {
        Mode::Compat => compat.hash(),
        Mode::Strict => message::buy_strict(CHAIN, nonce, &compat).hash(),
    };
    let oracles = hand.world.oracles();
    let signer = if hand.fault(3) {
        // Its last one is no oracle.
        &hand.world.wallets()[oracles.len()]
    } else {
        &oracles[usize::from(step.a / 4) % oracles.len()]
    };
    Action::Buy(Purchase {
        count: u64::from(step.a % 4) + u64::from(!hand.fault(4)),
        tier: state.economy().sale.tier + u64::from(hand.fault(5)),
        max_price: if hand.fault(6) { U256::ONE } else { U256::MAX },
        invoice,
        usd_limit,
        vat_bp,
        approval: sign(signer, &digest),
    })
}

fn owner(hand: &Hand<'_>, kind: Kind) -> Option<(EthAddress, Action)> {
    let step = hand.step;
    let deed = |banned| {
        let choice = hand.licence(step.a, |view| {
            matches!(view.licence, LicenceRef::Nd(_)) && view.banned == banned
        });
        choice.licence.number()
    };
    let action = match kind {
        Kind::AddMnd => OwnerAction::AddMnd {
            owner: hand.account(step.a),
            assigned: U256::from(step.b) * U256::from(2_000 * u128::from(R1)),
        },
        Kind::InitiateMnd => {
            let is_master = |licence: &LicenceRef| matches!(licence, LicenceRef::Mnd(_));
            let id = hand
                .licence(step.a, |view| is_master(&view.licence))
                .licence
                .number();
            // A fifth of them are burns.
            let receiver = if step.b < 51 { NOBODY } else { receiver(hand, id) };
            OwnerAction::InitiateMnd { id, receiver }
        }
        Kind::Ban => OwnerAction::Ban { licence: deed(false) },
        Kind::Unban => OwnerAction::Unban { licence: deed(true) },
        // Mostly they go on.
        Kind::PauseDeeds => OwnerAction::PauseDeeds { paused: step.a < 48 },
        Kind::PauseMasters => OwnerAction::PauseMasters { paused: step.a < 48 },
        Kind::IssueUsdc => OwnerAction::IssueUsdc {
            to: payee(hand, step.a),
            amount: part(U256::from(100_000 * USDC), step.c),
        },
        _ => return None,
    };
    Some((hand.sender(hand.world.owner()), Action::Owner(action)))
}
