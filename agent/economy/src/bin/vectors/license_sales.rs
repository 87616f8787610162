//! `license_sales.json`: purchases through a router with a fixed price and through a Uniswap V2 pool, one after the
//! other.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Mode, Moment, NdParams, NetworkParams,
    adoption::Adoption,
    bank::{Asset, Bank, Mint, holder},
    deeds::NodeDeeds,
    pool::{Amounts, Exchange, Pool, PoolRefusal, Provided},
    sale::{Bought, Desk, Order, Sale, SaleRefusal, licence_price},
    table::Journal,
};
use serde_json::{Map, Value, json};

use crate::report::{Report, amount, field, integer, list};

const LP: EthAddress = EthAddress::new([0xa1; 20]);
const COMPANY: EthAddress = EthAddress::new([0xa2; 20]);
const VAT: EthAddress = EthAddress::new([0xa3; 20]);
const FOUNDER: EthAddress = EthAddress::new([0xa4; 20]);
const ROUTER: EthAddress = EthAddress::new([0xa5; 20]);
/// What the price of the fixed-price pair follows from: wei and micro-USDC.
const MOCK_R1: u128 = 666_666_000_000_000_000_000_000;
const MOCK_USDC: u128 = 200_000_000_000;
/// What the real pool begins with.
const START_R1: u128 = 3_000_000_000_000_000_000_000_000;
const START_USDC: u128 = 1_500_000_000_000;

/// A router that pays 0.3 unit of USDC per unit of R1 and leaves 100 units of each asset when liquidity is added.
#[derive(Debug)]
struct FixedPrice(Pool);

impl FixedPrice {
    fn new() -> Self {
        let mut pool = Pool::default();
        let reserves = pool.reserves.change();
        reserves.r1 = U256::from(MOCK_R1);
        reserves.usdc = U256::from(MOCK_USDC);
        Self(pool)
    }
}

impl Exchange for FixedPrice {
    fn price(&self) -> Result<U256, PoolRefusal> {
        self.0.price()
    }

    fn swap(
        &mut self,
        bank: &mut Bank,
        payer: &EthAddress,
        (asset, paid): (Asset, U256),
        _min_out: U256,
        to: &EthAddress,
    ) -> Result<U256, PoolRefusal> {
        bank.transfer(asset, payer, &ROUTER, paid)?;
        let out = paid * U256::from(300_000) / U256::from(1_000_000);
        bank.issue_usdc(to, out)?;
        Ok(out)
    }

    fn add_liquidity(
        &mut self,
        bank: &mut Bank,
        payer: &EthAddress,
        desired: Amounts,
        _min: Amounts,
        _to: &EthAddress,
    ) -> Result<Provided, PoolRefusal> {
        let less = |amount: U256| {
            amount
                .checked_sub(U256::from(100))
                .ok_or_else(|| PoolRefusal::Other("panic 0x11".to_owned()))
        };
        let used = Amounts {
            r1: less(desired.r1)?,
            usdc: less(desired.usdc)?,
        };
        bank.transfer(Asset::R1, payer, &ROUTER, used.r1)?;
        bank.transfer(Asset::Usdc, payer, &ROUTER, used.usdc)?;
        Ok(Provided {
            used,
            shares: U256::from(1),
        })
    }
}

/// What the rows read of an exchange.
trait Market: Exchange + Journal {
    fn reserves(&self) -> Option<Amounts>;
    fn shares(&self, of: &EthAddress) -> U256;
}

impl Market for Pool {
    fn reserves(&self) -> Option<Amounts> {
        Some(Amounts {
            r1: self.reserves.r1,
            usdc: self.reserves.usdc,
        })
    }

    fn shares(&self, of: &EthAddress) -> U256 {
        self.shares.get(of).copied().unwrap_or_default()
    }
}

impl Journal for FixedPrice {
    fn begin(&mut self) {}
    fn is_open(&self) -> bool {
        false
    }
    fn commit(&mut self) {}
    fn rollback(&mut self) {}
}

impl Market for FixedPrice {
    fn reserves(&self) -> Option<Amounts> {
        None
    }

    fn shares(&self, _of: &EthAddress) -> U256 {
        U256::ZERO
    }
}

