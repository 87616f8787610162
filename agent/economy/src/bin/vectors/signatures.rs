//! `signatures.json`: keys, message layouts with their signatures, what the controller accepts, and node sets.

use r1_core::{EthAddress, U256};
use r1_economy::{
    controller::Controller,
    merkle::Hash,
    message::{self, Attestation, Packed},
    sign_digest,
};
use r1_identity::{NodeKey, personal_digest};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::report::{Report, amount, field, integer, list};

/// The keys whose owners are oracles.
const ORACLES: &str = "oracle";

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is not a text"))
}

fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    let digits = text(value)?.trim_start_matches("0x");
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or("x"), 16);
    (0..digits.len())
        .step_by(2)
        .map(|at| pair(at).map_err(|_| format!("{digits:?} is not hexadecimal")))
        .collect()
}

fn fixed<const N: usize>(value: &Value) -> Result<[u8; N], String> {
    bytes(value)?
        .try_into()
        .map_err(|_| format!("{value} has not {N} bytes"))
}

fn address(value: &Value) -> Result<EthAddress, String> {
    fixed(value).map(EthAddress::new)
}

fn small<T: TryFrom<u64>>(value: &Value) -> Result<T, String> {
    T::try_from(integer(value)?).map_err(|_| format!("{value} is too large"))
}

/// The layout that a message's fields belong to, packed.
fn packed(fields: &Value) -> Result<Packed, String> {
    let at = |name| field(fields, name);
    let has = |name: &str| fields.get(name).is_some();
    if has("packedAvailabilities") {
        let (first, last) = (amount(at("fromEpoch")?)?, amount(at("toEpoch")?)?);
        return Ok(message::claim_v2(
            &address(at("nodeAddress")?)?,
            first,
            last,
            &bytes(at("packedAvailabilities")?)?,
        ));
    }
    if has("availabilities") {
        let epochs: Vec<U256> = list(at("epochs")?)?
            .iter()
            .map(amount)
            .collect::<Result<_, _>>()?;
        let values: Vec<u8> = list(at("availabilities")?)?
            .iter()
            .map(small)
            .collect::<Result<_, _>>()?;
        return Ok(message::claim_v1(&address(at("nodeAddress")?)?, &epochs, &values));
    }
    if has("nodes") {
        let nodes: Vec<_> = list(at("nodes")?)?
            .iter()
            .map(address)
            .collect::<Result<_, _>>()?;
        return Ok(message::link_multi(&address(at("wallet")?)?, &nodes));
    }
    if has("invoiceUuid") {
        let (limit, vat) = (amount(at("usdMintLimit")?)?, amount(at("vatPercent")?)?);
        return Ok(message::buy(
            &address(at("buyer")?)?,
            &fixed(at("invoiceUuid")?)?,
            limit,
            vat,
        ));
    }
    if has("testMode") {
        return Ok(message::attestation(&Attestation {
            test_mode: small(at("testMode")?)?,
            node_count: small(at("nodeCount")?)?,
            score: small(at("vulnerabilityScore")?)?,
            ip: fixed(at("ipObfuscated")?)?,
            cid: fixed(at("cidObfuscated")?)?,
        }));
    }
    if has("wallet") {
        return Ok(message::link(&address(at("wallet")?)?, &address(at("node")?)?));
    }
    Err("the fields belong to no known layout".to_owned())
}

struct Keys(Vec<(String, [u8; 32], EthAddress)>);

impl Keys {
    fn of(value: &Value, report: &mut Report) -> Result<Self, String> {
        let mut keys = Vec::new();
        for key in list(field(value, "keys")?)? {
            let label = text(field(key, "label")?)?;
            let secret: [u8; 32] = fixed(field(key, "private_key")?)?;
            let theirs = address(field(key, "address")?)?;
            let derived: [u8; 32] = Sha256::digest(label.as_bytes()).into();
            let ours = NodeKey::from_secret_bytes(&secret)
                .map_err(|error| error.to_string())?
                .eth_address();
            report.equal(format_args!("key {label}"), &(derived, ours), &(secret, theirs));
            keys.push((label.to_owned(), secret, theirs));
        }
        Ok(Self(keys))
    }

    fn secret(&self, address: &EthAddress) -> Option<&[u8; 32]> {
        self.0
            .iter()
            .find(|(_, _, owner)| owner == address)
            .map(|(_, secret, _)| secret)
    }

    fn controller(&self, minimum: u8) -> Controller {
        let mut controller = Controller::new(minimum);
        for (label, _, address) in &self.0 {
            if label.contains(ORACLES) && controller.add(*address, 0).is_err() {
                break;
            }
        }
        controller
    }
}

