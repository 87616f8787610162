//! Signed JSON messages.
//!
//! A message is a JSON object; its envelope is the fields [`SENDER`], [`HASH`], [`SIGN`] and [`CANON_VERSION`] in
//! it. `EE_HASH` is the SHA-256 of the [canonical text](r1_core::canonical_json) of the other fields in lower-case
//! hexadecimal; `EE_SIGN` is the URL-safe base64 of a DER ECDSA signature over the SHA-256 of those 32 bytes.
//! `SIGN_CANON_V` says how floats are written; as `v2` it is itself among the fields that are hashed.
//!
//! Not covered by the signature: `EE_ETH_SENDER` and `EE_ETH_SIGN`, which upstream adds as decoration.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use r1_core::{AddressError, CanonicalError, CanonicalLimits, FloatForm, NodeAddress, canonical_json};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{NodeKey, PublicKey, SignatureError};

/// Field with the sender's address.
pub const SENDER: &str = "EE_SENDER";
/// Field with the hash of the content.
pub const HASH: &str = "EE_HASH";
/// Field with the signature.
pub const SIGN: &str = "EE_SIGN";
/// Field with the version of the canonical form.
pub const CANON_VERSION: &str = "SIGN_CANON_V";
/// Field with the sender's EVM address; not signed.
pub const ETH_SENDER: &str = "EE_ETH_SENDER";
/// Field with an EVM signature, upstream a placeholder; not signed.
pub const ETH_SIGN: &str = "EE_ETH_SIGN";

/// The version that is signed today.
const CURRENT: &str = "v2";
/// The version of older networks.
const LEGACY: &str = "v1";
/// Longest DER signature of this curve is 72 bytes, 96 characters.
const MAX_SIGNATURE_CHARACTERS: usize = 128;

/// Upstream writes padding; a missing one is forgiven.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than allowed, before it was parsed.
    #[error("message of {len} bytes is longer than {max}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not a JSON object.
    #[error("message is not a json object: {0}")]
    Json(String),
    /// `EE_SENDER` is missing or null.
    #[error("message has no sender (EE_SENDER)")]
    NoSender,
    /// `EE_SIGN` is missing or null.
    #[error("message has no signature (EE_SIGN)")]
    NoSignature,
    /// `EE_SIGN` is not base64.
    #[error("message signature is not url-safe base64")]
    SignatureText,
    /// `EE_SENDER` is no address.
    #[error("message sender: {0}")]
    Sender(AddressError),
    /// `EE_SENDER` is not a text.
    #[error("message sender is not a text")]
    SenderType,
    /// `SIGN_CANON_V` is none that we know.
    #[error("message has unknown SIGN_CANON_V {0}")]
    CanonVersion(String),
    /// The content reaches a limit.
    #[error("message content: {0}")]
    Content(CanonicalError),
    /// The content is not what was hashed ("Corrupted digest!" upstream).
    #[error("message of {0}: digest does not match its content")]
    Digest(NodeAddress),
    /// The signature is not the sender's over this content.
    #[error("message: {0}")]
    Signature(SignatureError),
}

/// In which form a message was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanonVersion {
    /// `v2`.
    Current,
    /// `v1`, or no version and only the legacy float form fits.
    Legacy,
    /// No version, current float form.
    Unversioned,
}

/// What a valid envelope proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who signed.
    pub sender: NodeAddress,
    /// SHA-256 of the canonical content.
    pub hash: [u8; 32],
    /// In which form it was signed.
    pub version: CanonVersion,
}

/// Parses a message of hostile origin.
///
/// # Errors
/// [`EnvelopeError::TooLong`], [`EnvelopeError::Json`].
pub fn parse(bytes: &[u8], limits: CanonicalLimits) -> Result<Map<String, Value>, EnvelopeError> {
    if bytes.len() > limits.max_bytes {
        return Err(EnvelopeError::TooLong {
            len: bytes.len(),
            max: limits.max_bytes,
        });
    }
    // serde_json itself refuses more than 128 levels, which keeps its recursion shallow.
    serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Json(error.to_string()))
}

