//! Text sealed by one node for one or many others.
//!
//! Both sides compute the same key: ECDH on secp256k1 (x coordinate), then HKDF-SHA256 without salt, info
//! `0xai handshake data`. The key is AES-256-GCM; there is no associated data.
//! * One receiver: base64 of `nonce(12) || flag(1) || ciphertext`, flag 1 = the text is zlib-compressed.
//! * Many receivers: base64 of the zlib of a JSON object: the text under a random key, and that key sealed once per
//!   receiver.
//!
//! The flag is not authenticated (upstream's format); everything else is.

use std::io::{Read, Write};

use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use hkdf::Hkdf;
use r1_core::NodeAddress;
use rand::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{NodeKey, PublicKey, SignatureError};

/// Longest text that is sealed or opened, bytes; what is longer belongs into a file.
pub const MAX_TEXT_BYTES: usize = 16 << 20;
/// Most receivers of one sealed text.
pub const MAX_RECEIVERS: usize = 1024;
/// Longest sealed form that is looked at: hexadecimal in JSON in base64 of incompressible text, and the keys.
const MAX_SEALED_BYTES: usize = 48 << 20;
/// Upstream's constant (`DEFAULT_INFO`).
const INFO: &[u8] = b"0xai handshake data";
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
/// Flag byte: the plaintext is zlib-compressed.
const COMPRESSED: u8 = 1;

/// Why a text cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// No receiver, or too many.
    #[error("{0} receivers; 1 to {MAX_RECEIVERS} are possible")]
    Receivers(usize),
    /// Longer than can be handled.
    #[error("text is longer than {0} bytes")]
    TooLong(usize),
    /// A partner's address is no key.
    #[error("partner: {0}")]
    Partner(SignatureError),
    /// Not the form of a sealed text.
    #[error("sealed text is malformed: {0}")]
    Malformed(&'static str),
    /// It was sealed for others.
    #[error("sealed text is not for {0}")]
    NotForUs(NodeAddress),
    /// Not sealed by this sender for us, or changed since.
    #[error("sealed text from {0} does not open")]
    Sealed(NodeAddress),
}

/// The JSON object for many receivers; names are upstream's.
#[derive(Serialize, Deserialize)]
struct Package {
    #[serde(rename = "M")]
    many: bool,
    #[serde(rename = "c")]
    flag: String,
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "d")]
    sealed: String,
    #[serde(rename = "k")]
    keys: Vec<SealedKey>,
}

#[derive(Serialize, Deserialize)]
struct SealedKey {
    #[serde(rename = "a")]
    receiver: String,
    #[serde(rename = "k")]
    sealed: String,
}

