//! The sale of node deeds: tier by tier, paid in R1, of which a part is burned, a part becomes liquidity and the rest is
//! the company's.

mod refusal;

use r1_core::{EthAddress, U256};
use serde::{Deserialize, Serialize};

pub use refusal::SaleRefusal;

use crate::{
    Mode, Moment, NdParams, Tier,
    adoption::Adoption,
    bank::{Asset, Bank, Burn, holder},
    deeds::NodeDeeds,
    pool::{Amounts, Exchange, PoolRefusal},
    table::{Journal, Table, Var},
};

/// 18 decimals.
const DECIMALS: u64 = 1_000_000_000_000_000_000;
/// Micro-USDC of a USD.
const MICRO: u64 = 1_000_000;
/// `10^18 * 10^12`: R1 wei times a price with 18 decimals, brought to micro-USDC.
const VALUE_SCALE: u128 = 1_000_000_000_000_000_000_000_000_000_000;
/// Basis points of the whole.
const WHOLE: u64 = 10_000;

/// What a licence of so many USD costs, wei, at a price of USDC per R1 with 18 decimals:
/// `floor(usd * 10^18 * 10^18 / price)`.
///
/// # Errors
/// [`PoolRefusal::Overflow`], also for a price of 0.
pub fn licence_price(usd: u64, price: U256) -> Result<U256, PoolRefusal> {
    // 2^64 * 2^60 * 2^60 is below 2^256.
    let scaled = U256::from(usd) * U256::from(DECIMALS) * U256::from(DECIMALS);
    scaled.checked_div(price).ok_or(PoolRefusal::Overflow)
}

/// `floor(amount * numerator / denominator)`.
fn part(amount: U256, numerator: U256, denominator: U256) -> Result<U256, SaleRefusal> {
    amount
        .checked_mul(numerator)
        .and_then(|product| product.checked_div(denominator))
        .ok_or(SaleRefusal::Overflow("part of an amount"))
}

fn basis_points(amount: U256, points: U256) -> Result<U256, SaleRefusal> {
    part(amount, points, U256::from(WHOLE))
}

fn minus(a: U256, b: U256) -> Result<U256, SaleRefusal> {
    a.checked_sub(b).ok_or(SaleRefusal::Overflow("difference"))
}

fn plus(a: U256, b: U256) -> Result<U256, SaleRefusal> {
    a.checked_add(b).ok_or(SaleRefusal::Overflow("sum"))
}

/// What a buyer asks for. Invoice, limit and tax are what the oracle signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who buys and pays.
    pub buyer: EthAddress,
    /// How many licences; clipped to what the tier still has.
    pub count: u64,
    /// The tier the buyer has seen, from 1.
    pub tier: u64,
    /// Most it pays for one licence without tax, wei.
    pub max_price: U256,
    /// The invoice; used once.
    pub invoice: [u8; 32],
    /// Most USD the buyer may ever spend on licences, without tax.
    pub usd_limit: U256,
    /// Value added tax, basis points.
    pub vat_bp: U256,
}

/// The rules, the moment and the money of a purchase.
#[derive(Debug)]
pub struct Desk<'a, X> {
    /// The network's constants.
    pub nd: &'a NdParams,
    /// Compat or strict.
    pub mode: Mode,
    /// When.
    pub at: Moment,
    /// Who holds what.
    pub bank: &'a mut Bank,
    /// Where R1 becomes USDC.
    pub exchange: &'a mut X,
    /// Who counts the licences that are sold.
    pub adoption: &'a mut Adoption,
}

/// What a purchase did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bought {
    /// The first licence's id; the others follow it.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Price of one, USD.
    pub unit_usd: u64,
    /// Price of one without tax, wei.
    pub unit_r1: U256,
    /// Paid with tax, wei.
    pub paid: U256,
    /// Burned of it, wei.
    pub burned: U256,
    /// Added to the pool.
    pub added: Option<Amounts>,
    /// Kept as USDC for the pool, micro-units.
    pub reserved: Option<U256>,
    /// To the company, micro-USDC.
    pub company: U256,
    /// Tax, micro-USDC.
    pub vat: U256,
}

/// Where the sale stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The tier that sells, from 1.
    pub tier: u64,
    /// Licences sold of it.
    pub sold: u64,
    /// Price of a licence at the last sale, wei.
    #[serde(with = "r1_core::wei")]
    pub last_price: U256,
    /// Tier of the last sale; 0 before the first.
    pub last_tier: u64,
    /// When the last sale was, ms since 1970-01-01 UTC.
    pub last_sale_ms: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            tier: 1,
            sold: 0,
            last_price: U256::ZERO,
            last_tier: 0,
            last_sale_ms: 0,
        }
    }
}

/// The sale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sale {
    /// Where it stands.
    pub progress: Var<Progress>,
    /// Invoices used, and who paid them.
    pub invoices: Table<[u8; 32], EthAddress>,
}

