//! Balances of R1 and USDC: who holds what, what was minted and burned, and why.

use std::fmt;

use r1_core::{EthAddress, U256};
use serde::{Deserialize, Serialize};

use crate::table::{Journal, Table, Var};

/// Accounts that belong to the rules, not to a key: the contracts that hold funds. Their addresses are text, so no key
/// can be found for them.
pub mod holder {
    use r1_core::EthAddress;

    /// Reserves of the R1/USDC pool.
    pub const POOL: EthAddress = EthAddress::new(*b"r1-economy:pool-----");
    /// What the sale of node deeds keeps between two steps, and the rounding that stays there.
    pub const SALE: EthAddress = EthAddress::new(*b"r1-economy:sale-----");
    /// USDC in escrow for jobs, of all escrows together.
    pub const ESCROW: EthAddress = EthAddress::new(*b"r1-economy:escrow---");
    /// All of them.
    pub const ALL: [EthAddress; 3] = [POOL, SALE, ESCROW];
}

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Asset {
    /// R1, 18 decimals.
    R1,
    /// USDC, 6 decimals.
    Usdc,
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::R1 => "R1 wei",
            Self::Usdc => "micro-USDC",
        })
    }
}

/// Why R1 comes into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mint {
    /// Genesis allocation.
    Genesis,
    /// Claim of a node deed.
    Nd,
    /// Claim of a master node deed.
    Mnd,
    /// Claim of the genesis node deed.
    Gnd,
}

/// Why R1 goes out of being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Burn {
    /// The burned share of a licence sale.
    Sale,
    /// The burned share of a job's epoch.
    Job,
    /// Its holder wanted it so.
    Voluntary,
}

/// What an account holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// R1, wei.
    #[serde(with = "r1_core::wei")]
    pub r1: U256,
    /// USDC, micro-units.
    #[serde(with = "r1_core::wei")]
    pub usdc: U256,
    /// Number of its next transaction.
    pub nonce: u64,
    /// Whole USD spent on node deeds, without VAT.
    #[serde(with = "r1_core::wei")]
    pub usd_spent: U256,
    /// R1 it burned of its own will, wei.
    #[serde(with = "r1_core::wei")]
    pub burned: U256,
}

/// Sums over all accounts and all time, wei and micro-USDC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// R1 in existence.
    #[serde(with = "r1_core::wei")]
    pub r1: U256,
    /// USDC in the ledger.
    #[serde(with = "r1_core::wei")]
    pub usdc: U256,
    /// R1 allocated at genesis.
    #[serde(with = "r1_core::wei")]
    pub minted_genesis: U256,
    /// R1 minted for node deeds.
    #[serde(with = "r1_core::wei")]
    pub minted_nd: U256,
    /// R1 minted for master node deeds.
    #[serde(with = "r1_core::wei")]
    pub minted_mnd: U256,
    /// R1 minted for the genesis node deed.
    #[serde(with = "r1_core::wei")]
    pub minted_gnd: U256,
    /// R1 burned by licence sales.
    #[serde(with = "r1_core::wei")]
    pub burned_sale: U256,
    /// R1 burned by jobs.
    #[serde(with = "r1_core::wei")]
    pub burned_job: U256,
    /// R1 burned by its holders.
    #[serde(with = "r1_core::wei")]
    pub burned_voluntary: U256,
}

/// Why the bank refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BankRefusal {
    /// More than the account has.
    #[error("account {account} holds {balance} {asset}, {needed} are needed")]
    Insufficient {
        /// The account.
        account: EthAddress,
        /// What is short.
        asset: Asset,
        /// What it holds.
        balance: U256,
        /// What was asked for.
        needed: U256,
    },
    /// More R1 than may ever exist.
    #[error("minting would raise the supply to {supply} wei, the cap is {cap} wei")]
    Cap {
        /// The supply it would give.
        supply: U256,
        /// The cap.
        cap: U256,
    },
    /// An amount left 256 bits.
    #[error("{0} overflows 256 bits")]
    Overflow(&'static str),
}

impl BankRefusal {
    /// The error of the contract.
    pub fn revert(&self) -> String {
        match self {
            Self::Insufficient {
                account,
                balance,
                needed,
                ..
            } => format!("ERC20InsufficientBalance(\"{account}\", {balance}, {needed})"),
            Self::Cap { supply, cap } => format!("ERC20ExceededCap({supply}, {cap})"),
            Self::Overflow(_) => "panic 0x11".to_owned(),
        }
    }
}

fn add(a: U256, b: U256, what: &'static str) -> Result<U256, BankRefusal> {
    a.checked_add(b).ok_or(BankRefusal::Overflow(what))
}

/// All balances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bank {
    /// The accounts. Balances change through the bank's methods only.
    pub accounts: Table<EthAddress, Account>,
    /// The sums.
    pub totals: Var<Totals>,
    /// Most R1 that may exist, wei.
    pub cap: U256,
}

impl Bank {
    /// An empty bank with a cap on R1, wei.
    pub fn new(cap: U256) -> Self {
        Self {
            cap,
            ..Self::default()
        }
    }

    /// What an account holds.
    pub fn balance(&self, asset: Asset, account: &EthAddress) -> U256 {
        self.accounts.get(account).map_or(U256::ZERO, |held| match asset {
            Asset::R1 => held.r1,
            Asset::Usdc => held.usdc,
        })
    }

