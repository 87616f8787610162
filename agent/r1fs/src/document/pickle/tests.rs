use sha2::{Digest as _, Sha256};

use super::*;

fn pickled(json: &str) -> Vec<u8> {
    to_bytes(&serde_json::from_str(json).unwrap()).unwrap()
}

#[test]
fn pickles_are_those_of_cpython() {
    // CPython 3.11: pickle.dumps(json.loads(text)).hex()
    for (json, expected) in [
        (r#"null"#, "80044e2e"),
        (r#"{}"#, "80047d942e"),
        (r#"[]"#, "80045d942e"),
        (r#"true"#, "8004882e"),
        (r#"-129"#, "80049506000000000000004a7fffffff2e"),
        (
            r#"{"b":[1,255,256,65535,65536,-1,2147483647,2147483648,-2147483648,-2147483649,9223372036854775807,-9223372036854775808,18446744073709551615],"a":1.5}"#,
            "80049565000000000000007d94288c0162945d94284b014bff4d00014dffff4a000001004affffffff4affffff7f8a0500000080004a000000808a05ffffff7fff8a08ffffffffffffff7f8a0800000000000000808a09ffffffffffffffff00658c016194473ff8000000000000752e",
        ),
        (
            r#"{"name":"test","value":123,"nested":{"name":"test","é":"é"}}"#,
            "8004953a000000000000007d94288c046e616d65948c0474657374948c0576616c7565944b7b8c066e6573746564947d942868018c0474657374948c02c3a994680775752e",
        ),
        (
            r#"{"a":1,"b":2,"a":"a"}"#,
            "80049511000000000000007d94288c01619468018c0162944b02752e",
        ),
        (
            r#"["","","ab","ab",{"ab":"ab"},{"ab":""}]"#,
            "80049528000000000000005d94288c009468018c026162948c026162947d948c026162948c02616294737d946805680173652e",
        ),
        (
            r#"{"x": -140737488355328, "y": -140737488355329}"#,
            "8004951e000000000000007d94288c0178948a060000000000808c0179948a07ffffffffff7fff752e",
        ),
    ] {
        assert_eq!(hex::encode(pickled(json)), expected, "{json}");
    }
}

#[test]
fn batches_and_frames_are_those_of_cpython() {
    let list = |items: &[String]| format!("[{}]", items.join(","));
    let object = |count: u32| {
        let fields: Vec<_> = (0..count)
            .map(|index| format!("\"k{index}\":\"v{index}\""))
            .collect();
        format!("{{{}}}", fields.join(","))
    };
    let integers: Vec<_> = (0..5000).map(|index: u32| index.to_string()).collect();
    let texts: Vec<_> = (0..20_000)
        .map(|index: u32| format!("\"{}\"", index.to_string().repeat(9)))
        .collect();
    let text = |letter: &str, length| format!("\"{}\"", letter.repeat(length));
    let long = [
        text("x", 65_535),
        text("x", 65_536),
        text("y", 300),
        list(&[text("z", 70_000)]),
    ];
    // Length and sha2-256 of what CPython 3.11 prints.
    for (json, length, digest) in [
        (
            list(&integers),
            14_768,
            "0c7b2e730a780d2ba49b5bad6fedb523e91c106226a82c53be719958fb8ace1e",
        ),
        (
            object(1000),
            13_798,
            "67b13de7ddb601fde35498570c7f348de2a0463d72d04422e26b241d77791885",
        ),
        (
            object(2001),
            29_816,
            "172b32f1fba2b0f02fef6a91fb2c49a326c1d8c7cb36a725757bf1d05a8ad370",
        ),
        (
            list(&long),
            201_432,
            "651dff66fbdcdb3a2aa8fd90ff57e9666f707fb8da1ca6d5688857e358d1a403",
        ),
        (
            list(&texts),
            860_181,
            "b73f8eceab84a6b628d048872f885e3695a2930c32ba620ea7e9983ef1d00c94",
        ),
    ] {
        let bytes = pickled(&json);
        let digest_of = hex::encode(Sha256::digest(&bytes));
        assert_eq!((bytes.len(), digest_of.as_str()), (length, digest));
    }
}

#[test]
fn limits_are_kept() {
    let deep = (0..MAX_DEPTH).fold(Ordered::Null, |value, _| Ordered::List(vec![value]));
    assert!(to_bytes(&deep).is_ok());
    assert_eq!(
        to_bytes(&Ordered::List(vec![deep])).err(),
        Some(DocumentError::TooDeep)
    );
    let long = Ordered::Text("x".repeat(MAX_DOCUMENT));
    assert_eq!(to_bytes(&long).err(), Some(DocumentError::TooLong));
}
