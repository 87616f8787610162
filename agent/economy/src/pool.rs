//! The R1/USDC pool: a constant-product exchange with the arithmetic, the order and the refusals of Uniswap V2's pair
//! and router (0.3 % fee, no protocol fee). Liquidity comes in by [`Pool::add_liquidity`]; its shares (LP tokens) are
//! kept per provider.

use r1_core::{EthAddress, U256};
use serde::{Deserialize, Serialize};

use crate::{
    bank::{Asset, Bank, BankRefusal, holder},
    table::{Journal, Table, Var},
};

/// Of 1000 parts that are paid in, how many buy; the other 3 stay with the providers.
const BUYING_PARTS: u64 = 997;
/// The parts.
const PARTS: u64 = 1000;
/// LP tokens of the first provision that nobody gets, so that a share never becomes too dear.
const MINIMUM_LIQUIDITY: u64 = 1000;
/// Most that a reserve may hold, in bits: the pair stores it so.
const RESERVE_BITS: usize = 112;
/// `10^12 * 10^18`: USDC's 6 decimals brought to 18, times the price's 18 decimals.
const PRICE_SCALE: u128 = 1_000_000_000_000_000_000_000_000_000_000;

/// Why the pool refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolRefusal {
    /// Nothing is paid in.
    #[error("pool: a swap of 0 {0}")]
    InsufficientInput(Asset),
    /// A quote for nothing was asked.
    #[error("pool: liquidity of 0 {0}")]
    InsufficientAmount(Asset),
    /// The reserves cannot pay.
    #[error("pool: reserves of {r1} R1 wei and {usdc} micro-USDC are not enough")]
    InsufficientLiquidity {
        /// Reserve, wei.
        r1: U256,
        /// Reserve, micro-units.
        usdc: U256,
    },
    /// The swap gives less than was asked for.
    #[error("pool: the swap gives {out} {asset}, at least {min} are asked for")]
    InsufficientOutput {
        /// What it gives.
        asset: Asset,
        /// How much.
        out: U256,
        /// How much it should be.
        min: U256,
    },
    /// The amount is too small to buy one unit.
    #[error("pool: {amount} {asset} buy nothing")]
    BuysNothing {
        /// What is paid in.
        asset: Asset,
        /// How much.
        amount: U256,
    },
    /// At the pool's ratio less would be used than was asked for.
    #[error("pool: {used} {asset} would be used, at least {min} are asked for")]
    BelowMinimum {
        /// The asset.
        asset: Asset,
        /// What would be used.
        used: U256,
        /// How much it should be.
        min: U256,
    },
    /// The provision is too small for one LP token.
    #[error("pool: {r1} R1 wei and {usdc} micro-USDC give no share")]
    NoShare {
        /// Wei.
        r1: U256,
        /// Micro-units.
        usdc: U256,
    },
    /// The shares are worth nothing, or the provider has fewer.
    #[error("pool: account {account} has {held} shares, {asked} are asked for")]
    Shares {
        /// The provider.
        account: EthAddress,
        /// Its shares.
        held: U256,
        /// Those it wants to give back.
        asked: U256,
    },
    /// A reserve left 112 bits.
    #[error("pool: a reserve of {0} is above 112 bits")]
    ReserveOverflow(Asset),
    /// A product left 256 bits.
    #[error("pool: an amount overflows 256 bits")]
    Overflow,
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
    /// Another exchange's refusal, as it words it.
    #[error("exchange: {0}")]
    Other(String),
}

impl PoolRefusal {
    /// The error of the contracts.
    pub fn revert(&self) -> String {
        match self {
            Self::InsufficientInput(_) => "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT",
            Self::InsufficientAmount(_) => "UniswapV2Library: INSUFFICIENT_AMOUNT",
            Self::InsufficientLiquidity { .. } => "UniswapV2Library: INSUFFICIENT_LIQUIDITY",
            Self::InsufficientOutput { .. } => "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT",
            Self::BuysNothing { .. } => "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT",
            Self::BelowMinimum { asset: Asset::R1, .. } => "UniswapV2Router: INSUFFICIENT_A_AMOUNT",
            Self::BelowMinimum { .. } => "UniswapV2Router: INSUFFICIENT_B_AMOUNT",
            Self::NoShare { .. } => "UniswapV2: INSUFFICIENT_LIQUIDITY_MINTED",
            Self::Shares { .. } => "UniswapV2: INSUFFICIENT_LIQUIDITY_BURNED",
            Self::ReserveOverflow(_) => "UniswapV2: OVERFLOW",
            Self::Overflow => "ds-math-mul-overflow",
            Self::Bank(refusal) => return refusal.revert(),
            Self::Other(revert) => revert,
        }
        .to_owned()
    }
}

