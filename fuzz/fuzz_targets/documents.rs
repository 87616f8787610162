//! Documents of strangers: nothing panics, and what is read of YAML or JSON comes back from what we write of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use r1_r1fs::document::{json, pickle, yaml};
use serde_json::Value;

fn comes_back(value: &Value) {
    // Each level and key that was read is written, so only depth and length may be refused.
    let Ok(written) = yaml::to_bytes(value) else {
        return;
    };
    assert!(written.is_ascii());
    assert_eq!(yaml::from_bytes(&written).as_ref(), Ok(value), "yaml");
    let Ok(written) = json::to_bytes(value) else {
        return;
    };
    assert!(written.is_ascii());
    let read: Value = serde_json::from_slice(&written).expect("what is written is json");
    assert_eq!(read, *value, "json");
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = yaml::from_bytes(bytes) {
        comes_back(&value);
    }
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        comes_back(&value);
    }
    if let Ok(ordered) = serde_json::from_slice(bytes) {
        let pickled = pickle::to_bytes(&ordered).expect("short and not deep");
        assert!(pickled.starts_with(&[0x80, 4]) && pickled.ends_with(b"."));
    }
});
