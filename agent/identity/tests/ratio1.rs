//! Against the published Python package `ratio1` 3.5.60, in both directions: it signs and we verify, we sign and it
//! verifies; so for encryption, addresses, key files and tokens. `tests/peers/ratio1.sh` installs the package.
#![expect(clippy::unwrap_used, reason = "test")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use r1_core::{CanonicalLimits, FloatForm, NodeAddress, canonical_json};
use r1_identity::{
    NodeKey,
    envelope::{self, CanonVersion},
    r1_token, recover_personal,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};
use sha3::{Digest, Keccak256};

/// The package's interpreter: from the environment, or where the installation script puts it.
fn python() -> Option<PathBuf> {
    let installed = || {
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
        Some(cache.join("r1-agent/ratio1-3.5.60/bin/python"))
    };
    env::var_os("R1_RATIO1_PYTHON")
        .map(PathBuf::from)
        .or_else(installed)
        .filter(|python| python.exists())
}

struct Peer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Peer {
    /// Starts the package with a key of ours, or with one that it makes itself.
    fn start(key: Option<&NodeKey>) -> Option<Self> {
        let Some(python) = python() else {
            assert!(
                env::var_os("R1_REQUIRE_ALL").is_none(),
                "ratio1 3.5.60 is not installed"
            );
            eprintln!("SKIP ratio1: no Python with ratio1 3.5.60 (tests/peers/ratio1.sh installs it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("key.pem");
        if let Some(key) = key {
            key.save(&pem).unwrap();
        }
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ratio1_peer.py"))
            .args([folder.path(), &pem])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Self {
            child,
            requests,
            answers,
            folder,
        })
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests.as_ref().unwrap(), "{request}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!(!answer.is_empty(), "the peer died at {request}:\n{}", log());
        serde_json::from_str(&answer).unwrap()
    }

    fn address(&mut self) -> NodeAddress {
        self.ask(&json!({"op": "who"}))["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.requests.take());
        self.child.wait().unwrap();
    }
}

fn our_key() -> NodeKey {
    NodeKey::from_secret_bytes(&[7; 32]).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

fn content() -> Value {
    json!({
        "text": "Iași \u{1F980} \u{7f}\u{1}\\\"\n", "floats": [1.5, 10.0, 1e20, 1e-7, -0.0, 123456.789, 1e16, 5e-324],
        "integers": [0, -1, 18_446_744_073_709_551_615_u64, i64::MIN], "null": null, "truth": [true, false],
        "nested": {"3": {"z": 1, "a": []}, "20": {}, "é": ""},
    })
}

/// A random value of every JSON kind.
fn random_value(rng: &mut StdRng, depth: u32) -> Value {
    match rng.gen_range(0..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => rng.r#gen::<bool>().into(),
        2 => rng.r#gen::<i64>().into(),
        3 => f64::from_bits(rng.r#gen()).into(),
        4 => {
            (f64::from(rng.gen_range(-1_000_000_i32..1_000_000)) / 10_f64.powi(rng.gen_range(-20..20))).into()
        }
        5 => random_text(rng).into(),
        6 => (0..rng.gen_range(0..4))
            .map(|_| random_value(rng, depth - 1))
            .collect(),
        _ => Value::Object(
            (0..rng.gen_range(0..5))
                .map(|_| (random_text(rng), random_value(rng, depth - 1)))
                .collect(),
        ),
    }
}

fn random_text(rng: &mut StdRng) -> String {
    (0..rng.gen_range(0..8))
        .map(|_| {
            if rng.r#gen() {
                char::from(rng.gen_range(0..0x80_u8))
            } else {
                rng.r#gen()
            }
        })
        .collect()
}

#[test]
fn the_package_and_we_agree() {
    let key = our_key();
    let Some(mut same) = Peer::start(Some(&key)) else {
        return;
    };
    let Some(mut other) = Peer::start(None) else {
        return;
    };

    identities(&mut same, &key);
    canonical_text(&mut same);
    signatures(&mut other, &key);
    encryption(&mut other, &mut same, &key);
    wallet_signatures(&mut other, &key);
}

/// One key file, one key, the same names; also for the file that the package writes and the key it makes of words.
fn identities(peer: &mut Peer, key: &NodeKey) {
    let who = peer.ask(&json!({"op": "who"}));
    assert_eq!(who["address"], key.address().to_string());
    assert_eq!(who["eth_address"], key.eth_address().to_string());

    let words = ["alpha", "bună", "gamma"];
    let theirs = peer.ask(&json!({"op": "words", "words": words}));
    let ours = NodeKey::from_words(&words).unwrap();
    assert_eq!(theirs["address"], ours.address().to_string());
    let read = NodeKey::from_pem(theirs["pem"].as_str().unwrap()).unwrap();
    assert_eq!(*read.secret_bytes(), *ours.secret_bytes());

    let token = r1_token(&key.address(), &mut rand::thread_rng());
    let seen = peer.ask(&json!({"op": "check_token", "token": token}));
    assert!(
        seen.as_str().unwrap().contains(&key.address().without_prefix()),
        "{seen}"
    );
    let token = peer.ask(&json!({"op": "token"}));
    assert_eq!(
        token.as_str().unwrap().len(),
        r1_token(&key.address(), &mut rand::thread_rng()).len()
    );
}

fn canonical_text(peer: &mut Peer) {
    let mut rng = StdRng::seed_from_u64(1);
    let values: Vec<Value> = std::iter::once(content())
        .chain((0..1500).map(|_| json!({"a": random_value(&mut rng, 3), "b": random_value(&mut rng, 2)})))
        .collect();
    for (legacy, form) in [(false, FloatForm::Current), (true, FloatForm::Legacy)] {
        let theirs = peer.ask(&json!({"op": "canonical", "legacy": legacy, "values": values}));
        for (value, theirs) in values.iter().zip(theirs.as_array().unwrap()) {
            let object = object(value.clone());
            let ours = canonical_json(&object, |_| true, form, CanonicalLimits::default()).unwrap();
            assert_eq!(ours, theirs.as_str().unwrap(), "{form:?} of {value}");
        }
    }
}

fn signatures(peer: &mut Peer, key: &NodeKey) {
    let sender = peer.address();
    for use_digest in [true, false] {
        let signed = peer.ask(&json!({"op": "sign", "use_digest": use_digest, "message": content()}));
        let verified = envelope::verify(&object(signed)).unwrap();
        assert_eq!(
            (verified.sender, verified.version),
            (sender, CanonVersion::Current)
        );
    }

    let mut message = object(content());
    envelope::sign(key, &mut message).unwrap();
    let seen = peer.ask(&json!({"op": "verify", "message": message}));
    assert_eq!(seen["valid"], true, "{seen}");
    assert_eq!(seen["sender"], key.address().to_string());
    message.insert("text".into(), "changed".into());
    let seen = peer.ask(&json!({"op": "verify", "message": message}));
    assert_eq!(
        (&seen["valid"], &seen["message"]),
        (&json!(false), &json!("Corrupted digest!"))
    );

    // Many signatures: about half of the package's have a high s.
    for number in 0..20 {
        let signed = peer.ask(&json!({"op": "sign", "use_digest": true, "message": {"number": number}}));
        envelope::verify(&object(signed)).unwrap();
    }
}

/// `other` has its own key, `same` has ours.
fn encryption(other: &mut Peer, same: &mut Peer, key: &NodeKey) {
    let rng = &mut rand::thread_rng();
    let theirs = other.address();
    let ours = key.address();
    let text = "ciphertext for Iași ".repeat(200);

    let sealed = other.ask(&json!({"op": "encrypt", "text": text, "to": ours}));
    assert_eq!(key.decrypt(sealed.as_str().unwrap(), &theirs).unwrap(), text);
    let sealed = other.ask(&json!({"op": "encrypt", "text": text, "to": [theirs, ours]}));
    assert_eq!(key.decrypt(sealed.as_str().unwrap(), &theirs).unwrap(), text);

    let sealed = key.encrypt(&text, &theirs, rng).unwrap();
    assert_eq!(
        other.ask(&json!({"op": "decrypt", "sealed": sealed, "from": ours})),
        text
    );
    let sealed = key.encrypt_for_many(&text, &[ours, theirs], rng).unwrap();
    for receiver in [other, same] {
        assert_eq!(
            receiver.ask(&json!({"op": "decrypt", "sealed": sealed, "from": ours})),
            text
        );
    }
}

/// The package signs a text as it is (`no_hash`), or by default its keccak256 as a 32-byte message.
fn wallet_signatures(peer: &mut Peer, key: &NodeKey) {
    let text = "Please sign this message";
    for (plain, message) in [
        (true, text.as_bytes().to_vec()),
        (false, Keccak256::digest(text).to_vec()),
    ] {
        let signature = peer.ask(&json!({"op": "eth_sign", "text": text, "plain": plain}));
        let bytes = hex::decode(signature.as_str().unwrap().trim_start_matches("0x")).unwrap();
        let signer = recover_personal(&message, &bytes.try_into().unwrap()).unwrap();
        assert_eq!(signer.address(), peer.address());

        let ours = format!("0x{}", hex::encode(key.sign_personal(&message)));
        let signer = peer.ask(&json!({"op": "eth_verify", "text": text, "signature": ours, "plain": plain}));
        assert_eq!(signer, key.eth_address().to_string());
    }
}