/// What the controller answers, as the measurements write it.
fn answer(keys: &Keys, minimum: u8, require: bool, hash: &Hash, signatures: &[Vec<u8>]) -> String {
    match keys.controller(minimum).verify(hash, signatures, require) {
        Ok(first) => first.to_string(),
        Err(refusal) => format!("REVERT: {}", refusal.revert()),
    }
}

fn same_answer(ours: &str, theirs: &str) -> bool {
    // A panic is written in many ways, but with its code.
    ours.eq_ignore_ascii_case(theirs) || (ours.contains("0x32") && theirs.contains("0x32"))
}

fn signature(keys: &Keys, hash: &Hash, given: &Value) -> Result<(), String> {
    let signer = address(field(given, "signer")?)?;
    let theirs = bytes(field(given, "signature")?)?;
    let secret = keys
        .secret(&signer)
        .ok_or_else(|| format!("the key of {signer} is missing"))?;
    if sign_digest(secret, hash).map(|ours| ours.to_vec()) != Some(theirs.clone()) {
        return Err("our signature is another one".to_owned());
    }
    let Some(returned) = given.get("controller_returns") else {
        return Ok(());
    };
    let ours = answer(keys, 1, true, hash, &[theirs]);
    let theirs = text(returned)?;
    if same_answer(&ours, theirs) {
        Ok(())
    } else {
        Err(format!("the controller: {ours}, the contract said {theirs}"))
    }
}

fn message(keys: &Keys, given: &Value, report: &mut Report) -> Result<(), String> {
    let name = text(field(given, "name")?)?;
    let packed = packed(field(given, "fields")?)?;
    let hash = packed.hash();
    let preimage = (packed.preimage().to_vec(), packed.preimage().len() as u64);
    let theirs = (
        bytes(field(given, "preimage")?)?,
        integer(field(given, "preimage_len")?)?,
    );
    report.equal(format_args!("{name}: preimage"), &preimage, &theirs);
    report.equal(
        format_args!("{name}: keccak256"),
        &hash,
        &fixed(field(given, "keccak256")?)?,
    );
    let digest = fixed(field(given, "eth_signed_message_hash")?)?;
    report.equal(format_args!("{name}: digest"), &personal_digest(&hash), &digest);
    for given in list(field(given, "signatures")?)? {
        report.row(
            format_args!("{name}: signature of {}", given["signer"]),
            signature(keys, &hash, given),
        );
    }
    Ok(())
}

fn controller_case(keys: &Keys, hash: &Hash, case: &Value) -> Result<(), String> {
    let minimum = small(field(case, "minimumRequiredSignatures")?)?;
    let require = field(case, "requireMinimumSignatures")?
        .as_bool()
        .ok_or("requireMinimumSignatures is no boolean")?;
    let signatures: Vec<_> = list(field(case, "signatures")?)?
        .iter()
        .map(bytes)
        .collect::<Result<_, _>>()?;
    let ours = answer(keys, minimum, require, hash, &signatures);
    let theirs = text(field(case, "result")?)?;
    if same_answer(&ours, theirs) {
        Ok(())
    } else {
        Err(format!("{ours}, the contract said {theirs}"))
    }
}

fn all(value: &Value, report: &mut Report) -> Result<(), String> {
    let keys = Keys::of(value, report)?;
    let messages = value.get("messages").map(list).transpose()?;
    for given in messages.into_iter().flatten() {
        if let Err(why) = message(&keys, given, report) {
            report.fail(format_args!("{}: {why}", given["name"]));
        }
    }
    // The cases are about the first message.
    let first = messages.and_then(|messages| messages.first());
    for case in value
        .get("controller_cases")
        .map(list)
        .transpose()?
        .into_iter()
        .flatten()
    {
        let hash = fixed(field(first.ok_or("the cases' message is missing")?, "keccak256")?)?;
        report.row(
            format_args!("controller {case}"),
            controller_case(&keys, &hash, case),
        );
    }
    if let Some(sets) = value.get("nodes_hash") {
        for case in list(field(sets, "cases")?)? {
            let nodes: Vec<_> = list(field(case, "nodes")?)?
                .iter()
                .map(address)
                .collect::<Result<_, _>>()?;
            report.equal(
                format_args!("node set {}", case["nodes"]),
                &message::node_set(&nodes),
                &fixed(field(case, "hash")?)?,
            );
        }
    }
    Ok(())
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    if let Err(why) = all(value, report) {
        report.fail(why);
    }
}
