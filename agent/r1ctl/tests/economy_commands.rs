//! The commands of the economy against a control socket that keeps what it is sent: which action a command line becomes,
//! and how its end is waited for.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use r1_economy::{Action, NetworkParams};
use serde_json::{Value, json};

const OWN: &str = "0x00000000000000000000000000000000000000aa";
const OTHER: &str = "0x00000000000000000000000000000000000000bb";
const NODE: &str = "0x00000000000000000000000000000000000000cc";

/// A node that takes every transaction and decides it when its account is asked for `decided_after` times more.
#[derive(Default)]
struct Ledger {
    /// Path and body of each `POST`.
    posts: Vec<(String, Value)>,
    /// The account's licences and job earnings.
    licences: Vec<Value>,
    job_earnings: u64,
    /// Looks at the account that a transaction waits for; never decided if `None`.
    decided_after: Option<u32>,
    /// True if a transaction is forgotten instead of decided.
    drops: bool,
    looks: u32,
}

impl Ledger {
    fn account(&mut self) -> Value {
        let sent = self.posts.len();
        let decided = self.decided_after.is_some_and(|after| self.looks >= after);
        self.looks += 1;
        let open = if sent == 0 || decided || self.drops { 0 } else { 1 };
        let nonce = if self.drops { 4 } else { 4 + sent - open };
        let waiting: Vec<Value> = (0..open)
            .map(|_| json!({ "tx": "0x77", "nonce": nonce }))
            .collect();
        json!({ "account": OWN, "nonce": nonce, "waiting": waiting, "r1": "0", "usdc": "50000000",
            "job_earnings": self.job_earnings.to_string(), "licences": self.licences })
    }

    fn answer(&mut self, call: &str, body: &str) -> (u16, Value) {
        let (method, path) = call.split_once(' ').unwrap();
        if method == "POST" {
            self.looks = 0;
            self.posts
                .push((path.to_owned(), serde_json::from_str(body).unwrap()));
            return (200, json!({ "tx": "0x77" }));
        }
        let answer = match path {
            "/v1/status" => json!({ "eth_address": OWN, "epoch": { "id": 10 } }),
            "/v1/nodes" => {
                json!({ "nodes": [{ "alias": "worker-1", "address": "0xai_C", "eth_address": NODE }] })
            }
            "/v1/economy" => json!({ "price": "500000000000000000" }),
            "/v1/economy/params" => json!(NetworkParams::preset("local").unwrap()),
            "/v1/jobs/7" => json!({ "id": 7, "last_execution_epoch": 20 }),
            "/v1/jobs?all=true&escrow=0x00000000000000000000000000000000000000bb" => json!({ "jobs": [] }),
            path if path.eq_ignore_ascii_case(&format!("/v1/escrows/{OWN}")) => {
                json!({ "owner": OWN, "balance": "1500000" })
            }
            path if path.eq_ignore_ascii_case(&format!("/v1/escrows/{OTHER}")) => {
                json!({ "owner": OTHER, "balance": "2500000" })
            }
            path if path.eq_ignore_ascii_case(&format!("/v1/accounts/{OWN}")) => self.account(),
            _ => return (404, json!({ "error": { "message": format!("no call {path}") } })),
        };
        (200, answer)
    }
}

/// One request: its method and path, and its body.
fn request(stream: &mut UnixStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let call = head.split(" HTTP/").next().unwrap();
                return (call.to_owned(), body.to_owned());
            }
        }
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the request ended early: {text}");
        bytes.extend_from_slice(&chunk[..count]);
    }
}

/// A node on a socket of its own.
struct Node {
    socket: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    _dir: tempfile::TempDir,
}

impl Node {
    fn start(ledger: Ledger) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("r1d.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let ledger = Arc::new(Mutex::new(ledger));
        let served = Arc::clone(&ledger);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (call, body) = request(&mut stream);
                let (status, answer) = served.lock().unwrap().answer(&call, &body);
                let body = answer.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Self {
            socket,
            ledger,
            _dir: dir,
        }
    }

    fn r1ctl(&self, line: &str) -> Output {
        r1ctl(&self.socket, line)
    }

    fn posts(&self) -> Vec<(String, Value)> {
        self.ledger.lock().unwrap().posts.clone()
    }
}