fn mul(a: U256, b: U256) -> Result<U256, PoolRefusal> {
    a.checked_mul(b).ok_or(PoolRefusal::Overflow)
}

/// What an amount buys: `floor(997 in * reserve_out / (1000 reserve_in + 997 in))`. It is below `reserve_out`.
///
/// # Errors
/// [`PoolRefusal::Overflow`]; the reserves must not be 0, else [`PoolRefusal::Overflow`] too.
pub fn amount_out(amount_in: U256, reserve_in: U256, reserve_out: U256) -> Result<U256, PoolRefusal> {
    let buying = mul(amount_in, U256::from(BUYING_PARTS))?;
    let divisor = mul(reserve_in, U256::from(PARTS))?
        .checked_add(buying)
        .ok_or(PoolRefusal::Overflow)?;
    mul(buying, reserve_out)?
        .checked_div(divisor)
        .ok_or(PoolRefusal::Overflow)
}

/// Amounts of both assets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// R1, wei.
    pub r1: U256,
    /// USDC, micro-units.
    pub usdc: U256,
}

/// What a provision of liquidity did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provided {
    /// What the pool took; the rest stayed with the payer.
    pub used: Amounts,
    /// LP tokens made for the receiver.
    pub shares: U256,
}

/// Where R1 and USDC are exchanged. On a network it is the [`Pool`].
pub trait Exchange {
    /// USDC per R1 with 18 decimals: `usdc * 10^12 * 10^18 / r1` of the reserves.
    ///
    /// # Errors
    /// A [`PoolRefusal`] without reserves.
    fn price(&self) -> Result<U256, PoolRefusal>;

    /// Takes what is paid and gives what it buys of the other asset to `to`, at least `min_out`; returns it.
    ///
    /// # Errors
    /// A [`PoolRefusal`].
    fn swap(
        &mut self,
        bank: &mut Bank,
        payer: &EthAddress,
        paid: (Asset, U256),
        min_out: U256,
        to: &EthAddress,
    ) -> Result<U256, PoolRefusal>;

    /// Provides as much of `desired` as fits the pool's ratio; the shares go to `to`.
    ///
    /// # Errors
    /// A [`PoolRefusal`].
    fn add_liquidity(
        &mut self,
        bank: &mut Bank,
        payer: &EthAddress,
        desired: Amounts,
        min: Amounts,
        to: &EthAddress,
    ) -> Result<Provided, PoolRefusal>;
}

/// What the pool knows of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserves {
    /// R1, wei. The bank's balance of [`holder::POOL`] may be above it where somebody gave the pool a present.
    #[serde(with = "r1_core::wei")]
    pub r1: U256,
    /// USDC, micro-units.
    #[serde(with = "r1_core::wei")]
    pub usdc: U256,
    /// LP tokens in existence, with those nobody has.
    #[serde(with = "r1_core::wei")]
    pub shares: U256,
}

/// The pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The reserves at the last change.
    pub reserves: Var<Reserves>,
    /// LP tokens by provider.
    pub shares: Table<EthAddress, U256>,
}

impl Pool {
    /// What an amount would buy now.
    ///
    /// # Errors
    /// A [`PoolRefusal`].
    pub fn quote_swap(&self, asset_in: Asset, amount_in: U256) -> Result<U256, PoolRefusal> {
        let Reserves { r1, usdc, .. } = *self.reserves;
        if amount_in.is_zero() {
            return Err(PoolRefusal::InsufficientInput(asset_in));
        }
        if r1.is_zero() || usdc.is_zero() {
            return Err(PoolRefusal::InsufficientLiquidity { r1, usdc });
        }
        match asset_in {
            Asset::R1 => amount_out(amount_in, r1, usdc),
            Asset::Usdc => amount_out(amount_in, usdc, r1),
        }
    }

