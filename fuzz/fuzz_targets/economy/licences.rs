//! Licences: link, unlink, claim, transfer, burn; and the signatures of nodes and oracles that this needs.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Action, LicenceRef, LicenceView, LinkMany, Mode, Signature, SignedClaim, link_consent, message,
};

use crate::{
    act::{Choice, Hand, NOBODY, pick},
    script::Kind,
    sign::sign,
    world::{CHAIN, NO_MINING_EPOCHS, Wallet},
};

/// Most epochs in a signed claim that are made up; more than a sequence lasts, mostly.
const MAX_EPOCHS: u64 = 300;

/// The claim of the mode, but for a fault.
fn of_the_mode(hand: &Hand<'_>, kind: Kind) -> Kind {
    match (kind, hand.state.params().mode) {
        (Kind::Claim | Kind::ClaimSigned, _) if hand.fault(1) => kind,
        (Kind::Claim, Mode::Compat) => Kind::ClaimSigned,
        (Kind::ClaimSigned, Mode::Strict) => Kind::Claim,
        _ => kind,
    }
}

/// The action, if it is one of these.
pub fn action(hand: &Hand<'_>, kind: Kind) -> Option<(EthAddress, Action)> {
    let free = |view: &LicenceView| view.node.is_none() && !view.banned;
    let linked = |view: &LicenceView| view.node_address.is_some() && !view.banned;
    let of = |choice: Choice, action: Action| Some((hand.sender(choice.owner), action));
    match of_the_mode(hand, kind) {
        Kind::Link => Some(link(hand)),
        Kind::LinkMany => Some(link_many(hand)),
        Kind::Unlink => {
            let choice = hand.licence(hand.step.a, linked);
            let licence = choice.licence;
            of(choice, Action::Unlink { licence })
        }
        Kind::Claim => {
            let choice = hand.licence(hand.step.a, |view| !view.claimable.is_zero());
            let licence = choice.licence;
            of(choice, Action::Claim { licence })
        }
        Kind::ClaimSigned => Some(claim_signed(hand)),
        Kind::TransferLicence => {
            let choice = hand.licence(hand.step.a, |view| free(view) || hand.step.c.is_multiple_of(2));
            let licence = choice.licence;
            let to = match licence {
                LicenceRef::Mnd(id) => receiver(hand, id),
                LicenceRef::Nd(_) if hand.fault(3) => NOBODY,
                LicenceRef::Nd(_) => hand.account(hand.step.b),
            };
            of(choice, Action::TransferLicence { licence, to })
        }
        Kind::BurnLicence => {
            let choice = hand.licence(hand.step.a, |view| {
                free(view) || matches!(view.licence, LicenceRef::Mnd(_))
            });
            let licence = choice.licence;
            of(choice, Action::BurnLicence { licence })
        }
        _ => None,
    }
}

/// For whom the transfer of a master node deed is initiated, and to whom it is then given.
pub fn receiver(hand: &Hand<'_>, id: u64) -> EthAddress {
    hand.world.wallets()[usize::try_from(id).unwrap_or(0) % hand.world.wallets().len()].eth
}

/// Nodes without a licence; all if there is none.
fn free_nodes<'a>(hand: &Hand<'a>) -> Vec<&'a Wallet> {
    let wallets = hand.world.wallets().iter();
    let linked: Vec<_> = hand.state.licences().filter_map(|view| view.node).collect();
    let free: Vec<_> = wallets
        .clone()
        .filter(|wallet| !linked.contains(&wallet.node))
        .collect();
    if free.is_empty() || hand.fault(3) {
        wallets.collect()
    } else {
        free
    }
}

/// What a node signs (strict), or an oracle (compat). Wrong ones are for the link before, or of somebody else.
fn consent(hand: &Hand<'_>, sender: &EthAddress, licence: LicenceRef, node: &Wallet) -> Signature {
    let oracles = hand.world.oracles();
    match hand.state.params().mode {
        Mode::Strict => {
            let nonce = hand
                .state
                .link_nonce(licence)
                .wrapping_sub(u64::from(hand.fault(4)));
            let signer = if hand.fault(5) { hand.who() } else { node };
            sign(signer, &link_consent(CHAIN, sender, licence, &node.node, nonce))
        }
        Mode::Compat => {
            let signer = if hand.fault(5) {
                hand.who()
            } else {
                &oracles[usize::from(hand.step.c) % oracles.len()]
            };
            sign(signer, &message::link(sender, &node.eth).hash())
        }
    }
}

fn link(hand: &Hand<'_>) -> (EthAddress, Action) {
    let Choice { licence, owner, .. } = hand.licence(hand.step.a, |view| view.node.is_none() && !view.banned);
    let sender = hand.sender(owner);
    let node = *pick(&free_nodes(hand), hand.step.b).expect("there are nodes");
    let action = Action::Link {
        licence,
        node: node.node,
        consent: consent(hand, &sender, licence, node),
    };
    (sender, action)
}

