//! Against the R1FS engine of the published Python package `ratio1` 3.5.60, in both directions: it seals and we open,
//! we seal and it opens; so for nonces and documents. `tests/peers/ratio1.sh` installs the package.
#![expect(clippy::unwrap_used, reason = "test")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use r1_r1fs::{
    document,
    seal::{
        Key, SealError,
        gcm::{HEADER, Sealer, TagCheck},
        nonce,
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

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
    fn start() -> Option<Self> {
        let Some(python) = python() else {
            assert!(
                env::var_os("R1_REQUIRE_ALL").is_none(),
                "ratio1 3.5.60 is not installed"
            );
            eprintln!("SKIP ratio1: no Python with ratio1 3.5.60 (tests/peers/ratio1.sh installs it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ratio1_peer.py"))
            .arg(folder.path())
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
        assert!(!answer.is_empty(), "the peer died:\n{}", log());
        serde_json::from_str(&answer).unwrap()
    }

    fn texts(&mut self, op: &str, texts: &[String]) -> Vec<String> {
        let answer = self.ask(&json!({ "op": op, "texts": texts }));
        serde_json::from_value(answer).unwrap()
    }

    /// What the package sealed last, or will open.
    fn sealed(&self) -> PathBuf {
        self.folder.path().join("sealed")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.requests.take());
        self.child.wait().unwrap();
    }
}

fn seal(secret: Option<&str>, seed: i64, name: &str, content: &[u8]) -> Vec<u8> {
    let (mut sealer, header) = Sealer::new(&Key::of_secret(secret), nonce::from_integer(seed), name).unwrap();
    let mut content = content.to_vec();
    sealer.update(&mut content).unwrap();
    [&header[..], &content, &sealer.finish()].concat()
}

fn open(secret: Option<&str>, object: &[u8]) -> Result<(String, Vec<u8>), SealError> {
    let (header, rest) = object.split_first_chunk::<HEADER>().unwrap();
    let mut check = TagCheck::new(&Key::of_secret(secret), header, object.len() as u64)?;
    check.feed(rest)?;
    let opener = check.finish()?;
    let place = opener.object_range(0..opener.size());
    let mut content = object[place.start as usize..place.end as usize].to_vec();
    opener.decrypt(0, &mut content);
    Ok((opener.filename().to_owned(), content))
}

const CASES: [(Option<&str>, i64, &str, usize); 8] = [
    (None, 0, "empty", 0),
    (Some(""), 1, "one.txt", 1),
    (Some("test-secret"), -7, "Iași \u{1F980} \"x\".bin", 15),
    (Some("sécret"), 1 << 40, "a b", 16),
    (Some("x"), i64::MIN, "name", 4097),
    (None, i64::MAX, "mib", (1 << 20) - 1),
    (None, 42, "mib", 1 << 20),
    (Some("long"), 43, "more", (3 << 20) + 5),
];

