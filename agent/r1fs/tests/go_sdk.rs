//! What the Go SDK (`edge_sdk_go`) puts on the wire, replayed: Go is on no machine that runs these tests. Its client
//! wraps every body, so `net/http` sends chunks instead of a length; it names its options `body_json`, after the file,
//! and asks without an Accept header for answers that it reads as JSON.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use self::server::{Server, open};

mod server;

/// As long as those of Go's `mime/multipart`.
const BOUNDARY: &str = "7d0f3a5c1e9b2846a1c3e5f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";

/// One request on a connection that stays open, as Go keeps it; the status and the JSON answer.
async fn exchange(server: &Server, request: &[u8]) -> (u16, Value) {
    let mut stream = BufReader::new(TcpStream::connect(server.address).await.unwrap());
    stream.write_all(request).await.unwrap();
    let mut status = String::new();
    stream.read_line(&mut status).await.unwrap();
    let mut length = None;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        }
    }
    let mut body = vec![0; length.expect("an answer with a length")];
    stream.read_exact(&mut body).await.unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(server: &Server, path: &str) -> (u16, Value) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
        server.address
    );
    exchange(server, request.as_bytes()).await
}

async fn post(server: &Server, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: {kind}\r\nAccept-Encoding: gzip\r\n\r\n{:x}\r\n",
        server.address,
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request.extend_from_slice(b"\r\n0\r\n\r\n");
    exchange(server, &request).await
}

async fn post_json(server: &Server, path: &str, body: &str) -> (u16, Value) {
    post(server, path, "application/json", body.as_bytes()).await
}

async fn add_file(server: &Server, name: &str, content: &[u8], options: &str) -> Value {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(
        format!(
            "\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"body_json\"\r\n\r\n{options}\r\n\
             --{BOUNDARY}--\r\n"
        )
        .as_bytes(),
    );
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let (status, answer) = post(server, "/add_file", &kind, &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["result"]["cid"].clone()
}

#[tokio::test]
async fn an_upload_obeys_body_json_and_comes_back_as_a_path() {
    let server = open().await;
    let content = b"hello from Go".repeat(10_000);
    let options = r#"{"file_path":"dir/go.bin","fn":"go.bin","nonce":7,"secret":"s"}"#;
    let cid = add_file(&server, "other.bin", &content, options).await;
    let path = format!("/get_file?cid={}&secret=s", cid.as_str().unwrap());
    let (status, answer) = get(&server, &path).await;
    assert_eq!(status, 200, "{answer}");
    let path = answer["result"]["file_path"].as_str().unwrap();
    assert!(std::fs::read(path).unwrap() == content);
    assert_eq!(answer["result"]["meta"]["filename"], "go.bin");
    let (status, _) = get(&server, &format!("/get_file?cid={}", cid.as_str().unwrap())).await;
    assert_eq!(status, 500, "the secret of body_json was not used");
}

#[tokio::test]
async fn empty_options_leave_the_name_of_the_file() {
    let server = open().await;
    let cid = add_file(&server, "a.txt", b"a", "{}").await;
    let (_, answer) = get(&server, &format!("/get_file?cid={}", cid.as_str().unwrap())).await;
    assert_eq!(answer["result"]["meta"]["filename"], "a.txt");
}

#[tokio::test]
async fn base64_and_yaml_come_back() {
    let server = open().await;
    let body = r#"{"file_base64_str":"aGVsbG8=","filename":"h.txt"}"#;
    let (_, added) = post_json(&server, "/add_file_base64", body).await;
    let cid = &added["result"]["cid"];
    let (_, found) = post_json(&server, "/get_file_base64", &format!("{{\"cid\":{cid}}}")).await;
    let text = found["result"]["file_base64_str"].as_str().unwrap();
    assert_eq!(STANDARD.decode(text).unwrap(), b"hello");

    let body = r#"{"data":{"a":[1,2.5,null]},"fn":"c.yaml","secret":"s"}"#;
    let (_, added) = post_json(&server, "/add_yaml", body).await;
    let cid = added["result"]["cid"].as_str().unwrap();
    let (_, found) = get(&server, &format!("/get_yaml?cid={cid}&secret=s")).await;
    assert_eq!(found["result"]["file_data"], json!({"a": [1, 2.5, null]}));
}
