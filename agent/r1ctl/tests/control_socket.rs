//! r1ctl against a control socket that answers with fixed documents: what it asks, what it prints, how it exits.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Output},
    thread,
};

const STATUS: &str = r#"{"alias":"w1","role":"worker","network":"local","address":"0xai_A","eth_address":"0xB",
"version":"0.1.0","epoch":{"id":3,"length_ms":60000},"height":9,"last_closed_epoch":2,"peers":5,
"availability_now":254,"balance":"1458508188386985115","claimable":"0","containers":1,
"host":{"connected":true,"hooks":{}},"degraded":[]}"#;

/// Serves each connection one answer by the request line, for as long as the test runs.
fn serve(path: &Path, answers: &'static [(&'static str, u16, &'static str)]) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), answers);
        }
    });
}

fn answer(stream: &mut UnixStream, answers: &[(&str, u16, &str)]) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..count]);
    }
    let line = String::from_utf8_lossy(&request)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let found = answers.iter().find(|(call, ..)| line.starts_with(call));
    let (status, body) = found.map_or((404, "{}"), |(_, status, body)| (*status, *body));
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
}

fn r1ctl(socket: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_r1ctl"))
        .arg("--socket")
        .arg(socket)
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn status_is_shown_to_people_and_to_programs() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("r1d.sock");
    serve(&socket, &[("GET /v1/status ", 200, STATUS)]);
    let people = String::from_utf8(r1ctl(&socket, &["status"]).stdout).unwrap();
    assert!(
        people.contains("1.458508188386985115 R1") && people.contains("254 of 255"),
        "{people}"
    );
    let programs = r1ctl(&socket, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&programs.stdout).unwrap();
    assert_eq!(json["height"], 9);
}

#[test]
fn a_refusal_is_told_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("r1d.sock");
    const BODY: &str =
        r#"{"error":{"code":"host","message":"r1-hostd is not connected","remedy":"start it"}}"#;
    serve(&socket, &[("GET /v1/containers ", 503, BODY)]);
    let output = r1ctl(&socket, &["ps"]);
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "r1ctl: r1-hostd is not connected (start it)\n"
    );
}

#[test]
fn a_daemon_that_does_not_run_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let output = r1ctl(&dir.path().join("none.sock"), &["status"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("none.sock") && error.contains("systemctl start r1d"),
        "{error}"
    );
}

#[test]
fn run_and_wait_gives_the_output_and_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("r1d.sock");
    serve(
        &socket,
        &[
            ("POST /v1/containers ", 200, r#"{"id":"c1"}"#),
            (
                "GET /v1/containers ",
                200,
                r#"{"containers":[{"id":"c1","state":"stopped","exit_code":3}]}"#,
            ),
            (
                "GET /v1/containers/c1/logs",
                200,
                r#"{"lines":[{"t":1,"s":"stdout","m":"hello"}]}"#,
            ),
        ],
    );
    let output = r1ctl(
        &socket,
        &["run", "--image", "busybox", "--wait", "--", "echo", "hello"],
    );
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
}

#[test]
fn why_takes_nothing_an_epoch_an_address_or_an_alias() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("r1d.sock");
    serve(
        &socket,
        &[
            ("GET /v1/status ", 200, STATUS),
            (
                "GET /v1/nodes ",
                200,
                r#"{"nodes":[{"alias":"w2","address":"0xai_C"}]}"#,
            ),
            ("GET /v1/why/node/0xai_A ", 200, r#"{"text":["own"]}"#),
            ("GET /v1/why/node/0xai_C?epoch=4 ", 200, r#"{"text":["other"]}"#),
            (
                "GET /v1/why/epoch/7 ",
                200,
                r#"{"text":["all"],"nodes":[{"node":"0xai_C","text":["gap"]}]}"#,
            ),
        ],
    );
    let said = |arguments: &[&str]| String::from_utf8(r1ctl(&socket, arguments).stdout).unwrap();
    assert_eq!(said(&["why"]), "own\n");
    assert_eq!(said(&["why", "w2", "--epoch", "4"]), "other\n");
    assert_eq!(said(&["why", "7"]), "all\n\n0xai_C\n  gap\n");
    let nobody = r1ctl(&socket, &["why", "w9"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("w9"));
}
