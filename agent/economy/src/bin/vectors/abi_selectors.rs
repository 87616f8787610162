//! `abi_selectors.json`: selectors of functions and errors, topics of events, of the contracts.

use serde_json::{Map, Value};
use sha3::{Digest, Keccak256};

use crate::report::Report;

fn hash(signature: &str, bytes: usize) -> String {
    let hash = Keccak256::digest(signature.as_bytes());
    let digits = hash.iter().take(bytes).map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}

fn entries<'a>(contract: &'a Value, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    contract
        .get(kind)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

/// Checks every row.
pub fn check(value: &Value, report: &mut Report) {
    for (name, contract) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_object())
    {
        for (signature, entry) in entries(contract, "functions") {
            let theirs = entry.get("selector").or(Some(entry)).and_then(Value::as_str);
            report.equal(
                format_args!("{name} {signature}"),
                &Some(&*hash(signature, 4)),
                &theirs,
            );
        }
        for (signature, entry) in entries(contract, "events") {
            let theirs = entry.get("topic0").or(Some(entry)).and_then(Value::as_str);
            report.equal(
                format_args!("{name} {signature}"),
                &Some(&*hash(signature, 32)),
                &theirs,
            );
        }
        for (signature, entry) in entries(contract, "errors") {
            let theirs = entry.get("selector").or(Some(entry)).and_then(Value::as_str);
            report.equal(
                format_args!("{name} {signature}"),
                &Some(&*hash(signature, 4)),
                &theirs,
            );
        }
    }
}
