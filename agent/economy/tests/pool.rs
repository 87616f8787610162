//! The pool against a second one that is written from the definition: what a swap pays is the most that keeps the
//! product of the reserves after the fee, found by bisection, with integers that have no width.
#![expect(clippy::unwrap_used, reason = "test")]

use num_bigint::BigUint;
use proptest::prelude::*;
use r1_core::{EthAddress, U256};
use r1_economy::{
    bank::{Asset, Bank, Mint, holder},
    pool::{Amounts, Exchange, Pool},
    table::Journal,
};

const WHO: EthAddress = EthAddress::new([9; 20]);

#[derive(Debug, Clone)]
enum Step {
    Sell(u128),
    Buy(u128),
    Add(u128, u128),
    Remove(u64),
    Present(u64, u64),
}

/// Amounts of every size alike.
fn size(bits: u32) -> impl Strategy<Value = u128> {
    (any::<u128>(), 0..=bits).prop_map(|(value, bits)| value & ((1u128 << bits) - 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => size(90).prop_map(Step::Sell),
        4 => size(60).prop_map(Step::Buy),
        3 => (size(90), size(60)).prop_map(|(r1, usdc)| Step::Add(r1, usdc)),
        2 => any::<u64>().prop_map(Step::Remove),
        1 => (any::<u32>(), any::<u16>()).prop_map(|(r1, usdc)| Step::Present(r1.into(), usdc.into())),
    ]
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reference {
    r1: BigUint,
    usdc: BigUint,
    /// What lies in the pool beyond the reserves.
    more: (BigUint, BigUint),
    supply: BigUint,
    held: BigUint,
}

fn big(value: u128) -> BigUint {
    value.into()
}

impl Reference {
    /// True if paying out `out` for `paid` keeps the product, of which 3 thousandths of what is paid do not count.
    fn keeps_product(reserve: &BigUint, other: &BigUint, paid: &BigUint, out: &BigUint) -> bool {
        let counted = (reserve + paid) * 1000u32 - paid * 3u32;
        out <= other && counted * (other - out) * 1000u32 >= reserve * other * 1_000_000u32
    }

    fn most(reserve: &BigUint, other: &BigUint, paid: &BigUint) -> BigUint {
        let (mut low, mut high) = (big(0), other.clone());
        while low < high {
            let middle = (&low + &high + 1u32) / 2u32;
            if Self::keeps_product(reserve, other, paid, &middle) {
                low = middle;
            } else {
                high = middle - 1u32;
            }
        }
        low
    }

    fn fits(amount: &BigUint) -> bool {
        amount.bits() <= 112
    }

    /// The balances become the reserves.
    fn sync(&mut self) {
        let more = std::mem::take(&mut self.more);
        self.r1 += more.0;
        self.usdc += more.1;
    }

    fn swap(&mut self, sell: bool, paid: u128) -> Option<BigUint> {
        let paid = big(paid);
        let (reserve, other) = if sell {
            (&self.r1, &self.usdc)
        } else {
            (&self.usdc, &self.r1)
        };
        if paid == big(0) {
            return None;
        }
        let out = Self::most(reserve, other, &paid);
        if out == big(0) {
            return None;
        }
        if sell {
            self.r1 += paid;
            self.usdc -= &out;
        } else {
            self.usdc += paid;
            self.r1 -= &out;
        }
        self.sync();
        (Self::fits(&self.r1) && Self::fits(&self.usdc)).then_some(out)
    }

    fn add(&mut self, r1: u128, usdc: u128) -> Option<BigUint> {
        let (mut r1, mut usdc) = (big(r1), big(usdc));
        if self.supply != big(0) {
            if r1 == big(0) {
                return None;
            }
            let fitting = &r1 * &self.usdc / &self.r1;
            if fitting <= usdc {
                usdc = fitting;
            } else {
                r1 = &usdc * &self.r1 / &self.usdc;
                if usdc == big(0) {
                    return None;
                }
            }
        }
        let (all_r1, all_usdc) = (r1 + &self.more.0, usdc + &self.more.1);
        let (made, locked) = if self.supply == big(0) {
            let root = (&all_r1 * &all_usdc).sqrt();
            (root.checked_sub_or_zero(1000), big(1000))
        } else {
            let first = &all_r1 * &self.supply / &self.r1;
            (first.min(&all_usdc * &self.supply / &self.usdc), big(0))
        };
        if made == big(0) {
            return None;
        }
        self.more = (all_r1, all_usdc);
        self.sync();
        self.supply += &made + locked;
        self.held += &made;
        (Self::fits(&self.r1) && Self::fits(&self.usdc)).then_some(made)
    }

    fn remove(&mut self, shares: &BigUint) -> Option<(BigUint, BigUint)> {
        self.sync();
        let part = |amount: &BigUint| amount * shares / &self.supply;
        let (r1, usdc) = (part(&self.r1), part(&self.usdc));
        if shares > &self.held || r1 == big(0) || usdc == big(0) {
            return None;
        }
        self.r1 -= &r1;
        self.usdc -= &usdc;
        self.supply -= shares;
        self.held -= shares;
        Some((r1, usdc))
    }
}

trait OrZero {
    fn checked_sub_or_zero(self, less: u32) -> Self;
}

impl OrZero for BigUint {
    fn checked_sub_or_zero(self, less: u32) -> Self {
        if self < big(less.into()) {
            big(0)
        } else {
            self - less
        }
    }
}

fn wide(value: U256) -> BigUint {
    BigUint::from_bytes_be(&value.to_be_bytes::<32>())
}

fn n(value: u128) -> U256 {
    U256::from(value)
}

/// The same step here; what it gave, or nothing if it was refused.
fn ours(bank: &mut Bank, pool: &mut Pool, step: &Step, shares: U256) -> Option<Vec<BigUint>> {
    let none = Amounts::default();
    match *step {
        Step::Sell(paid) | Step::Buy(paid) => {
            let asset = if matches!(step, Step::Sell(_)) {
                Asset::R1
            } else {
                Asset::Usdc
            };
            let out = pool.swap(bank, &WHO, (asset, n(paid)), U256::ZERO, &WHO);
            out.ok().map(|out| vec![wide(out)])
        }
        Step::Add(r1, usdc) => {
            let desired = Amounts {
                r1: n(r1),
                usdc: n(usdc),
            };
            let provided = pool.add_liquidity(bank, &WHO, desired, none, &WHO);
            provided.ok().map(|provided| vec![wide(provided.shares)])
        }
        Step::Remove(_) => {
            let back = pool.remove_liquidity(bank, &WHO, shares, none, &WHO);
            back.ok().map(|back| vec![wide(back.r1), wide(back.usdc)])
        }
        Step::Present(r1, usdc) => {
            bank.transfer(Asset::R1, &WHO, &holder::POOL, U256::from(r1))
                .unwrap();
            bank.transfer(Asset::Usdc, &WHO, &holder::POOL, U256::from(usdc))
                .unwrap();
            Some(Vec::new())
        }
    }
}

fn theirs(reference: &mut Reference, step: &Step, shares: U256) -> Option<Vec<BigUint>> {
    let mut next = reference.clone();
    let outcome = match *step {
        Step::Sell(paid) => next.swap(true, paid).map(|out| vec![out]),
        Step::Buy(paid) => next.swap(false, paid).map(|out| vec![out]),
        Step::Add(r1, usdc) => next.add(r1, usdc).map(|made| vec![made]),
        Step::Remove(_) => next.remove(&wide(shares)).map(|(r1, usdc)| vec![r1, usdc]),
        Step::Present(r1, usdc) => {
            next.more.0 += r1;
            next.more.1 += usdc;
            Some(Vec::new())
        }
    };
    if outcome.is_some() {
        *reference = next;
    }
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_pool_does_what_the_definition_says(
        start in (1u128 << 20..1 << 90, 1u128 << 20..1 << 60),
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut bank = Bank::new(U256::MAX);
        bank.mint(&WHO, U256::MAX >> 1, Mint::Genesis).unwrap();
        bank.issue_usdc(&WHO, U256::MAX >> 1).unwrap();
        let (mut pool, mut reference) = (Pool::default(), Reference::default());
        for step in std::iter::once(Step::Add(start.0, start.1)).chain(steps) {
            let before = reference.clone();
            let held = pool.shares.get(&WHO).copied().unwrap_or_default();
            let shares = match step {
                // Now and then one more than there are.
                Step::Remove(part) => held / U256::from(1 + part % 7) + U256::from(part % 11 / 10),
                _ => U256::ZERO,
            };
            bank.begin();
            pool.begin();
            let ours = ours(&mut bank, &mut pool, &step, shares);
            if ours.is_some() {
                bank.commit();
                pool.commit();
            } else {
                bank.rollback();
                pool.rollback();
            }
            prop_assert_eq!(ours, theirs(&mut reference, &step, shares), "{:?}", step);
            prop_assert_eq!(wide(pool.reserves.r1), reference.r1.clone());
            prop_assert_eq!(wide(pool.reserves.usdc), reference.usdc.clone());
            prop_assert_eq!(wide(pool.reserves.shares), reference.supply.clone());
            prop_assert_eq!(bank.balance(Asset::R1, &holder::POOL).checked_sub(pool.reserves.r1).map(wide), Some(reference.more.0.clone()));
            // The product per share squared never falls; without a change of shares that is the product itself.
            let (k, then) = (&reference.r1 * &reference.usdc, &before.r1 * &before.usdc);
            prop_assert!(k * &before.supply * &before.supply >= then * &reference.supply * &reference.supply);
        }
    }
}
