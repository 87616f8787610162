//! Signatures on demand. They are slow and the digests repeat, so they are kept.

use std::{cell::RefCell, collections::HashMap};

use r1_economy::{Signature, sign_digest};

use crate::world::Wallet;

/// Signatures that are kept before all are forgotten.
const MAX_KEPT: usize = 100_000;

thread_local! {
    static KEPT: RefCell<HashMap<(usize, [u8; 32]), Signature>> = RefCell::default();
}

/// What a wallet's key signs.
pub fn sign(wallet: &Wallet, digest: &[u8; 32]) -> Signature {
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        *kept.entry((wallet.number, *digest)).or_insert_with(|| {
            let signature = sign_digest(&wallet.secret, digest);
            Signature(signature.expect("a small scalar signs"))
        })
    })
}