/// The rooms of a purchase, and what they were before it.
struct World<X> {
    nd: NdParams,
    bank: Bank,
    sale: Sale,
    deeds: NodeDeeds,
    exchange: X,
    adoption: Adoption,
}

/// What a row measures as a difference.
#[derive(Clone, Copy)]
struct Measured {
    supply: U256,
    company: U256,
    vat: U256,
    lp_usdc: U256,
    lp_r1: U256,
    nd_r1: U256,
    nd_usdc: U256,
    shares: U256,
    reserves: Option<Amounts>,
    deeds: u64,
}

fn mainnet() -> Result<NdParams, String> {
    let mut nd = NetworkParams::preset("mainnet")
        .map_err(|error| error.to_string())?
        .nd;
    (nd.lp_wallet, nd.company_wallet, nd.vat_wallet) = (LP, COMPANY, VAT);
    Ok(nd)
}

/// The pool that a row finds, made by one provider.
fn pool(bank: &mut Bank, row: &Value) -> Result<Pool, String> {
    let mut pool = Pool::default();
    let desired = match row.get("reservesBefore_token0_token1") {
        Some(reserves) => pair(reserves, r1_first(row))?,
        None => Amounts {
            r1: U256::from(START_R1),
            usdc: U256::from(START_USDC),
        },
    };
    bank.mint(&FOUNDER, desired.r1, Mint::Genesis)
        .and_then(|()| bank.issue_usdc(&FOUNDER, desired.usdc))
        .map_err(|refusal| refusal.to_string())?;
    pool.add_liquidity(bank, &FOUNDER, desired, Amounts::default(), &FOUNDER)
        .map_err(|refusal| refusal.to_string())?;
    Ok(pool)
}

fn r1_first(row: &Value) -> bool {
    row.get("r1IsToken0").and_then(Value::as_bool).unwrap_or(true)
}

fn pair(value: &Value, r1_first: bool) -> Result<Amounts, String> {
    let [first, second] = list(value)?.as_slice() else {
        return Err(format!("{value} is no pair"));
    };
    let (first, second) = (amount(first)?, amount(second)?);
    let (r1, usdc) = if r1_first {
        (first, second)
    } else {
        (second, first)
    };
    Ok(Amounts { r1, usdc })
}

impl<X: Market> World<X> {
    fn new(bank: Bank, exchange: X) -> Result<Self, String> {
        Ok(Self {
            nd: mainnet()?,
            bank,
            sale: Sale::default(),
            deeds: NodeDeeds::default(),
            exchange,
            adoption: Adoption::default(),
        })
    }

    /// True if the row finds the reserves that the last one left.
    fn goes_on(&self, row: &Value) -> Result<bool, String> {
        match (self.exchange.reserves(), row.get("reservesBefore_token0_token1")) {
            (Some(ours), Some(theirs)) => Ok(ours == pair(theirs, r1_first(row))?),
            _ => Ok(true),
        }
    }

    /// With the licences that were sold before the first row.
    fn after_earlier_sales(mut self, row: &Value) -> Result<Self, String> {
        let total = row.get("adoptionOracleTotalSold").map_or(Ok(0), integer)?;
        let minted = row.get("licensesMinted").map_or(Ok(0), integer)?;
        self.adoption
            .record_sale(0, total.saturating_sub(minted))
            .map_err(|refusal| refusal.to_string())?;
        Ok(self)
    }

    fn measure(&self) -> Measured {
        let held = |asset, who| self.bank.balance(asset, who);
        Measured {
            supply: self.bank.totals.r1,
            company: held(Asset::Usdc, &COMPANY),
            vat: held(Asset::Usdc, &VAT),
            lp_usdc: held(Asset::Usdc, &LP),
            lp_r1: held(Asset::R1, &LP),
            nd_r1: held(Asset::R1, &holder::SALE),
            nd_usdc: held(Asset::Usdc, &holder::SALE),
            shares: self.exchange.shares(&LP),
            reserves: self.exchange.reserves(),
            deeds: self.deeds.status.last_id,
        }
    }