impl Sale {
    /// The tier that sells.
    ///
    /// # Errors
    /// [`SaleRefusal::SoldOut`].
    pub fn tier(&self, nd: &NdParams) -> Result<Tier, SaleRefusal> {
        let index = self.progress.tier.checked_sub(1);
        index
            .and_then(|index| nd.tiers.get(usize::try_from(index).ok()?))
            .copied()
            .ok_or(SaleRefusal::SoldOut)
    }

    /// Sells licences. `verify` checks the oracle's signature over buyer, invoice, limit and tax.
    ///
    /// # Errors
    /// A [`SaleRefusal`].
    pub fn buy<X: Exchange>(
        &mut self,
        desk: &mut Desk<'_, X>,
        deeds: &mut NodeDeeds,
        order: &Order,
        verify: &mut dyn FnMut() -> Result<EthAddress, SaleRefusal>,
    ) -> Result<Bought, SaleRefusal> {
        deeds.running()?;
        let tier = self.admit(desk.nd, order)?;
        verify()?;
        self.invoices.insert(order.invoice, order.buyer);
        let count = order.count.min(tier.units.saturating_sub(self.progress.sold));
        let unit_r1 = licence_price(tier.usd, desk.exchange.price()?)?;
        if unit_r1 > order.max_price {
            return Err(SaleRefusal::TooDear {
                price: unit_r1,
                max: order.max_price,
            });
        }
        self.check_tolerance(desk, unit_r1)?;

        let taxable = unit_r1
            .checked_mul(U256::from(count))
            .ok_or(SaleRefusal::Overflow("price"))?;
        let vat = basis_points(taxable, order.vat_bp)?;
        let paid = plus(taxable, vat)?;
        spend_usd(desk.bank, order, U256::from(count), tier)?;
        desk.bank.transfer(Asset::R1, &order.buyer, &holder::SALE, paid)?;
        let mut bought = Bought {
            count,
            unit_usd: tier.usd,
            unit_r1,
            paid,
            ..Bought::default()
        };
        desk.distribute(&mut bought, taxable, vat)?;
        for number in 0..count {
            let id = deeds.mint(desk.nd, &order.buyer)?;
            if number == 0 {
                bought.first = id;
            }
        }
        self.advance(tier, count);
        desk.adoption.record_sale(desk.at.epoch, count)?;
        Ok(bought)
    }

    /// What is looked at before the signature.
    fn admit(&self, nd: &NdParams, order: &Order) -> Result<Tier, SaleRefusal> {
        let tier = self.tier(nd)?;
        if order.tier != self.progress.tier {
            return Err(SaleRefusal::WrongTier {
                current: self.progress.tier,
                requested: order.tier,
            });
        }
        if order.count == 0 {
            return Err(SaleRefusal::NoLicences);
        }
        if self.invoices.contains(&order.invoice) {
            return Err(SaleRefusal::InvoiceUsed(order.invoice));
        }
        Ok(tier)
    }

    /// Refuses a price that moved too far since the tier's last sale, if that is old enough.
    fn check_tolerance<X>(&mut self, desk: &Desk<'_, X>, price: U256) -> Result<(), SaleRefusal> {
        let (nd, now) = (desk.nd, desk.at.timestamp_ms);
        let progress = self.progress.change();
        let from_ms = progress.last_sale_ms.saturating_add(nd.price_tolerance_after_ms);
        if progress.last_tier == progress.tier && now >= from_ms {
            let (whole, tolerance) = (U256::from(WHOLE), U256::from(nd.price_tolerance_bp));
            let min = basis_points(progress.last_price, minus(whole, tolerance)?)?;
            let max = basis_points(progress.last_price, plus(whole, tolerance)?)?;
            if price < min || price > max {
                return Err(SaleRefusal::PriceMoved { price, min, max });
            }
        }
        progress.last_price = price;
        progress.last_tier = progress.tier;
        progress.last_sale_ms = now;
        Ok(())
    }

    fn advance(&mut self, tier: Tier, count: u64) {
        let progress = self.progress.change();
        // At most tier.units: the count was clipped.
        progress.sold = progress.sold.saturating_add(count);
        if progress.sold >= tier.units {
            progress.tier = progress.tier.saturating_add(1);
            progress.sold = 0;
        }
    }
}

/// Counts what a buyer spends against its limit.
fn spend_usd(bank: &mut Bank, order: &Order, count: U256, tier: Tier) -> Result<(), SaleRefusal> {
    // Both below 2^64.
    let usd = count * U256::from(tier.usd);
    let account = bank.accounts.entry(&order.buyer);
    let spent = plus(account.usd_spent, usd)?;
    if spent > order.usd_limit {
        return Err(SaleRefusal::Limit {
            buyer: order.buyer,
            spent,
            limit: order.usd_limit,
        });
    }
    account.usd_spent = spent;
    Ok(())
}

