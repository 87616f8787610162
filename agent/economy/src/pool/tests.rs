use proptest::prelude::*;

use super::*;

const LP: EthAddress = EthAddress::new([1; 20]);
const TRADER: EthAddress = EthAddress::new([2; 20]);

fn n(value: u128) -> U256 {
    U256::from(value)
}

fn world(r1: u128, usdc: u128) -> (Bank, Pool) {
    let mut bank = Bank::new(U256::MAX);
    for who in [LP, TRADER] {
        bank.mint(&who, n(u128::MAX), crate::bank::Mint::Genesis).unwrap();
        bank.issue_usdc(&who, n(u128::MAX)).unwrap();
    }
    let mut pool = Pool::default();
    let desired = Amounts {
        r1: n(r1),
        usdc: n(usdc),
    };
    pool.add_liquidity(&mut bank, &LP, desired, Amounts::default(), &LP)
        .unwrap();
    (bank, pool)
}

#[test]
fn the_first_provider_gets_the_root_less_what_is_locked() {
    let (_, pool) = world(3_000_000_000_000_000_000_000_000, 1_500_000_000_000);
    assert_eq!(pool.reserves.shares, n(2_121_320_343_559_642_573));
    assert_eq!(pool.shares.get(&LP), Some(&n(2_121_320_343_559_641_573)));
    assert_eq!(pool.price().unwrap(), n(500_000_000_000_000_000));
}

#[test]
fn what_cannot_be_done_is_named() {
    let (mut bank, mut pool) = world(1_000_000, 1_000_000);
    let swap = |bank: &mut Bank, pool: &mut Pool, amount, min| {
        pool.swap(bank, &TRADER, (Asset::R1, n(amount)), n(min), &TRADER)
            .unwrap_err()
            .revert()
    };
    assert_eq!(
        swap(&mut bank, &mut pool, 0, 0),
        "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT"
    );
    assert_eq!(
        swap(&mut bank, &mut pool, 1000, 997),
        "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT"
    );
    assert_eq!(
        swap(&mut bank, &mut pool, 1, 0),
        "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"
    );
    assert_eq!(
        swap(&mut bank, &mut Pool::default(), 1, 0),
        "UniswapV2Library: INSUFFICIENT_LIQUIDITY"
    );
    assert!(Pool::default().price().is_err());
    let one = Amounts { r1: n(1), usdc: n(1) };
    let mut bank = Bank::new(U256::MAX);
    bank.mint(&LP, n(1), crate::bank::Mint::Genesis).unwrap();
    bank.issue_usdc(&LP, n(1)).unwrap();
    let refusal = Pool::default()
        .add_liquidity(&mut bank, &LP, one, Amounts::default(), &LP)
        .unwrap_err();
    assert_eq!(refusal.revert(), "UniswapV2: INSUFFICIENT_LIQUIDITY_MINTED");
    let (mut bank, mut pool) = world(1_000_000, 1_000_000);
    let refusal = pool
        .remove_liquidity(&mut bank, &TRADER, n(1), Amounts::default(), &TRADER)
        .unwrap_err();
    assert_eq!(refusal.revert(), "UniswapV2: INSUFFICIENT_LIQUIDITY_BURNED");
}

#[test]
fn a_present_to_the_pool_belongs_to_the_next_provider() {
    let (mut bank, mut pool) = world(1_000_000, 1_000_000);
    let give = Amounts {
        r1: n(1000),
        usdc: n(1000),
    };
    bank.transfer(Asset::R1, &TRADER, &holder::POOL, n(500)).unwrap();
    bank.transfer(Asset::Usdc, &TRADER, &holder::POOL, n(500))
        .unwrap();
    let provided = pool
        .add_liquidity(&mut bank, &LP, give, Amounts::default(), &LP)
        .unwrap();
    assert_eq!((provided.used, provided.shares), (give, n(1500)));
}

proptest! {
    #[test]
    fn what_goes_in_and_out_by_shares_gives_no_profit(r1 in 2_000u128..1 << 80, usdc in 2_000u128..1 << 60, a in 1u128..1 << 70, b in 1u128..1 << 50) {
        let (mut bank, mut pool) = world(r1, usdc);
        let before = (bank.balance(Asset::R1, &TRADER), bank.balance(Asset::Usdc, &TRADER));
        let desired = Amounts { r1: n(a), usdc: n(b) };
        if let Ok(provided) = pool.add_liquidity(&mut bank, &TRADER, desired, Amounts::default(), &TRADER) {
            prop_assert!(provided.used.r1 <= desired.r1 && provided.used.usdc <= desired.usdc);
            let _ = pool.remove_liquidity(&mut bank, &TRADER, provided.shares, Amounts::default(), &TRADER);
            prop_assert!(bank.balance(Asset::R1, &TRADER) <= before.0);
            prop_assert!(bank.balance(Asset::Usdc, &TRADER) <= before.1);
        }
    }
}