fn r1ctl(socket: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_r1ctl"))
        .arg("--socket")
        .arg(socket)
        .args(line.split_whitespace())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The actions that a command line sends, each as JSON that the ledger's own type reads.
fn actions(ledger: Ledger, line: &str) -> Vec<Value> {
    let node = Node::start(ledger);
    let output = node.r1ctl(&format!("{line} --no-wait"));
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    let body = |(path, body): (String, Value)| {
        assert_eq!(path, "/v1/transactions", "{line}");
        let read: Action = serde_json::from_value(body["action"].clone()).unwrap();
        assert_eq!(json!(read), body["action"], "{line}");
        body["action"].clone()
    };
    node.posts().into_iter().map(body).collect()
}

/// What an address looks like in an action.
fn address(text: &str) -> Value {
    json!(text.parse::<r1_core::EthAddress>().unwrap())
}

fn check(table: &[(&str, Value)]) {
    for (line, expected) in table {
        assert_eq!(
            actions(Ledger::default(), line),
            std::slice::from_ref(expected),
            "{line}"
        );
    }
}

#[test]
fn licences_and_money_become_the_actions_of_the_ledger() {
    let to = address(OTHER);
    check(&[
        (
            "licences unlink 3",
            json!({ "Unlink": { "licence": { "Nd": 3 } } }),
        ),
        (
            "licences claim gnd",
            json!({ "Claim": { "licence": { "Mnd": 1 } } }),
        ),
        (
            &format!("licences transfer mnd-2 --to {OTHER}"),
            json!({ "TransferLicence": { "licence": { "Mnd": 2 }, "to": to } }),
        ),
        (
            "licences burn nd-3 --yes",
            json!({ "BurnLicence": { "licence": { "Nd": 3 } } }),
        ),
        (
            &format!("pay {OTHER} 1.000000000000000001 R1"),
            json!({ "Transfer": { "asset": "R1", "to": to, "amount": "1000000000000000001" } }),
        ),
        (
            &format!("pay {OTHER} 0.375 usdc"),
            json!({ "Transfer": { "asset": "Usdc", "to": to, "amount": "375000" } }),
        ),
        (
            "burn 10 --app redmesh",
            json!({ "Burn": { "amount": "10000000000000000000", "app": "redmesh" } }),
        ),
        (
            "burn 0.5",
            json!({ "Burn": { "amount": "500000000000000000", "app": null } }),
        ),
    ]);
}

#[test]
fn swaps_and_liquidity_become_the_actions_of_the_ledger() {
    // At 0.5 USDC per R1, less the fee of 0.3 %: 2 R1 are worth 0.997 USDC, and 1 USDC 1.994 R1.
    check(&[
        (
            "pool swap 2 R1 --max-slippage 0",
            json!({ "Swap": { "asset": "R1", "amount": "2000000000000000000", "min_out": "997000" } }),
        ),
        (
            "pool swap 1 USDC --max-slippage 50",
            json!({ "Swap": { "asset": "Usdc", "amount": "1000000", "min_out": "997000000000000000" } }),
        ),
        (
            "pool add 2 1",
            json!({ "AddLiquidity": { "r1": "2000000000000000000", "usdc": "1000000", "min_r1": "0", "min_usdc": "0" } }),
        ),
        (
            "pool remove 12",
            json!({ "RemoveLiquidity": { "shares": "12", "min_r1": "0", "min_usdc": "0" } }),
        ),
    ]);
}

#[test]
fn jobs_and_escrows_become_the_actions_of_the_ledger() {
    let (other, node) = (address(OTHER), address(NODE));
    check(&[
        (
            "jobs create --type entry --nodes 2 --epochs 30",
            json!({ "CreateJobs": [{ "job_type": 1, "last_execution_epoch": 40, "nodes": 2 }] }),
        ),
        (
            "jobs extend 7 --epochs 5",
            json!({ "ExtendDuration": { "job": 7, "last_execution_epoch": 25 } }),
        ),
        (
            "jobs extend 7 --nodes 4",
            json!({ "ExtendNodes": { "job": 7, "nodes": 4 } }),
        ),
        ("jobs redeem 7", json!({ "Redeem": { "job": 7 } })),
        (
            &format!("jobs submit 7 worker-1 {OTHER} 0xai_C"),
            json!({ "SubmitNodes": { "job": 7, "nodes": [other, node] } }),
        ),
        (
            "jobs submit 7 --none",
            json!({ "SubmitNodes": { "job": 7, "nodes": [] } }),
        ),
        ("escrow deploy", json!("DeployEscrow")),
        (
            &format!("escrow delegate {OTHER} --may create,extend-duration,extend-nodes,redeem"),
            json!({ "Delegate": { "delegate": other, "permissions": 15 } }),
        ),
        (
            &format!("escrow delegate {OTHER} --may extend-nodes"),
            json!({ "Delegate": { "delegate": other, "permissions": 4 } }),
        ),
        (
            &format!("escrow delegate {OTHER} --none"),
            json!({ "Delegate": { "delegate": other, "permissions": 0 } }),
        ),
        (
            "escrow allocate",
            json!({ "Allocate": { "escrow": address(OWN) } }),
        ),
        (
            &format!("escrow allocate {OTHER}"),
            json!({ "Allocate": { "escrow": other } }),
        ),
    ]);
}

#[test]
fn a_link_is_asked_for_by_the_name_of_the_licence() {
    let node = Node::start(Ledger::default());
    assert!(node.r1ctl("licences link 3 --no-wait").status.success());
    assert_eq!(node.posts(), [("/v1/licences/nd-3/link".to_owned(), json!({}))]);
}

#[test]
fn claim_takes_what_licences_and_jobs_owe_and_nothing_else() {
    let licence = |name: &str, wei: &str, node: Value| json!({ "name": name, "claimable_wei": wei, "node_address": node });
    let ledger = |job_earnings| Ledger {
        licences: vec![
            licence("nd-1", "5", json!(OWN)),
            licence("nd-2", "0", json!(OWN)),
            licence("nd-3", "5", Value::Null),
            licence("mnd-2", "7", json!(NODE)),
        ],
        job_earnings,
        ..Ledger::default()
    };
    let licences = [
        json!({ "Claim": { "licence": { "Nd": 1 } } }),
        json!({ "Claim": { "licence": { "Mnd": 2 } } }),
    ];
    assert_eq!(actions(ledger(0), "claim"), licences);
    // 1 USDC at 0.5 USDC per R1, less 0.3 % and 3 %.
    let jobs = json!({ "ClaimJobs": { "nodes": [address(OWN)], "min_out": "1934180000000000000" } });
    assert_eq!(actions(ledger(1_000_000), "claim").last(), Some(&jobs));
    let node = Node::start(Ledger::default());
    assert!(stdout(&node.r1ctl("claim")).starts_with("nothing is owed"));
    assert!(node.posts().is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let node = Node::start(Ledger::default());
    for (line, why) in [
        (format!("pay {OTHER} 0.1234567 USDC"), "7 decimals; USDC has 6"),
        ("burn 0.0000000000000000001".to_owned(), "19 decimals; R1 has 18"),
        ("pool swap 1e3 R1".to_owned(), "not an amount"),
        (format!("pay {OTHER} 1 BTC"), "neither R1 nor USDC"),
        ("licences burn nd-3".to_owned(), "say --yes"),
        ("licences unlink x-3".to_owned(), "x-3"),
        (
            "jobs create --type PGSQL_LOW --epochs 3".to_owned(),
            "no longer offered",
        ),
        (
            "jobs create --type ENTRY --nodes 5 --epochs 30".to_owned(),
            "costs 56.25 USDC",
        ),
        ("jobs extend 7".to_owned(), "--epochs"),
        ("jobs submit 7".to_owned(), "required"),
        ("jobs submit 7 nobody".to_owned(), "nobody"),
        (format!("escrow delegate {OTHER}"), "--may"),
    ] {
        let output = node.r1ctl(&line);
        assert!(!output.status.success(), "{line}");
        assert!(stderr(&output).contains(why), "{line}: {}", stderr(&output));
    }
    assert!(node.posts().is_empty());
}

#[test]
fn a_sent_transaction_is_waited_for_until_the_nonce_has_passed_it() {
    let node = Node::start(Ledger {
        decided_after: Some(2),
        ..Ledger::default()
    });
    let output = node.r1ctl("burn 1");
    assert_eq!(
        stdout(&output),
        "decided: transaction 0x77\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(node.ledger.lock().unwrap().looks, 3);
    let node = Node::start(Ledger {
        decided_after: Some(0),
        ..Ledger::default()
    });
    let json: Value = serde_json::from_slice(&node.r1ctl("burn 1 --json").stdout).unwrap();
    assert_eq!(json, json!({ "tx": "0x77", "decided": true }));
}

#[test]
fn without_waiting_only_the_transaction_is_named() {
    let node = Node::start(Ledger::default());
    assert_eq!(
        stdout(&node.r1ctl("burn 1 --no-wait")),
        "sent as transaction 0x77\n"
    );
    assert_eq!(
        stdout(&node.r1ctl("burn 1 --no-wait --json")),
        "{\"tx\":\"0x77\"}\n"
    );
}

#[test]
fn a_transaction_that_was_dropped_is_a_failure() {
    let node = Node::start(Ledger {
        drops: true,
        ..Ledger::default()
    });
    let output = node.r1ctl("burn 1");
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("0x77 was dropped"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_escrow_is_shown_with_and_without_the_word() {
    let node = Node::start(Ledger::default());
    for line in ["escrow", "escrow show"] {
        assert!(stdout(&node.r1ctl(line)).contains("1.5 USDC"), "{line}");
        let other = node.r1ctl(&format!("{line} --account {OTHER}"));
        assert!(stdout(&other).contains("2.5 USDC"), "{line}: {}", stderr(&other));
    }
}

#[test]
fn jobs_are_asked_for_by_escrow_and_all() {
    let node = Node::start(Ledger::default());
    let output = node.r1ctl(&format!("jobs --all --escrow {OTHER} --json"));
    assert_eq!(stdout(&output), "{\"jobs\":[]}\n", "{}", stderr(&output));
    assert!(stdout(&node.r1ctl("jobs types")).contains("0.375"));
}
