//! From a step's numbers to an action that mostly fits the state.

use r1_core::{EthAddress, U256};
use r1_economy::{Action, BlockContext, LicenceRef, LicenceView, State};

use crate::{
    jobs, licences, money,
    script::{Kind, Step},
    world::{Wallet, World},
};

/// Nobody's address.
pub const NOBODY: EthAddress = EthAddress::new([0; 20]);

/// What an action is made from.
pub struct Hand<'a> {
    pub world: &'a World,
    pub state: &'a State,
    pub now: BlockContext,
    pub step: &'a Step,
}

/// The action of a step and who sends it; `None` if its bytes are no action.
pub fn action(hand: &Hand<'_>) -> Option<(EthAddress, Action)> {
    let any = |bytes: &[u8]| postcard::from_bytes(bytes).ok();
    match hand.step.kind {
        Kind::Any => Some((hand.who().eth, any(&hand.step.bytes)?)),
        kind => licences::action(hand, kind)
            .or_else(|| money::action(hand, kind))
            .or_else(|| jobs::action(hand, kind)),
    }
}

/// One of some by a random number.
pub fn pick<T>(all: &[T], number: u8) -> Option<&T> {
    all.get(usize::from(number).checked_rem(all.len())?)
}

/// A part of an amount by a random number: nothing, one, all, too much, absurdly much; mostly up to a quarter.
pub fn part(amount: U256, number: u8) -> U256 {
    match number {
        0 => U256::ZERO,
        1 => U256::ONE,
        252 => amount,
        253 => amount.saturating_add(U256::ONE),
        254 => U256::MAX,
        255 => U256::MAX >> 128,
        other => amount.saturating_mul(U256::from(other)) >> 10,
    }
}

impl<'a> Hand<'a> {
    /// Who acts where it is not for the state to say.
    pub fn who(&self) -> &'a Wallet {
        self.world.wallet(self.step.who)
    }

    /// An account by a random number.
    pub fn account(&self, number: u8) -> EthAddress {
        self.world.wallet(number).eth
    }

    /// True if this is done wrongly.
    pub fn fault(&self, which: u8) -> bool {
        self.step.fault() == Some(which)
    }

    /// Who should act, mostly.
    pub fn sender(&self, right: EthAddress) -> EthAddress {
        if self.fault(0) { self.who().eth } else { right }
    }

    /// One of the licences that `fits`; now and then one that does not, or does not exist.
    pub fn licence(&self, number: u8, fits: impl Fn(&LicenceView) -> bool) -> Choice {
        let views: Vec<LicenceView> = self.state.licences().collect();
        let fitting: Vec<&LicenceView> = views.iter().filter(|view| fits(view)).collect();
        let view = match self.step.fault() {
            Some(1) => None,
            Some(2) => pick(&views, number),
            _ => pick(&fitting, number).copied().or_else(|| pick(&views, number)),
        };
        Choice {
            licence: view.map_or(LicenceRef::Nd(u64::from(number)), |view| view.licence),
            owner: view.map_or(self.who().eth, |view| view.owner),
            view: view.cloned(),
        }
    }
}

/// A licence that was picked.
pub struct Choice {
    pub licence: LicenceRef,
    pub owner: EthAddress,
    pub view: Option<LicenceView>,
}
