use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::{DocumentError, MAX_DEPTH, MAX_DOCUMENT};

/// What PyYAML 6.0.3's `safe_load` reads, printed by `json.dumps`; infinities and not-a-number as null.
const SCALARS: &[(&str, &str)] = &[
    ("yes", r#"true"#),
    ("Off", r#"false"#),
    ("y", r#""y""#),
    ("null", r#"null"#),
    ("~", r#"null"#),
    ("", r#"null"#),
    ("0", r#"0"#),
    ("-0", r#"0"#),
    ("010", r#"8"#),
    ("-017", r#"-15"#),
    ("08", r#""08""#),
    ("0x1F", r#"31"#),
    ("-0xff", r#"-255"#),
    ("0b101", r#"5"#),
    ("0b", r#""0b""#),
    ("0x", r#""0x""#),
    ("1_000", r#"1000"#),
    ("+5", r#"5"#),
    ("1:30", r#"90"#),
    ("-1:30", r#"-90"#),
    ("1:60", r#""1:60""#),
    ("1:5:07", r#"3907"#),
    ("0:30", r#""0:30""#),
    ("1.5", r#"1.5"#),
    ("-1.5", r#"-1.5"#),
    ("+.5", r#""+.5""#),
    (".5", r#"0.5"#),
    ("-.5", r#""-.5""#),
    (".", r#"".""#),
    ("._5", r#""._5""#),
    ("1.", r#"1.0"#),
    ("1e5", r#""1e5""#),
    ("1.0e5", r#""1.0e5""#),
    ("1.0e+5", r#"100000.0"#),
    ("1.5E-3", r#"0.0015"#),
    ("1:30.5", r#"90.5"#),
    (".inf", r#"null"#),
    ("-.INF", r#"null"#),
    (".nan", r#"null"#),
    ("-.nan", r#""-.nan""#),
    ("1__0", r#"10"#),
    ("_1", r#""_1""#),
    ("0_7", r#"7"#),
    ("00", r#"0"#),
    ("9223372036854775807", r#"9223372036854775807"#),
    ("-9223372036854775808", r#"-9223372036854775808"#),
    ("18446744073709551615", r#"18446744073709551615"#),
    ("1.2.3", r#""1.2.3""#),
    ("1_0.2_5", r#"10.25"#),
    ("12e+3", r#""12e+3""#),
    ("a", r#""a""#),
    ("True", r#"true"#),
    ("TRUE", r#"true"#),
    ("tRUE", r#""tRUE""#),
    ("1 2", r#""1 2""#),
    ("0o17", r#""0o17""#),
    (".5e-1", r#"0.05"#),
    ("1.e+2", r#"100.0"#),
    ("1:30.", r#"90.0"#),
    ("190:20:30", r#"685230"#),
    ("-190:20:30.15", r#"-685230.15"#),
    ("0.0e-0", r#"0.0"#),
];

#[test]
fn scalars_mean_what_they_mean_to_pyyaml() {
    for (text, expected) in SCALARS {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let read = from_bytes(format!("a: {text}").as_bytes()).unwrap();
        assert_eq!(read, json!({ "a": expected }), "{text}");
    }
}

#[test]
fn documents_look_like_those_of_pyyaml() {
    // PyYAML 6.0.3: yaml.dump(value)
    let value = json!({
        "list": [1, [2, [3]], {"a": 1, "b": [], "c": [4]}, {}, "x"],
        "a key": {"nested": {"deep": null}},
        "texts": ["yes", "12", "", "with: colon", "it's # so", "Iași", "\u{1F980}\u{7f}", "1e5", "~", "- x", "end "],
        "floats": [1.5, 1e20, 1e-7, -0.0, 10.0],
        "truth": true,
    });
    let expected = r#"a key:
  nested:
    deep: null
floats:
- 1.5
- 1.0e+20
- 1.0e-07
- -0.0
- 10.0
list:
- 1
- - 2
  - - 3
- a: 1
  b: []
  c:
  - 4
- {}
- x
texts:
- 'yes'
- '12'
- ''
- 'with: colon'
- 'it''s # so'
- "Ia\u0219i"
- "\U0001F980\x7F"
- '1e5'
- '~'
- '- x'
- 'end '
truth: true
"#;
    let written = String::from_utf8(to_bytes(&value).unwrap()).unwrap();
    assert_eq!(written, expected);
    assert_eq!(from_bytes(written.as_bytes()).unwrap(), value);
}

#[test]
fn a_long_key_is_written_so_that_readers_find_its_colon() {
    let key = "k".repeat(3000);
    let value = json!({ key: {"a": [1]}, "b": 2 });
    let written = to_bytes(&value).unwrap();
    assert_eq!(from_bytes(&written).unwrap(), value);
}

#[test]
fn anchors_merges_and_odd_keys_are_read() {
    let text = b"base: &b {a: 1, b: [x]}\nother:\n  <<: *b\n  b: 2\nmore: {<<: [*b, {c: 3}]}\n'<<': 4\n1: one\ntrue: t\n~: n\n1.0: f\nagain: *b\n";
    let base = json!({"a": 1, "b": ["x"]});
    assert_eq!(
        from_bytes(text).unwrap(),
        json!({
            "base": base, "other": {"a": 1, "b": 2}, "more": {"a": 1, "b": ["x"], "c": 3}, "<<": 4, "1": "one",
            "true": "t", "null": "n", "1.0": "f", "again": base,
        })
    );
    assert_eq!(from_bytes(b"").unwrap(), Value::Null);
    assert_eq!(from_bytes(b"a: 1\na: 2").unwrap(), json!({"a": 2}));
    assert_eq!(
        from_bytes(b"[!!str 1, !!int '2', !!float 3.0, ! 4]").unwrap(),
        json!(["1", 2, 3.0, "4"])
    );
}

#[test]
fn what_json_cannot_say_is_refused_with_its_line() {
    for (text, line) in [
        (&b"a: 1\nb: !!python/object/apply:os.system ['true']\n"[..], 2),
        (b"a: !!binary aGk=\n", 1),
        (b"a: 1\n---\nb: 2\n", 2),
        (b"{a: 1\n", 2),
        (b"a: *none\n", 1),
        (b"a: &a [*a]\n", 1),
        (b"[a]: 1\n", 1),
        (b"a:\n  <<: 1\n", 2),
        (b"a: 1\nb: \xff\n", 2),
    ] {
        let error = from_bytes(text).unwrap_err();
        let DocumentError::Yaml { line: found, .. } = &error else {
            panic!("{error}")
        };
        assert!(found.abs_diff(line) <= 1, "{text:?}: {error}");
    }
}

#[test]
fn what_unfolds_or_nests_without_end_is_refused() {
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert_eq!(from_bytes(bomb.as_bytes()), Err(DocumentError::TooLong));
    assert!(from_bytes("[".repeat(10_000).as_bytes()).is_err());
    assert!(from_bytes("- ".repeat(10_000).as_bytes()).is_err());
    let deep = (0..MAX_DEPTH).fold(json!(1), |value, _| json!([value]));
    let written = to_bytes(&deep).unwrap();
    assert_eq!(from_bytes(&written).unwrap(), deep);
    assert_eq!(to_bytes(&json!([deep])).err(), Some(DocumentError::TooDeep));
    let long = vec![b' '; MAX_DOCUMENT + 1];
    assert_eq!(from_bytes(&long).err(), Some(DocumentError::TooLong));
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        any::<String>(),
        proptest::sample::select(SCALARS).prop_map(|(text, _)| text.to_owned())
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_comes_back(value in value()) {
        let written = to_bytes(&value).unwrap();
        prop_assert_eq!(from_bytes(&written).unwrap(), value);
    }

    #[test]
    fn hostile_texts_do_no_harm(text in "[-a-c0-9:&*!{}\\[\\],'\"|>#?%@ \n\t<~.]{0,60}") {
        let _ = from_bytes(text.as_bytes());
    }
}