#[test]
fn the_package_and_we_seal_alike() {
    let Some(mut peer) = Peer::start() else { return };
    let mut rng = StdRng::seed_from_u64(1);
    nonces(&mut peer, &mut rng);
    for (secret, seed, name, length) in CASES {
        let content: Vec<u8> = (0..length).map(|_| rng.r#gen()).collect();
        let path = peer.folder.path().join(name);
        fs::write(&path, &content).unwrap();
        peer.ask(&json!({"op": "add_file", "path": path, "secret": secret, "nonce": seed}));
        let theirs = fs::read(peer.sealed()).unwrap();
        assert!(theirs == seal(secret, seed, name, &content), "{name}");
        assert!(open(secret, &theirs).unwrap() == (name.to_owned(), content.clone()));
        assert_eq!(open(Some("other"), &theirs), Err(SealError::Refused));

        // Their own nonces are random.
        peer.ask(&json!({"op": "add_file", "path": path, "secret": secret, "nonce": null}));
        let theirs = fs::read(peer.sealed()).unwrap();
        assert!(open(secret, &theirs).unwrap() == (name.to_owned(), content.clone()));

        fs::write(peer.sealed(), seal(secret, seed ^ 5, name, &content)).unwrap();
        let opened = peer.ask(&json!({"op": "get", "secret": secret}));
        let opened = Path::new(opened["path"].as_str().unwrap());
        assert_eq!(opened.file_name().unwrap(), name);
        assert!(fs::read(opened).unwrap() == content);
        let refused = peer.ask(&json!({"op": "get", "secret": "other"}));
        assert!(refused["error"].is_string(), "{refused}");
    }
}

fn nonces(peer: &mut Peer, rng: &mut StdRng) {
    let seeds: Vec<i64> = (0..500)
        .map(|_| rng.r#gen::<i64>() >> rng.gen_range(0..64))
        .collect();
    let theirs = peer.ask(&json!({ "op": "nonce", "seeds": seeds }));
    let ours: Vec<String> = seeds
        .iter()
        .map(|seed| {
            nonce::from_integer(*seed)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        })
        .collect();
    assert_eq!(theirs, json!(ours));
}

/// The text of a random value, with fields in any order and keys that come twice.
fn random_text(rng: &mut StdRng, depth: u32) -> String {
    match rng.gen_range(0..if depth == 0 { 7 } else { 10 }) {
        0 => "null".to_owned(),
        1 => rng.r#gen::<bool>().to_string(),
        2 => (rng.r#gen::<i64>() >> rng.gen_range(0..64)).to_string(),
        3 => rng.r#gen::<u64>().to_string(),
        4 => json!(f64::from_bits(rng.r#gen())).to_string(),
        5 => json!(f64::from(rng.gen_range(-1_000_000_i32..1_000_000)) / 10_f64.powi(rng.gen_range(-20..20)))
            .to_string(),
        6 => random_string(rng),
        7 => {
            let items: Vec<_> = (0..rng.gen_range(0..5))
                .map(|_| random_text(rng, depth - 1))
                .collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let fields: Vec<_> = (0..rng.gen_range(0..6))
                .map(|_| format!("{}:{}", random_string(rng), random_text(rng, depth - 1)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}

fn random_string(rng: &mut StdRng) -> String {
    const WORDS: [&str; 12] = [
        "",
        "a",
        "é",
        "name",
        "yes",
        "null",
        "1e5",
        "0x1F",
        "2026-11-24",
        "- x",
        "a: b",
        "key # no",
    ];
    let text: String = if rng.r#gen() {
        WORDS[rng.gen_range(0..WORDS.len())].to_owned()
    } else {
        (0..rng.gen_range(0..9))
            .map(|_| {
                if rng.r#gen() {
                    char::from(rng.gen_range(0..0x80_u8))
                } else {
                    rng.r#gen()
                }
            })
            .collect()
    };
    json!(text).to_string()
}

#[test]
fn the_package_and_we_write_documents_alike() {
    let Some(mut peer) = Peer::start() else { return };
    let mut rng = StdRng::seed_from_u64(2);
    let texts: Vec<String> = (0..3000).map(|_| random_text(&mut rng, 5)).collect();
    let values: Vec<Value> = texts
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();

    for (theirs, text) in peer.texts("pickle", &texts).iter().zip(&texts) {
        let ordered = serde_json::from_str(text).unwrap();
        let ours = document::pickle::to_bytes(&ordered).unwrap();
        assert_eq!(*theirs, hex::encode(ours), "{text}");
    }
    for (theirs, value) in peer.texts("json", &texts).iter().zip(&values) {
        let ours = document::json::to_bytes(value).unwrap();
        assert_eq!(*theirs, String::from_utf8(ours).unwrap());
    }
    for (theirs, value) in peer.texts("yaml", &texts).iter().zip(&values) {
        let read = document::yaml::from_bytes(theirs.as_bytes());
        assert_eq!(read.as_ref(), Ok(value), "{theirs}");
    }
    let ours: Vec<String> = values
        .iter()
        .map(|value| String::from_utf8(document::yaml::to_bytes(value).unwrap()).unwrap())
        .collect();
    for (theirs, (value, ours)) in peer
        .texts("load_yaml", &ours)
        .iter()
        .zip(values.iter().zip(&ours))
    {
        let read: Value = serde_json::from_str(theirs).unwrap();
        assert_eq!(read, *value, "{ours}");
    }
}

#[test]
fn reproducible_documents_have_one_object() {
    let Some(mut peer) = Peer::start() else { return };
    let text = r#"{"name":"test","value":123,"nested":{"key":"value","name":1.5}}"#;
    for (op, name) in [("calculate_json", "test.json"), ("calculate_pickle", "model.pkl")] {
        peer.ask(&json!({"op": op, "text": text, "fn": name, "secret": "test-secret", "nonce": 1}));
        let bytes = if op == "calculate_json" {
            document::json::to_bytes(&serde_json::from_str(text).unwrap()).unwrap()
        } else {
            document::pickle::to_bytes(&serde_json::from_str(text).unwrap()).unwrap()
        };
        let theirs = fs::read(peer.sealed()).unwrap();
        assert!(theirs == seal(Some("test-secret"), 1, name, &bytes), "{op}");
    }
}
