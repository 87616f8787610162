//! The sale of node deeds: tier by tier, paid in R1, of which a part is burned, a part becomes liquidity and the rest is
//! the company's.

use r1_core::U256;

use crate::pool::PoolRefusal;

/// 18 decimals.
const DECIMALS: u64 = 1_000_000_000_000_000_000;

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
