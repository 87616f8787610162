//! Bytes of strangers as transactions: nothing panics, and what decodes is worth the same after a round trip.
//!
//! The wire form is not canonical (postcard reads longer forms of a number too), so the bytes themselves need not come
//! back; what is signed and named, the transaction's hash, must.

#![no_main]

use libfuzzer_sys::fuzz_target;
use r1_economy::{MAX_TRANSACTION_BYTES, SignedTransaction};

fuzz_target!(|bytes: &[u8]| {
    let Ok(signed) = SignedTransaction::decode(bytes) else {
        return;
    };
    assert!(
        bytes.len() <= MAX_TRANSACTION_BYTES,
        "a long transaction was read"
    );
    let encoded = signed.encode();
    assert!(
        encoded.len() <= bytes.len(),
        "the wire form is longer than what was read"
    );
    let again = SignedTransaction::decode(&encoded).expect("what was encoded is decoded");
    assert_eq!(again, signed, "a round trip changed the transaction");
    assert_eq!(again.encode(), encoded, "the wire form is not stable");
    assert_eq!(again.transaction.hash(), signed.transaction.hash());
    assert_eq!(again.sender(), signed.sender());
});