/// Adds the envelope to a message, replacing one that is there. Returns the hash of its content.
///
/// # Errors
/// [`EnvelopeError::Content`] for a message that no receiver would accept; it is then unchanged.
pub fn sign(key: &NodeKey, message: &mut Map<String, Value>) -> Result<[u8; 32], EnvelopeError> {
    let before = message.insert(CANON_VERSION.to_owned(), CURRENT.into());
    let hash = match content_hash(message, FloatForm::Current, true, CanonicalLimits::default()) {
        Ok(hash) => hash,
        Err(error) => {
            match before {
                Some(value) => message.insert(CANON_VERSION.to_owned(), value),
                None => message.remove(CANON_VERSION),
            };
            return Err(error);
        }
    };
    let signature = key.sign_der(&Sha256::digest(hash).into());
    message.insert(
        SIGN.to_owned(),
        base64::engine::general_purpose::URL_SAFE.encode(signature).into(),
    );
    message.insert(SENDER.to_owned(), key.address().to_string().into());
    message.insert(HASH.to_owned(), hex::encode(hash).into());
    Ok(hash)
}

/// Checks a message against its envelope, within the [default limits](CanonicalLimits::default).
///
/// # Errors
/// An [`EnvelopeError`]: the first fault in the order sender, signature, their text forms, version, digest,
/// signature.
pub fn verify(message: &Map<String, Value>) -> Result<Verified, EnvelopeError> {
    verify_within(message, CanonicalLimits::default())
}

/// As [`verify`], within the given limits.
///
/// # Errors
/// As [`verify`].
pub fn verify_within(
    message: &Map<String, Value>,
    limits: CanonicalLimits,
) -> Result<Verified, EnvelopeError> {
    let field = |name| message.get(name).filter(|value| !value.is_null());
    let sender = field(SENDER).ok_or(EnvelopeError::NoSender)?;
    let signature = field(SIGN).ok_or(EnvelopeError::NoSignature)?;
    let signature = signature
        .as_str()
        .filter(|text| text.len() <= MAX_SIGNATURE_CHARACTERS)
        .and_then(|text| BASE64.decode(text).ok())
        .ok_or(EnvelopeError::SignatureText)?;
    let sender: NodeAddress = sender
        .as_str()
        .ok_or(EnvelopeError::SenderType)?
        .parse()
        .map_err(EnvelopeError::Sender)?;
    let key = PublicKey::try_from(&sender).map_err(EnvelopeError::Signature)?;

    let check = |form, version| {
        let hash = content_hash(message, form, version == CanonVersion::Current, limits)?;
        check_hash(message, &hash, &key, &signature)?;
        Ok(Verified {
            sender,
            hash,
            version,
        })
    };
    match field(CANON_VERSION) {
        None => check(FloatForm::Current, CanonVersion::Unversioned)
            .or_else(|_| check(FloatForm::Legacy, CanonVersion::Legacy)),
        Some(Value::String(version)) if version == CURRENT => {
            check(FloatForm::Current, CanonVersion::Current)
        }
        Some(Value::String(version)) if version == LEGACY => check(FloatForm::Legacy, CanonVersion::Legacy),
        Some(other) => Err(EnvelopeError::CanonVersion(
            other.to_string().chars().take(64).collect(),
        )),
    }
}

/// SHA-256 of the canonical text of what is signed.
fn content_hash(
    message: &Map<String, Value>,
    form: FloatForm,
    with_version: bool,
    limits: CanonicalLimits,
) -> Result<[u8; 32], EnvelopeError> {
    let keep = |name: &str| match name {
        CANON_VERSION => with_version,
        SENDER | HASH | SIGN | ETH_SENDER | ETH_SIGN => false,
        _ => true,
    };
    let text = canonical_json(message, keep, form, limits).map_err(EnvelopeError::Content)?;
    Ok(Sha256::digest(text.as_bytes()).into())
}

fn check_hash(
    message: &Map<String, Value>,
    hash: &[u8; 32],
    key: &PublicKey,
    signature: &[u8],
) -> Result<(), EnvelopeError> {
    // Upstream tests for truth in Python's sense: null and an empty text mean "no digest".
    let claimed = message
        .get(HASH)
        .filter(|value| !value.is_null() && value.as_str() != Some(""));
    let digest = match claimed {
        Some(claimed) if claimed.as_str() != Some(&hex::encode(hash)) => {
            return Err(EnvelopeError::Digest(key.address()));
        }
        Some(_) => Sha256::digest(hash).into(),
        None => *hash,
    };
    key.verify_der(&digest, signature)
        .map_err(EnvelopeError::Signature)
}

#[cfg(test)]
mod tests;