impl NodeKey {
    /// Seals a text for one receiver.
    ///
    /// # Errors
    /// [`EncryptionError::TooLong`], [`EncryptionError::Partner`].
    pub fn encrypt(
        &self,
        text: &str,
        receiver: &NodeAddress,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<String, EncryptionError> {
        let cipher = self.shared_cipher(receiver)?;
        let nonce = random_nonce(rng);
        let mut out = nonce.to_vec();
        out.push(COMPRESSED);
        out.extend(seal(&cipher, &nonce, &compress(text)?));
        Ok(STANDARD.encode(out))
    }

    /// Seals a text for several receivers; each of them can open it, with our address as sender.
    ///
    /// # Errors
    /// [`EncryptionError::Receivers`], [`EncryptionError::TooLong`], [`EncryptionError::Partner`].
    pub fn encrypt_for_many(
        &self,
        text: &str,
        receivers: &[NodeAddress],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<String, EncryptionError> {
        if receivers.is_empty() || receivers.len() > MAX_RECEIVERS {
            return Err(EncryptionError::Receivers(receivers.len()));
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rng.fill_bytes(&mut *key);
        let nonce = random_nonce(rng);
        let sealed = seal(&Aes256Gcm::new((&*key).into()), &nonce, &compress(text)?);
        let keys = receivers
            .iter()
            .map(|receiver| {
                let nonce = random_nonce(rng);
                let sealed = seal(&self.shared_cipher(receiver)?, &nonce, &*key);
                let sealed = hex::encode(nonce) + &hex::encode(sealed);
                Ok(SealedKey {
                    receiver: receiver.to_string(),
                    sealed,
                })
            })
            .collect::<Result<_, _>>()?;
        let package = Package {
            many: true,
            flag: hex::encode([COMPRESSED]),
            nonce: hex::encode(nonce),
            sealed: hex::encode(sealed),
            keys,
        };
        let json = serde_json::to_vec(&package).expect("texts and lists encode");
        Ok(STANDARD.encode(deflate(&json)))
    }

    /// Opens a text that `sender` sealed for us, alone or with others.
    ///
    /// # Errors
    /// An [`EncryptionError`]; the input may be hostile.
    pub fn decrypt(&self, sealed: &str, sender: &NodeAddress) -> Result<String, EncryptionError> {
        if sealed.len() > MAX_SEALED_BYTES {
            return Err(EncryptionError::TooLong(MAX_SEALED_BYTES));
        }
        let bytes = STANDARD
            .decode(sealed.trim())
            .map_err(|_| EncryptionError::Malformed("not base64"))?;
        match package(&bytes) {
            Some(package) => self.open_package(&package, sender),
            None => self.open_single(&bytes, sender),
        }
    }

    fn open_single(&self, bytes: &[u8], sender: &NodeAddress) -> Result<String, EncryptionError> {
        let Some(((nonce, flag), body)) = bytes
            .split_at_checked(NONCE_BYTES + 1)
            .map(|(head, body)| (head.split_at(NONCE_BYTES), body))
        else {
            return Err(EncryptionError::Malformed("too short"));
        };
        let plain =
            open(&self.shared_cipher(sender)?, nonce, body).ok_or(EncryptionError::Sealed(*sender))?;
        // Upstream takes every flag but 0 as "compressed".
        text(plain, flag[0] != 0)
    }

    fn open_package(&self, package: &Package, sender: &NodeAddress) -> Result<String, EncryptionError> {
        let own = self.address();
        let ours = package
            .keys
            .iter()
            .find(|key| key.receiver.parse() == Ok(own))
            .ok_or(EncryptionError::NotForUs(own))?;
        let malformed = |what| move |_| EncryptionError::Malformed(what);
        let sealed_key = hex::decode(&ours.sealed).map_err(malformed("key is not hexadecimal"))?;
        let nonce = hex::decode(&package.nonce).map_err(malformed("nonce is not hexadecimal"))?;
        let body = hex::decode(&package.sealed).map_err(malformed("text is not hexadecimal"))?;
        let flag = u8::from_str_radix(&package.flag, 16).map_err(|_| EncryptionError::Malformed("flag"))?;
        let refuse = || EncryptionError::Sealed(*sender);
        let (key_nonce, key) = sealed_key
            .split_at_checked(NONCE_BYTES)
            .ok_or(EncryptionError::Malformed("key is too short"))?;
        let key = open(&self.shared_cipher(sender)?, key_nonce, key).ok_or_else(refuse)?;
        let cipher = Aes256Gcm::new_from_slice(&key).map_err(|_| EncryptionError::Malformed("key length"))?;
        text(
            open(&cipher, &nonce, &body).ok_or_else(refuse)?,
            flag == COMPRESSED,
        )
    }

    /// The cipher that only we and the partner can build.
    fn shared_cipher(&self, partner: &NodeAddress) -> Result<Aes256Gcm, EncryptionError> {
        let partner = PublicKey::try_from(partner).map_err(EncryptionError::Partner)?;
        let secret = k256::ecdh::diffie_hellman(self.scalar(), partner.verifying_key().as_affine());
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Hkdf::<Sha256>::new(None, secret.raw_secret_bytes())
            .expand(INFO, &mut *key)
            .expect("32 bytes are less than HKDF-SHA256 can give");
        Ok(Aes256Gcm::new((&*key).into()))
    }
}

fn random_nonce(rng: &mut (impl CryptoRng + RngCore)) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    nonce
}

fn seal(cipher: &Aes256Gcm, nonce: &[u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    cipher
        .encrypt(nonce.into(), plain)
        .expect("the text is far below AES-GCM's 64 GiB")
}

fn open(cipher: &Aes256Gcm, nonce: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let nonce = <&[u8; NONCE_BYTES]>::try_from(nonce).ok()?;
    cipher.decrypt(nonce.into(), sealed).ok().map(Zeroizing::new)
}

fn compress(text: &str) -> Result<Vec<u8>, EncryptionError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(EncryptionError::TooLong(MAX_TEXT_BYTES));
    }
    Ok(deflate(text.as_bytes()))
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing into memory does not fail")
}

/// Decompresses at most `max` bytes; `None` if it is not zlib. One byte more than `max` comes back if there is more.
fn inflate(bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    ZlibDecoder::new(bytes)
        .take(max as u64 + 1)
        .read_to_end(&mut out)
        .ok()?;
    Some(out)
}

/// The package for many receivers, or `None` if the bytes are something else.
fn package(bytes: &[u8]) -> Option<Package> {
    let json = inflate(bytes, MAX_SEALED_BYTES)?;
    serde_json::from_slice(&json)
        .ok()
        .filter(|package: &Package| package.many)
}

fn text(plain: Zeroizing<Vec<u8>>, compressed: bool) -> Result<String, EncryptionError> {
    let bytes = if compressed {
        inflate(&plain, MAX_TEXT_BYTES).ok_or(EncryptionError::Malformed("text is not zlib"))?
    } else {
        plain.to_vec()
    };
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(EncryptionError::TooLong(MAX_TEXT_BYTES));
    }
    String::from_utf8(bytes).map_err(|_| EncryptionError::Malformed("text is not utf-8"))
}

#[cfg(test)]
mod tests;
