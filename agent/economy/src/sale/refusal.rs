//! Why the sale refuses, in our words and in the contract's.

use r1_core::{EthAddress, U256};

use crate::{
    adoption::AdoptionRefusal, bank::BankRefusal, controller::ControllerRefusal, deeds::DeedRefusal,
    pool::PoolRefusal,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why the sale refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaleRefusal {
    /// No tier is left.
    #[error("all licences are sold")]
    SoldOut,
    /// Another tier sells.
    #[error("tier {requested} is asked for, tier {current} sells")]
    WrongTier {
        /// The tier that sells.
        current: u64,
        /// The tier of the order.
        requested: u64,
    },
    /// Nothing was ordered.
    #[error("an order of 0 licences")]
    NoLicences,
    /// The invoice was used before.
    #[error("invoice {} was used before", hex(.0))]
    InvoiceUsed([u8; 32]),
    /// A licence costs more than the buyer pays.
    #[error("a licence costs {price} wei, the buyer pays at most {max} wei")]
    TooDear {
        /// The price.
        price: U256,
        /// The buyer's limit.
        max: U256,
    },
    /// The price moved too far since the tier's last sale.
    #[error("a licence costs {price} wei, allowed are {min} to {max} wei")]
    PriceMoved {
        /// The price.
        price: U256,
        /// Least.
        min: U256,
        /// Most.
        max: U256,
    },
    /// The buyer's limit.
    #[error("account {buyer} would have spent {spent} USD, its limit is {limit} USD")]
    Limit {
        /// The buyer.
        buyer: EthAddress,
        /// What it would have spent.
        spent: U256,
        /// Its limit.
        limit: U256,
    },
    /// A swap gave nothing.
    #[error("a swap of {0} R1 wei gave no USDC")]
    SwapFailed(U256),
    /// The company gets too little.
    #[error("the company would get {usdc} micro-USDC, at least {least} are due")]
    CompanyShort {
        /// What it would get.
        usdc: U256,
        /// What it must get.
        least: U256,
    },
    /// The oracle's signature is refused.
    #[error(transparent)]
    Oracle(#[from] ControllerRefusal),
    /// The deeds refuse.
    #[error(transparent)]
    Deed(#[from] DeedRefusal),
    /// The exchange refuses.
    #[error(transparent)]
    Pool(#[from] PoolRefusal),
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
    /// The count of sold licences refuses.
    #[error(transparent)]
    Adoption(#[from] AdoptionRefusal),
    /// An amount left 256 bits.
    #[error("sale: {0} overflows")]
    Overflow(&'static str),
}

impl SaleRefusal {
    /// The error of the contract.
    pub fn revert(&self) -> String {
        match self {
            Self::SoldOut => "AllLicensesSold()".to_owned(),
            Self::WrongTier { current, requested } => format!("WrongPriceTier({current}, {requested})"),
            Self::NoLicences => "InvalidLicenseCount()".to_owned(),
            Self::InvoiceUsed(_) => "InvoiceUuidUsed()".to_owned(),
            Self::TooDear { price, max } => format!("PriceExceedsMaxAccepted({price}, {max})"),
            Self::PriceMoved { price, min, max } => {
                format!("PriceExceedsAllowedDifference({price}, {min}, {max})")
            }
            Self::Limit { .. } => "ExceedsMintLimit()".to_owned(),
            Self::SwapFailed(_) => "SwapFailed()".to_owned(),
            Self::CompanyShort { .. } => "CompanyAmountOutOfRange()".to_owned(),
            Self::Oracle(refusal) => refusal.revert(),
            Self::Deed(refusal) => refusal.revert(),
            Self::Pool(refusal) => refusal.revert(),
            Self::Bank(refusal) => refusal.revert(),
            Self::Adoption(refusal) => refusal.revert(),
            Self::Overflow(_) => "panic 0x11".to_owned(),
        }
    }
}