    fn buy(&mut self, order: &Order) -> Result<Bought, SaleRefusal> {
        self.bank.begin();
        self.sale.begin();
        self.deeds.begin();
        self.adoption.begin();
        self.exchange.begin();
        let mut desk = Desk {
            nd: &self.nd,
            mode: Mode::Compat,
            at: Moment {
                timestamp_ms: 1_748_016_000_000,
                epoch: 0,
            },
            bank: &mut self.bank,
            exchange: &mut self.exchange,
            adoption: &mut self.adoption,
        };
        let outcome = self
            .sale
            .buy(&mut desk, &mut self.deeds, order, &mut || Ok(FOUNDER));
        if outcome.is_ok() {
            self.bank.commit();
            self.sale.commit();
            self.deeds.commit();
            self.adoption.commit();
            self.exchange.commit();
        } else {
            self.bank.rollback();
            self.sale.rollback();
            self.deeds.rollback();
            self.adoption.rollback();
            self.exchange.rollback();
        }
        outcome
    }

    fn row(&mut self, index: usize, row: &Value) -> Result<(), String> {
        let order = self.order(index, row)?;
        self.nd.direct_add_lp_bp = integer(field(row, "directAddLpBp")?)?;
        if order.tier != self.sale.progress.tier {
            // The script set the tier by hand.
            let progress = self.sale.progress.change();
            (progress.tier, progress.sold) = (order.tier, 0);
        }
        self.bank
            .mint(&order.buyer, U256::from(1u128 << 120), Mint::Genesis)
            .map_err(|refusal| refusal.to_string())?;
        // Behind the last tier a licence has no price.
        let usd = self.sale.tier(&self.nd).map_or(0, |tier| tier.usd);
        let price = self
            .exchange
            .price()
            .and_then(|price| licence_price(usd, price))
            .map_err(|refusal| refusal.to_string())?;
        let before = self.measure();
        let outcome = self.buy(&order);
        let after = self.measure();
        let ours = self.fields(row, &order, price, (&before, &after), &outcome)?;
        compare(row, &ours)
    }

    fn order(&self, index: usize, row: &Value) -> Result<Order, String> {
        let created = row.get("events").and_then(|events| events.get("LicensesCreated"));
        let mut invoice = [0; 32];
        invoice[..8].copy_from_slice(&(index as u64).to_be_bytes());
        let mut buyer = EthAddress::new([0xb1; 20]);
        if let Some(created) = created {
            let text = |name| field(created, name).map(|value| value.as_str().unwrap_or_default());
            buyer = text("to")?.parse().map_err(|error| format!("{error}"))?;
            invoice = text("invoiceUuid")?
                .parse::<U256>()
                .map_err(|error| format!("invoiceUuid: {error}"))?
                .to_be_bytes();
        }
        Ok(Order {
            buyer,
            count: integer(field(row, "nRequested")?)?,
            tier: row.get("tier").map_or(Ok(self.sale.progress.tier), integer)?,
            max_price: U256::MAX,
            invoice,
            usd_limit: U256::from(u64::MAX),
            vat_bp: amount(field(row, "vatBp")?)?,
        })
    }

    /// What we would have written into the row.
    fn fields(
        &self,
        row: &Value,
        order: &Order,
        price: U256,
        (before, after): (&Measured, &Measured),
        outcome: &Result<Bought, SaleRefusal>,
    ) -> Result<Map<String, Value>, String> {
        let bought = outcome.as_ref().ok();
        let text = |value: U256| Value::String(value.to_string());
        let more = |pick: fn(&Measured) -> U256| text(pick(after).wrapping_sub(pick(before)));
        let reserves = |measured: &Measured| {
            let held = measured.reserves.unwrap_or_default();
            let (r1, usdc) = (held.r1.to_string(), held.usdc.to_string());
            if r1_first(row) {
                json!([r1, usdc])
            } else {
                json!([usdc, r1])
            }
        };
        let ours = json!({
            "nRequested": order.count,
            "vatBp": field(row, "vatBp")?,
            "directAddLpBp": self.nd.direct_add_lp_bp,
            "tier": order.tier,
            "licenseTokenPrice": price.to_string(),
            "error": outcome.as_ref().err().map(SaleRefusal::revert),
            "licensesMinted": (after.deeds - before.deeds).to_string(),
            "r1Paid": text(bought.map(|bought| bought.paid).unwrap_or_default()),
            "r1Burned": text(before.supply.wrapping_sub(after.supply)),
            "companyUsdc": more(|measured| measured.company),
            "vatUsdc": more(|measured| measured.vat),
            "lpWalletUsdc": more(|measured| measured.lp_usdc),
            "lpWalletR1Dust": more(|measured| measured.lp_r1),
            "ndResidualR1": more(|measured| measured.nd_r1),
            "ndResidualUsdc": more(|measured| measured.nd_usdc),
            "lpTokensMinted": more(|measured| measured.shares),
            "reservesBefore_token0_token1": reserves(before),
            "reservesAfter_token0_token1": reserves(after),
            "r1IsToken0": r1_first(row),
            "tierAfter": self.sale.progress.tier.to_string(),
            "events": events(order, bought),
            "adoptionOracleTotalSold": self.adoption.sold_at(u64::MAX).to_string(),
        });
        match ours {
            Value::Object(ours) => Ok(ours),
            _ => Err("no object".to_owned()),
        }
    }
}

