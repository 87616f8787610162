use super::*;
use crate::{
    NetworkParams,
    bank::Mint,
    pool::{Exchange, Pool},
};

const BUYER: EthAddress = EthAddress::new([1; 20]);
const LP: EthAddress = EthAddress::new([2; 20]);
const COMPANY: EthAddress = EthAddress::new([3; 20]);
const VAT: EthAddress = EthAddress::new([4; 20]);
const HOUR_MS: u64 = 3_600_000;

fn r1(whole: u64) -> U256 {
    U256::from(whole) * U256::from(DECIMALS)
}

struct World {
    nd: NdParams,
    mode: Mode,
    now_ms: u64,
    bank: Bank,
    pool: Pool,
    sale: Sale,
    deeds: NodeDeeds,
    adoption: Adoption,
}

/// A pool of 3 million R1 and 1.5 million USDC, and a rich buyer.
fn world(mode: Mode, direct_add_lp_bp: u64) -> World {
    let mut nd = NetworkParams::preset("mainnet").unwrap().nd;
    (nd.lp_wallet, nd.company_wallet, nd.vat_wallet) = (LP, COMPANY, VAT);
    nd.direct_add_lp_bp = direct_add_lp_bp;
    let mut bank = Bank::new(U256::MAX);
    bank.mint(&BUYER, r1(100_000_000), Mint::Genesis).unwrap();
    bank.issue_usdc(&BUYER, U256::from(10_000_000_000_000_u64))
        .unwrap();
    let mut pool = Pool::default();
    let desired = Amounts {
        r1: r1(3_000_000),
        usdc: U256::from(1_500_000_000_000_u64),
    };
    pool.add_liquidity(&mut bank, &BUYER, desired, Amounts::default(), &BUYER)
        .unwrap();
    World {
        nd,
        mode,
        now_ms: HOUR_MS,
        bank,
        pool,
        sale: Sale::default(),
        deeds: NodeDeeds::default(),
        adoption: Adoption::default(),
    }
}

fn order(number: u8, count: u64) -> Order {
    Order {
        buyer: BUYER,
        count,
        tier: 1,
        max_price: U256::MAX,
        invoice: [number; 32],
        usd_limit: U256::from(500_000),
        vat_bp: U256::from(1_900),
    }
}

impl World {
    fn buy(&mut self, order: &Order) -> Result<Bought, SaleRefusal> {
        self.bank.begin();
        self.pool.begin();
        self.sale.begin();
        let mut desk = Desk {
            nd: &self.nd,
            mode: self.mode,
            at: Moment {
                timestamp_ms: self.now_ms,
                epoch: 5,
            },
            bank: &mut self.bank,
            exchange: &mut self.pool,
            adoption: &mut self.adoption,
        };
        let outcome = self
            .sale
            .buy(&mut desk, &mut self.deeds, order, &mut || Ok(BUYER));
        if outcome.is_ok() {
            self.bank.commit();
            self.pool.commit();
            self.sale.commit();
        } else {
            self.bank.rollback();
            self.pool.rollback();
            self.sale.rollback();
        }
        outcome
    }
}

#[test]
fn a_tier_that_is_sold_out_gives_way_to_the_next_and_the_order_is_clipped() {
    let mut world = world(Mode::Compat, 10_000);
    assert_eq!(world.buy(&order(1, 14)).unwrap().count, 14);
    let rest = world.buy(&order(2, 100)).unwrap();
    assert_eq!((rest.first, rest.count, rest.unit_usd), (15, 75, 500));
    assert_eq!((world.sale.progress.tier, world.sale.progress.sold), (2, 0));
    let refusal = world.buy(&order(3, 1)).unwrap_err();
    assert_eq!(refusal.revert(), "WrongPriceTier(2, 1)");
    assert_eq!(world.adoption.sold_at(5), 89);
    assert_eq!(
        world.bank.accounts.get(&BUYER).unwrap().usd_spent,
        U256::from(44_500)
    );
}

#[test]
fn no_share_for_the_pool_stops_the_contract_but_not_strict_rules() {
    let refusal = world(Mode::Compat, 0).buy(&order(1, 1)).unwrap_err();
    assert_eq!(refusal.revert(), "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT");
    for direct in [0, 1, 3_333, 10_000] {
        let mut world = world(Mode::Strict, direct);
        let supply = world.bank.totals.r1;
        let bought = world.buy(&order(1, 7)).unwrap();
        assert_eq!(bought.added.is_some(), direct != 0);
        assert_eq!(world.bank.totals.r1, supply - bought.burned);
        for asset in [Asset::R1, Asset::Usdc] {
            assert!(world.bank.balance(asset, &holder::SALE).is_zero(), "{direct}");
        }
        assert_eq!(world.bank.balance(Asset::Usdc, &COMPANY), bought.company);
        assert_eq!(world.bank.balance(Asset::Usdc, &VAT), bought.vat);
    }
}

#[test]
fn what_is_refused_is_named_and_changes_nothing() {
    let mut world = world(Mode::Compat, 5_000);
    world.buy(&order(1, 1)).unwrap();
    let before = (world.bank.clone(), world.pool.clone(), world.sale.clone());
    let refused = |world: &mut World, order: Order| world.buy(&order).unwrap_err().revert();
    assert_eq!(refused(&mut world, order(1, 1)), "InvoiceUuidUsed()");
    assert_eq!(refused(&mut world, order(2, 0)), "InvalidLicenseCount()");
    let cheap = Order {
        max_price: U256::from(1),
        ..order(2, 1)
    };
    assert!(refused(&mut world, cheap).starts_with("PriceExceedsMaxAccepted(1000"));
    let limited = Order {
        usd_limit: U256::from(999),
        ..order(2, 1)
    };
    assert_eq!(refused(&mut world, limited), "ExceedsMintLimit()");
    let taxed = Order {
        vat_bp: U256::MAX,
        ..order(2, 1)
    };
    assert_eq!(refused(&mut world, taxed), "panic 0x11");
    assert!((world.bank.clone(), world.pool.clone(), world.sale.clone()) == before);
}

#[test]
fn a_price_that_moved_is_refused_from_an_hour_on() {
    let mut world = world(Mode::Compat, 5_000);
    world.buy(&order(1, 1)).unwrap();
    let dump = (Asset::R1, r1(300_000));
    world
        .pool
        .swap(&mut world.bank, &BUYER, dump, U256::ZERO, &BUYER)
        .unwrap();
    world.now_ms += HOUR_MS;
    let refusal = world.buy(&order(2, 1)).unwrap_err();
    assert!(refusal.revert().starts_with("PriceExceedsAllowedDifference("));
    world.now_ms -= 1;
    world.buy(&order(2, 1)).unwrap();
}

#[test]
fn a_sale_that_would_sink_the_pool_is_refused() {
    let mut thin = world(Mode::Strict, 0);
    let shares = *thin.pool.shares.get(&BUYER).unwrap();
    let back = shares / U256::from(100) * U256::from(99);
    thin.pool
        .remove_liquidity(&mut thin.bank, &BUYER, back, Amounts::default(), &BUYER)
        .unwrap();
    let refusal = thin.buy(&order(1, 20)).unwrap_err();
    assert_eq!(refusal.revert(), "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT");
    thin.mode = Mode::Compat;
    thin.nd.direct_add_lp_bp = 1;
    assert_eq!(
        thin.buy(&order(1, 20)).unwrap_err().revert(),
        "CompanyAmountOutOfRange()"
    );
}