    /// How much of the other asset stands for an amount at the pool's ratio: `floor(amount * other / own)`.
    ///
    /// # Errors
    /// A [`PoolRefusal`].
    pub fn quote(&self, asset: Asset, amount: U256) -> Result<U256, PoolRefusal> {
        let Reserves { r1, usdc, .. } = *self.reserves;
        if amount.is_zero() {
            return Err(PoolRefusal::InsufficientAmount(asset));
        }
        let (own, other) = match asset {
            Asset::R1 => (r1, usdc),
            Asset::Usdc => (usdc, r1),
        };
        if own.is_zero() || other.is_zero() {
            return Err(PoolRefusal::InsufficientLiquidity { r1, usdc });
        }
        mul(amount, other)?.checked_div(own).ok_or(PoolRefusal::Overflow)
    }

    /// The router's choice: all of one asset, and of the other what belongs to it.
    fn fitting(&self, desired: Amounts, min: Amounts) -> Result<Amounts, PoolRefusal> {
        let Reserves { r1, usdc, .. } = *self.reserves;
        if r1.is_zero() && usdc.is_zero() {
            return Ok(desired);
        }
        let below = |asset, used, min| PoolRefusal::BelowMinimum { asset, used, min };
        let usdc = self.quote(Asset::R1, desired.r1)?;
        if usdc <= desired.usdc {
            if usdc < min.usdc {
                return Err(below(Asset::Usdc, usdc, min.usdc));
            }
            return Ok(Amounts { r1: desired.r1, usdc });
        }
        // It is at most desired.r1, because the quote of all of desired.r1 is above desired.usdc.
        let r1 = self.quote(Asset::Usdc, desired.usdc)?;
        if r1 < min.r1 {
            return Err(below(Asset::R1, r1, min.r1));
        }
        Ok(Amounts {
            r1,
            usdc: desired.usdc,
        })
    }

    /// What the bank holds for the pool.
    fn held(bank: &Bank) -> Amounts {
        Amounts {
            r1: bank.balance(Asset::R1, &holder::POOL),
            usdc: bank.balance(Asset::Usdc, &holder::POOL),
        }
    }

    /// Takes the bank's balances as the new reserves.
    fn sync(&mut self, bank: &Bank) -> Result<(), PoolRefusal> {
        let held = Self::held(bank);
        for (asset, amount) in [(Asset::R1, held.r1), (Asset::Usdc, held.usdc)] {
            if amount.bit_len() > RESERVE_BITS {
                return Err(PoolRefusal::ReserveOverflow(asset));
            }
        }
        let reserves = self.reserves.change();
        reserves.r1 = held.r1;
        reserves.usdc = held.usdc;
        Ok(())
    }

    /// Makes the shares of what the bank holds above the reserves, as the pair does.
    fn mint(&mut self, bank: &Bank, to: &EthAddress) -> Result<U256, PoolRefusal> {
        let (before, held) = (*self.reserves, Self::held(bank));
        // The pool pays out by its own methods only, which take the reserves down with the balance.
        let r1 = held.r1.saturating_sub(before.r1);
        let usdc = held.usdc.saturating_sub(before.usdc);
        let (made, locked) = if before.shares.is_zero() {
            let locked = U256::from(MINIMUM_LIQUIDITY);
            let all = mul(r1, usdc)?.root(2);
            (all.saturating_sub(locked), locked)
        } else {
            let share = |amount, reserve| {
                mul(amount, before.shares)?
                    .checked_div(reserve)
                    .ok_or(PoolRefusal::Overflow)
            };
            (share(r1, before.r1)?.min(share(usdc, before.usdc)?), U256::ZERO)
        };
        if made.is_zero() {
            return Err(PoolRefusal::NoShare { r1, usdc });
        }
        let held = self.shares.entry(to);
        *held = held.checked_add(made).ok_or(PoolRefusal::Overflow)?;
        self.reserves.change().shares = before
            .shares
            .checked_add(made)
            .and_then(|shares| shares.checked_add(locked))
            .ok_or(PoolRefusal::Overflow)?;
        self.sync(bank)?;
        Ok(made)
    }