    fn credit(&mut self, asset: Asset, to: &EthAddress, amount: U256) -> Result<(), BankRefusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let held = self.accounts.entry(to);
        let balance = match asset {
            Asset::R1 => &mut held.r1,
            Asset::Usdc => &mut held.usdc,
        };
        *balance = add(*balance, amount, "balance")?;
        Ok(())
    }

    fn debit(&mut self, asset: Asset, from: &EthAddress, amount: U256) -> Result<(), BankRefusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let balance = self.balance(asset, from);
        let left = balance.checked_sub(amount).ok_or(BankRefusal::Insufficient {
            account: *from,
            asset,
            balance,
            needed: amount,
        })?;
        let held = self.accounts.entry(from);
        match asset {
            Asset::R1 => held.r1 = left,
            Asset::Usdc => held.usdc = left,
        }
        Ok(())
    }

    /// Moves an amount.
    ///
    /// # Errors
    /// [`BankRefusal::Insufficient`], [`BankRefusal::Overflow`].
    pub fn transfer(
        &mut self,
        asset: Asset,
        from: &EthAddress,
        to: &EthAddress,
        amount: U256,
    ) -> Result<(), BankRefusal> {
        self.debit(asset, from, amount)?;
        self.credit(asset, to, amount)
    }

    /// Makes R1 for an account, wei.
    ///
    /// # Errors
    /// [`BankRefusal::Cap`], [`BankRefusal::Overflow`].
    pub fn mint(&mut self, to: &EthAddress, amount: U256, why: Mint) -> Result<(), BankRefusal> {
        let supply = add(self.totals.r1, amount, "supply")?;
        if supply > self.cap {
            return Err(BankRefusal::Cap {
                supply,
                cap: self.cap,
            });
        }
        let totals = self.totals.change();
        totals.r1 = supply;
        let sum = match why {
            Mint::Genesis => &mut totals.minted_genesis,
            Mint::Nd => &mut totals.minted_nd,
            Mint::Mnd => &mut totals.minted_mnd,
            Mint::Gnd => &mut totals.minted_gnd,
        };
        *sum = add(*sum, amount, "minted")?;
        self.credit(Asset::R1, to, amount)
    }

    /// Destroys R1 of an account, wei.
    ///
    /// # Errors
    /// [`BankRefusal::Insufficient`], [`BankRefusal::Overflow`].
    pub fn burn(&mut self, from: &EthAddress, amount: U256, why: Burn) -> Result<(), BankRefusal> {
        self.debit(Asset::R1, from, amount)?;
        let totals = self.totals.change();
        // No account holds more than the supply.
        totals.r1 = totals.r1.saturating_sub(amount);
        let sum = match why {
            Burn::Sale => &mut totals.burned_sale,
            Burn::Job => &mut totals.burned_job,
            Burn::Voluntary => &mut totals.burned_voluntary,
        };
        *sum = add(*sum, amount, "burned")?;
        if why == Burn::Voluntary {
            let held = self.accounts.entry(from);
            held.burned = add(held.burned, amount, "burned")?;
        }
        Ok(())
    }

    /// Brings USDC into the ledger, micro-units; there is no cap on it.
    ///
    /// # Errors
    /// [`BankRefusal::Overflow`].
    pub fn issue_usdc(&mut self, to: &EthAddress, amount: U256) -> Result<(), BankRefusal> {
        self.totals.change().usdc = add(self.totals.usdc, amount, "usdc")?;
        self.credit(Asset::Usdc, to, amount)
    }
}

impl Journal for Bank {
    fn is_open(&self) -> bool {
        self.accounts.is_open()
    }

    fn begin(&mut self) {
        self.accounts.begin();
        self.totals.begin();
    }

    fn commit(&mut self) {
        self.accounts.commit();
        self.totals.commit();
    }

    fn rollback(&mut self) {
        self.accounts.rollback();
        self.totals.rollback();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: EthAddress = EthAddress::new([1; 20]);
    const B: EthAddress = EthAddress::new([2; 20]);

    #[test]
    fn what_is_moved_is_there_and_what_is_refused_names_the_account() {
        let mut bank = Bank::new(U256::from(100));
        bank.begin();
        bank.mint(&A, U256::from(100), Mint::Nd).unwrap();
        bank.transfer(Asset::R1, &A, &B, U256::from(40)).unwrap();
        bank.burn(&B, U256::from(10), Burn::Voluntary).unwrap();
        assert_eq!(
            (bank.totals.r1, bank.totals.minted_nd),
            (U256::from(90), U256::from(100))
        );
        assert_eq!(bank.balance(Asset::R1, &B), U256::from(30));
        bank.commit();
        bank.begin();
        let refusal = bank.transfer(Asset::R1, &B, &A, U256::from(31)).unwrap_err();
        assert!(refusal.to_string().contains(&B.to_string()), "{refusal}");
        assert!(refusal.revert().starts_with("ERC20InsufficientBalance("));
        let refusal = bank.mint(&A, U256::from(11), Mint::Nd).unwrap_err();
        assert_eq!(refusal.revert(), "ERC20ExceededCap(101, 100)");
        bank.rollback();
        assert_eq!(bank.totals.r1, U256::from(90));
    }

    #[test]
    fn moving_to_oneself_changes_nothing() {
        let mut bank = Bank::new(U256::from(100));
        bank.issue_usdc(&A, U256::from(7)).unwrap();
        bank.transfer(Asset::Usdc, &A, &A, U256::from(7)).unwrap();
        assert_eq!(bank.balance(Asset::Usdc, &A), U256::from(7));
    }
}