fn events(order: &Order, bought: Option<&Bought>) -> Value {
    let mut events = Map::new();
    let Some(bought) = bought else {
        return Value::Object(events);
    };
    if let Some(added) = bought.added {
        events.insert(
            "LiquidityAdded".to_owned(),
            json!({"r1Amount": added.r1.to_string(), "usdcAmount": added.usdc.to_string()}),
        );
    }
    if let Some(reserved) = bought.reserved {
        events.insert(
            "LiquidityReserved".to_owned(),
            json!({"usdcAmount": reserved.to_string()}),
        );
    }
    events.insert(
        "LicensesCreated".to_owned(),
        json!({
            "to": order.buyer.to_string(),
            "invoiceUuid": format!("0x{:064x}", U256::from_be_bytes(order.invoice)),
            "tokenCount": bought.count.to_string(),
            "unitUsdPrice": bought.unit_usd.to_string(),
            "totalR1Cost": bought.paid.to_string(),
        }),
    );
    Value::Object(events)
}

/// Compares what the row has with what we have; numbers and their texts are alike.
fn compare(row: &Value, ours: &Map<String, Value>) -> Result<(), String> {
    let row = row.as_object().ok_or("not an object")?;
    let plain = |value: &Value| match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::String(text) => Value::String(text.trim_start_matches("REVERT: ").to_owned()),
        other => other.clone(),
    };
    for (name, theirs) in row {
        let ours = ours
            .get(name)
            .ok_or_else(|| format!("field {name:?} is not known"))?;
        if plain(ours) != plain(theirs) {
            return Err(format!("{name}: {ours}, the contracts gave {theirs}"));
        }
    }
    Ok(())
}

/// Replays the rows one after the other. Where a row finds other reserves than the one before left, another deployment
/// begins.
fn part<X: Market>(
    name: &str,
    rows: &Value,
    report: &mut Report,
    begin: impl Fn(&Value) -> Result<World<X>, String>,
) {
    let rows = match list(rows) {
        Ok(rows) => rows,
        Err(why) => return report.fail(format!("{name}: {why}")),
    };
    let mut world: Option<World<X>> = None;
    for (index, row) in rows.iter().enumerate() {
        let outcome = (|| {
            let same = match &world {
                Some(world) => world.goes_on(row)?,
                None => false,
            };
            if !same {
                world = Some(begin(row)?.after_earlier_sales(row)?);
            }
            world.as_mut().ok_or("no world")?.row(index, row)
        })();
        report.row(format!("{name} row {index}"), outcome);
    }
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    let Some(parts) = value.as_object() else {
        return report.fail("not an object");
    };
    for (name, rows) in parts {
        match name.as_str() {
            "note" => {}
            "mock_fixed_price" => part(name, rows, report, |_| {
                World::new(Bank::new(U256::MAX), FixedPrice::new())
            }),
            "real_uniswap_v2" => part(name, rows, report, |row| {
                let mut bank = Bank::new(U256::MAX);
                let pool = pool(&mut bank, row)?;
                World::new(bank, pool)
            }),
            other => report.fail(format!("part {other:?} is not known")),
        }
    }
}
