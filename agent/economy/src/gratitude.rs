//! Voluntary burns with attribution (the contract GratitudeBurn): who burned how much R1, and in whose honour.
//!
//! An app is named by its slug, 1 to 32 bytes of lower-case letters, digits, dots and dashes. It exists from its first
//! burn on, so that nobody can fill the ledger with names for nothing; the contract registers it for free.

use std::cmp::Reverse;

use r1_core::{EthAddress, U256, wei};
use serde::{Deserialize, Serialize};

use crate::{
    bank::{Bank, BankRefusal, Burn},
    table::{Journal, Table},
};

/// Longest slug, bytes.
pub const MAX_SLUG_BYTES: usize = 32;
/// How many apps the ranking names; the contract's figure.
pub const TOP_APPS: usize = 50;
/// How many burners the ranking names; the contract's figure.
pub const TOP_BURNERS: usize = 20;

/// Why a burn is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GratitudeRefusal {
    /// Nothing is burned.
    #[error("a burn of 0 R1 wei")]
    Nothing,
    /// Not a slug.
    #[error("app {0:?} is not 1 to 32 lower-case letters, digits, dots and dashes")]
    Slug(String),
    /// The bank refuses.
    #[error(transparent)]
    Bank(#[from] BankRefusal),
}

/// An app in whose honour R1 was burned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Who burned for it first.
    pub first_burner: EthAddress,
    /// Burned for it, wei.
    #[serde(with = "wei")]
    pub burned: U256,
    /// How often.
    pub burns: u64,
}

/// All apps by slug.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gratitude {
    /// The apps.
    pub apps: Table<String, App>,
}

fn check(slug: &str) -> Result<(), GratitudeRefusal> {
    let fits = (1..=MAX_SLUG_BYTES).contains(&slug.len());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    if fits && slug.bytes().all(plain) {
        Ok(())
    } else {
        Err(GratitudeRefusal::Slug(
            slug.chars().take(MAX_SLUG_BYTES).collect(),
        ))
    }
}

impl Gratitude {
    /// Burns R1 of the sender, wei, for an app or for none.
    ///
    /// # Errors
    /// A [`GratitudeRefusal`].
    pub fn burn(
        &mut self,
        bank: &mut Bank,
        sender: &EthAddress,
        amount: U256,
        app: Option<&str>,
    ) -> Result<(), GratitudeRefusal> {
        if amount.is_zero() {
            return Err(GratitudeRefusal::Nothing);
        }
        app.map_or(Ok(()), check)?;
        bank.burn(sender, amount, Burn::Voluntary)?;
        let Some(slug) = app else { return Ok(()) };
        let mut app = self.apps.get(slug).cloned().unwrap_or(App {
            first_burner: *sender,
            burned: U256::ZERO,
            burns: 0,
        });
        app.burned = app
            .burned
            .checked_add(amount)
            .ok_or(BankRefusal::Overflow("burned"))?;
        app.burns = app.burns.saturating_add(1);
        self.apps.insert(slug.to_owned(), app);
        Ok(())
    }

    /// The apps for which most was burned, most first; of equals the one whose slug comes first.
    pub fn top_apps(&self) -> Vec<(&str, &App)> {
        let mut apps: Vec<_> = self.apps.iter().map(|(slug, app)| (slug.as_str(), app)).collect();
        apps.sort_by_key(|(slug, app)| (Reverse(app.burned), *slug));
        apps.truncate(TOP_APPS);
        apps
    }
}

/// The accounts that burned most of their own will, most first, with the amounts in wei.
pub fn top_burners(bank: &Bank) -> Vec<(EthAddress, U256)> {
    let burned = |(account, held): (&EthAddress, &crate::bank::Account)| {
        (!held.burned.is_zero()).then_some((*account, held.burned))
    };
    let mut burners: Vec<_> = bank.accounts.iter().filter_map(burned).collect();
    burners.sort_by_key(|(account, burned)| (Reverse(*burned), *account));
    burners.truncate(TOP_BURNERS);
    burners
}

impl Journal for Gratitude {
    fn begin(&mut self) {
        self.apps.begin();
    }

    fn is_open(&self) -> bool {
        self.apps.is_open()
    }

    fn commit(&mut self) {
        self.apps.commit();
    }

    fn rollback(&mut self) {
        self.apps.rollback();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::Mint;

    const A: EthAddress = EthAddress::new([1; 20]);
    const B: EthAddress = EthAddress::new([2; 20]);

    #[test]
    fn burns_are_counted_for_the_burner_and_the_app() {
        let mut bank = Bank::new(U256::from(1000));
        for account in [A, B] {
            bank.mint(&account, U256::from(500), Mint::Genesis).unwrap();
        }
        let mut room = Gratitude::default();
        let mut burn = |who, amount, app| room.burn(&mut bank, &who, U256::from(amount), app);
        burn(A, 10, Some("redmesh")).unwrap();
        burn(B, 20, Some("redmesh")).unwrap();
        burn(B, 30, Some("alpha")).unwrap();
        burn(B, 40, None).unwrap();
        assert_eq!(burn(A, 0, None), Err(GratitudeRefusal::Nothing));
        assert!(matches!(burn(A, 491, None), Err(GratitudeRefusal::Bank(_))));
        for slug in ["", "Alpha", "a b", &"x".repeat(33)] {
            assert!(
                burn(A, 1, Some(slug))
                    .unwrap_err()
                    .to_string()
                    .contains("1 to 32")
            );
        }
        let top: Vec<_> = room
            .top_apps()
            .iter()
            .map(|(slug, app)| (*slug, app.burned, app.burns))
            .collect();
        assert_eq!(
            top,
            [("alpha", U256::from(30), 1), ("redmesh", U256::from(30), 2)]
        );
        assert_eq!(room.apps.get("redmesh").unwrap().first_burner, A);
        assert_eq!(top_burners(&bank), [(B, U256::from(90)), (A, U256::from(10))]);
        assert_eq!(bank.totals.burned_voluntary, U256::from(100));
    }
}