    /// Gives shares back for their part of what the pool holds; returns it.
    ///
    /// # Errors
    /// A [`PoolRefusal`].
    pub fn remove_liquidity(
        &mut self,
        bank: &mut Bank,
        provider: &EthAddress,
        shares: U256,
        min: Amounts,
        to: &EthAddress,
    ) -> Result<Amounts, PoolRefusal> {
        let had = self.shares.get(provider).copied().unwrap_or_default();
        let refusal = PoolRefusal::Shares {
            account: *provider,
            held: had,
            asked: shares,
        };
        let (total, held) = (self.reserves.shares, Self::held(bank));
        let left = had.checked_sub(shares).ok_or_else(|| refusal.clone())?;
        let part = |amount| {
            mul(amount, shares)?
                .checked_div(total)
                .ok_or(PoolRefusal::Overflow)
        };
        if shares.is_zero() {
            return Err(refusal);
        }
        let (r1, usdc) = (part(held.r1)?, part(held.usdc)?);
        if r1.is_zero() || usdc.is_zero() {
            return Err(refusal);
        }
        for (asset, used, min) in [(Asset::R1, r1, min.r1), (Asset::Usdc, usdc, min.usdc)] {
            if used < min {
                return Err(PoolRefusal::BelowMinimum { asset, used, min });
            }
        }
        if left.is_zero() {
            self.shares.remove(provider);
        } else {
            *self.shares.entry(provider) = left;
        }
        // No provider has more than the total.
        self.reserves.change().shares = total.saturating_sub(shares);
        bank.transfer(Asset::R1, &holder::POOL, to, r1)?;
        bank.transfer(Asset::Usdc, &holder::POOL, to, usdc)?;
        self.sync(bank)?;
        Ok(Amounts { r1, usdc })
    }
}

impl Exchange for Pool {
    fn price(&self) -> Result<U256, PoolRefusal> {
        let Reserves { r1, usdc, .. } = *self.reserves;
        mul(usdc, U256::from(PRICE_SCALE))?
            .checked_div(r1)
            .ok_or(PoolRefusal::InsufficientLiquidity { r1, usdc })
    }

    fn swap(
        &mut self,
        bank: &mut Bank,
        payer: &EthAddress,
        paid: (Asset, U256),
        min_out: U256,
        to: &EthAddress,
    ) -> Result<U256, PoolRefusal> {
        let (asset_in, amount_in) = paid;
        let out = self.quote_swap(asset_in, amount_in)?;
        let asset_out = match asset_in {
            Asset::R1 => Asset::Usdc,
            Asset::Usdc => Asset::R1,
        };
        if out < min_out {
            return Err(PoolRefusal::InsufficientOutput {
                asset: asset_out,
                out,
                min: min_out,
            });
        }
        bank.transfer(asset_in, payer, &holder::POOL, amount_in)?;
        if out.is_zero() {
            return Err(PoolRefusal::BuysNothing {
                asset: asset_in,
                amount: amount_in,
            });
        }
        bank.transfer(asset_out, &holder::POOL, to, out)?;
        self.sync(bank)?;
        Ok(out)
    }

    fn add_liquidity(
        &mut self,
        bank: &mut Bank,
        payer: &EthAddress,
        desired: Amounts,
        min: Amounts,
        to: &EthAddress,
    ) -> Result<Provided, PoolRefusal> {
        let used = self.fitting(desired, min)?;
        bank.transfer(Asset::R1, payer, &holder::POOL, used.r1)?;
        bank.transfer(Asset::Usdc, payer, &holder::POOL, used.usdc)?;
        let shares = self.mint(bank, to)?;
        Ok(Provided { used, shares })
    }
}

impl Journal for Pool {
    fn begin(&mut self) {
        self.reserves.begin();
        self.shares.begin();
    }

    fn is_open(&self) -> bool {
        self.reserves.is_open()
    }

    fn commit(&mut self) {
        self.reserves.commit();
        self.shares.commit();
    }

    fn rollback(&mut self) {
        self.reserves.rollback();
        self.shares.rollback();
    }
}

#[cfg(test)]
mod tests;