impl<X: Exchange> Desk<'_, X> {
    /// Splits what was paid: liquidity, burn, company and tax.
    fn distribute(&mut self, bought: &mut Bought, taxable: U256, vat: U256) -> Result<(), SaleRefusal> {
        let nd = self.nd;
        let share = |points: u64| basis_points(taxable, U256::from(points));
        let (burned, liquidity) = (share(nd.burn_bp)?, share(nd.liquidity_bp)?);
        let company = match self.mode {
            Mode::Compat => share(nd.company_bp)?,
            // What the floors leave over goes with the company's share instead of staying here for ever.
            Mode::Strict => minus(taxable, plus(burned, liquidity)?)?,
        };
        self.provide(bought, liquidity)?;
        self.bank.burn(&holder::SALE, burned, Burn::Sale)?;
        bought.burned = burned;

        let swapped = plus(company, vat)?;
        let usdc = self.sell(swapped)?;
        if !vat.is_zero() {
            bought.vat = part(usdc, vat, swapped)?;
        }
        bought.company = minus(usdc, bought.vat)?;
        let least = company_floor(nd, bought)?;
        if bought.company < least {
            return Err(SaleRefusal::CompanyShort {
                usdc: bought.company,
                least,
            });
        }
        self.send(Asset::Usdc, &nd.company_wallet, bought.company)?;
        self.send(Asset::Usdc, &nd.vat_wallet, bought.vat)
    }

    fn send(&mut self, asset: Asset, to: &EthAddress, amount: U256) -> Result<(), SaleRefusal> {
        Ok(self.bank.transfer(asset, &holder::SALE, to, amount)?)
    }

    /// Swaps R1 of the sale for USDC. Strict rules want nearly what the spot price promises.
    fn sell(&mut self, r1: U256) -> Result<U256, SaleRefusal> {
        let min = match self.mode {
            Mode::Compat => U256::ZERO,
            Mode::Strict => basis_points(
                part(r1, self.exchange.price()?, U256::from(VALUE_SCALE))?,
                U256::from(self.nd.company_floor_bp),
            )?,
        };
        let usdc = self
            .exchange
            .swap(self.bank, &holder::SALE, (Asset::R1, r1), min, &holder::SALE)?;
        if usdc.is_zero() {
            return Err(SaleRefusal::SwapFailed(r1));
        }
        Ok(usdc)
    }

    /// The liquidity: one share goes to the pool at once, half of it as USDC, the other one is kept as USDC.
    fn provide(&mut self, bought: &mut Bought, liquidity: U256) -> Result<(), SaleRefusal> {
        let direct = basis_points(liquidity, U256::from(self.nd.direct_add_lp_bp))?;
        let reserved = minus(liquidity, direct)?;
        // A swap of nothing is refused, which stops every sale of the contract while its share is 0.
        if self.mode == Mode::Compat || !direct.is_zero() {
            bought.added = Some(self.add_to_pool(direct)?);
        }
        if !reserved.is_zero() {
            let usdc = self.sell(reserved)?;
            self.send(Asset::Usdc, &self.nd.lp_wallet.clone(), usdc)?;
            bought.reserved = Some(usdc);
        }
        Ok(())
    }

    fn add_to_pool(&mut self, direct: U256) -> Result<Amounts, SaleRefusal> {
        let wallet = self.nd.lp_wallet;
        let half = direct / U256::from(2);
        let usdc = self.sell(half)?;
        let desired = Amounts {
            r1: match self.mode {
                Mode::Compat => half,
                Mode::Strict => minus(direct, half)?,
            },
            usdc,
        };
        let none = Amounts::default();
        let provided = self
            .exchange
            .add_liquidity(self.bank, &holder::SALE, desired, none, &wallet)?;
        self.send(Asset::R1, &wallet, minus(desired.r1, provided.used.r1)?)?;
        self.send(Asset::Usdc, &wallet, minus(desired.usdc, provided.used.usdc)?)?;
        Ok(provided.used)
    }
}

/// Least USDC the company must get: 97 % of its share of the price in USD.
fn company_floor(nd: &NdParams, bought: &Bought) -> Result<U256, SaleRefusal> {
    // 64 + 64 + 20 bits.
    let usdc = U256::from(bought.unit_usd) * U256::from(bought.count) * U256::from(MICRO);
    let expected = basis_points(usdc, U256::from(nd.company_bp))?;
    basis_points(expected, U256::from(nd.company_floor_bp))
}

impl Journal for Sale {
    fn begin(&mut self) {
        self.progress.begin();
        self.invoices.begin();
    }

    fn is_open(&self) -> bool {
        self.progress.is_open()
    }

    fn commit(&mut self) {
        self.progress.commit();
        self.invoices.commit();
    }

    fn rollback(&mut self) {
        self.progress.rollback();
        self.invoices.rollback();
    }
}

#[cfg(test)]
mod tests;
