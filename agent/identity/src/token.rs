//! The `r1_` token: an address and a random number. It is not signed and proves nothing; upstream shows it to
//! services that then ask for a signature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use r1_core::NodeAddress;
use rand::{CryptoRng, RngCore};

/// A new token: `r1_` and URL-safe base64 of the address without its prefix, a zero byte and 8 random bytes.
pub fn r1_token(address: &NodeAddress, rng: &mut (impl CryptoRng + RngCore)) -> String {
    let mut bytes = address.without_prefix().into_bytes();
    let mut random = [0; 8];
    rng.fill_bytes(&mut random);
    bytes.push(0);
    bytes.extend(random);
    format!("r1_{}", URL_SAFE.encode(bytes))
}