/// Up to three node deeds of one account.
fn link_many(hand: &Hand<'_>) -> (EthAddress, Action) {
    let is_deed =
        |view: &LicenceView| matches!(view.licence, LicenceRef::Nd(_)) && view.node.is_none() && !view.banned;
    let sender = hand.sender(hand.licence(hand.step.a, is_deed).owner);
    let own = hand
        .state
        .licences()
        .filter(|view| is_deed(view) && view.owner == sender)
        .take(1 + usize::from(hand.step.b % 3));
    let mut nodes = free_nodes(hand);
    let turn = usize::from(hand.step.c) % nodes.len();
    nodes.rotate_left(turn);
    let pairs: Vec<(LicenceRef, &Wallet)> = own.map(|view| view.licence).zip(nodes).collect();
    let addresses: Vec<EthAddress> = pairs.iter().map(|(_, node)| node.eth).collect();
    let mut consents: Vec<Signature> = match hand.state.params().mode {
        Mode::Strict => pairs
            .iter()
            .map(|(licence, node)| consent(hand, &sender, *licence, node))
            .collect(),
        Mode::Compat => {
            let signer = if hand.fault(5) {
                hand.who()
            } else {
                &hand.world.oracles()[0]
            };
            vec![sign(signer, &message::link_multi(&sender, &addresses).hash())]
        }
    };
    if hand.fault(6) {
        consents.pop();
    }
    let action = Action::LinkMany(LinkMany {
        licences: pairs.iter().map(|(licence, _)| licence.number()).collect(),
        nodes: pairs.iter().map(|(_, node)| node.node).collect(),
        consents,
    });
    (sender, action)
}

/// Claims for one linked licence, or for all linked ones of its owner.
fn claim_signed(hand: &Hand<'_>) -> (EthAddress, Action) {
    let choice = hand.licence(hand.step.a, |view| view.node_address.is_some() && !view.banned);
    let sender = hand.sender(choice.owner);
    let claims = if hand.step.who.is_multiple_of(4) {
        let own = hand
            .state
            .licences()
            .filter(|view| view.owner == sender && view.node_address.is_some());
        own.map(|view| signed(hand, view.licence, Some(&view))).collect()
    } else {
        vec![signed(hand, choice.licence, choice.view.as_ref())]
    };
    (sender, Action::ClaimSigned(claims))
}

fn signed(hand: &Hand<'_>, licence: LicenceRef, view: Option<&LicenceView>) -> SignedClaim {
    let step = hand.step;
    let last_claim = view.and_then(|view| view.last_claim_epoch).unwrap_or_default();
    let mines_from = match licence {
        LicenceRef::Nd(_) => 0,
        LicenceRef::Mnd(1) => 1,
        LicenceRef::Mnd(_) => NO_MINING_EPOCHS,
    };
    let first = last_claim.max(mines_from);
    let epochs = hand.now.epoch.saturating_sub(first).min(MAX_EPOCHS);
    let (first_epoch, epochs) = match step.fault() {
        Some(3) => (first, epochs.saturating_sub(1)),
        Some(4) => (first + 1, epochs),
        Some(5) => (u64::MAX - u64::from(step.b % 2), epochs),
        Some(6) => (first, epochs + 1),
        _ => (first, epochs),
    };
    // Ups and downs, or always the same.
    let value = |epoch: u64| match step.c {
        0..128 => step.b,
        _ => step.b.wrapping_mul(epoch.to_le_bytes()[0]),
    };
    let availabilities: Vec<u8> = (0..epochs).map(value).collect();
    let version = if hand.fault(7) { step.c } else { 1 + step.c % 2 };
    let node = view.and_then(|view| view.node_address).unwrap_or(NOBODY);
    let digest = if version == 1 {
        let epochs: Vec<U256> = (0..epochs)
            .map(|epoch| U256::from(first_epoch.wrapping_add(epoch)))
            .collect();
        message::claim_v1(&node, &epochs, &availabilities).hash()
    } else {
        let last = first_epoch.wrapping_add(epochs.saturating_sub(1));
        message::claim_v2(&node, U256::from(first_epoch), U256::from(last), &availabilities).hash()
    };
    SignedClaim {
        licence,
        node,
        version,
        first_epoch,
        availabilities,
        signatures: agreement(hand, &digest),
    }
}

/// Two oracles or all three; wrongly one, one twice, or somebody else.
fn agreement(hand: &Hand<'_>, digest: &[u8; 32]) -> Vec<Signature> {
    let wallets = hand.world.wallets();
    let signers: &[usize] = match (hand.step.slip, hand.step.slip % 4) {
        (192..200, 0) => &[1],
        (192..200, 1) => &[1, 1],
        (192..200, 2) => &[1, 4],
        (192..200, _) => &[],
        (_, 0) => &[0, 1, 2],
        (_, 1) => &[0, 2],
        (_, 2) => &[1, 0],
        _ => &[2, 1],
    };
    signers
        .iter()
        .map(|number| sign(&wallets[*number], digest))
        .collect()
}
