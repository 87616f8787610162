//! The HTTP contract over real connections, on a real store.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Bytes};
use hyper_util::rt::TokioIo;
use r1_r1fs::{
    api::Caller,
    http::{Callers, Limits},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use self::server::{Server, open, serve};

mod server;

impl Server {
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::get(path).header("host", "node");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = Request::post(path)
            .header("host", "node")
            .header("content-type", "application/json");
        let response = self
            .send(request.body(Full::from(body.to_string())).unwrap())
            .await;
        (
            response.status().as_u16(),
            serde_json::from_slice(response.body()).unwrap_or_default(),
        )
    }

    async fn form(&self, parts: &[(&str, Option<&str>, &[u8])]) -> (u16, Value) {
        let request = Request::post("/add_file").header("host", "node");
        let request = request.header("content-type", "multipart/form-data; boundary=XX");
        let response = self.send(request.body(Full::from(form(parts))).unwrap()).await;
        (
            response.status().as_u16(),
            serde_json::from_slice(response.body()).unwrap_or_default(),
        )
    }
}

fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file
            .map(|file| format!("; filename=\"{file}\""))
            .unwrap_or_default();
        body.extend(format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

fn cid(answer: &Value) -> String {
    answer["result"]["cid"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

const STREAM: (&str, &str) = ("accept", "*/*");

#[tokio::test]
async fn uploads_come_back_in_either_order_of_the_form() {
    let server = open().await;
    let content = vec![9u8; 300_000];
    let options = json!({"filename": "b.bin", "secret": "s", "nonce": 3}).to_string();
    let (_, first) = server
        .form(&[
            ("file", Some("a.bin"), &content),
            ("body", None, options.as_bytes()),
        ])
        .await;
    let (_, second) = server
        .form(&[
            ("body_json", None, options.as_bytes()),
            ("file", Some("a.bin"), &content),
        ])
        .await;
    assert_eq!(cid(&first), cid(&second));
    assert_eq!(first["ee_node_alias"], "node");
    let path = format!("/get_file?cid={}&secret=s", cid(&first));
    let response = server.get(&path, &[STREAM]).await;
    assert_eq!(
        response.headers()["x-meta"],
        r#"{"file":"b.bin","filename":"b.bin"}"#
    );
    assert_eq!(response.headers()["content-length"], "300000");
    assert!(response.body() == &content[..]);
    let (_, bare) = server.form(&[("file", Some("dir/a.bin"), b"x")]).await;
    let response = server
        .get(&format!("/get_file?cid={}", cid(&bare)), &[STREAM])
        .await;
    assert!(
        response.headers()["x-meta"]
            .to_str()
            .unwrap()
            .contains("\"a.bin\"")
    );
}

#[tokio::test]
async fn callers_without_an_accept_header_get_a_path() {
    let server = open().await;
    let (_, added) = server.form(&[("file", Some("a.txt"), b"hello")]).await;
    let path = format!("/get_file?cid={}", cid(&added));
    for headers in [&[][..], &[("accept", "application/json")]] {
        let answer: Value = serde_json::from_slice(server.get(&path, headers).await.body()).unwrap();
        let file = answer["result"]["file_path"].as_str().unwrap();
        assert_eq!(std::fs::read(file).unwrap(), b"hello");
        assert_eq!(answer["result"]["meta"]["filename"], "a.txt");
    }
    let body = json!({"cid": cid(&added), "cleanup_local_files": true, "run_gc": true});
    assert_eq!(
        server.post("/delete_file", body).await.1["result"]["success"],
        true
    );
    assert!(
        !server
            .dir
            .path()
            .join("http/downloads")
            .join(cid(&added))
            .exists()
    );
}

#[tokio::test]
async fn ranges_are_answered_and_refused() {
    let server = open().await;
    let (_, added) = server.form(&[("file", Some("a"), b"0123456789")]).await;
    let path = format!("/get_file?cid={}", cid(&added));
    for (range, body, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let response = server.get(&path, &[STREAM, ("range", range)]).await;
        assert_eq!(
            (response.status().as_u16(), &response.body()[..]),
            (206, body.as_bytes())
        );
        assert_eq!(response.headers()["content-range"], content_range);
    }
    let beyond = server.get(&path, &[STREAM, ("range", "bytes=10-")]).await;
    assert_eq!(
        (beyond.status().as_u16(), &beyond.headers()["content-range"]),
        (416, &"bytes */10".parse().unwrap())
    );
    assert_eq!(
        server
            .get(&path, &[STREAM, ("range", "lines=1-2")])
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn documents_and_base64_come_back() {
    let server = open().await;
    let data = json!({"b": [1, 2.5, null], "a": "é"});
    let (_, yaml) = server
        .post("/add_yaml", json!({"data": data, "fn": "c.yaml"}))
        .await;
    let answer = server.get(&format!("/get_yaml?cid={}", cid(&yaml)), &[]).await;
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer["result"]["file_data"], data);
    for kind in ["json", "pickle"] {
        let body = json!({"data": data, "fn": "x", "secret": "s", "nonce": 5});
        let (_, added) = server.post(&format!("/add_{kind}"), body.clone()).await;
        let (_, named) = server.post(&format!("/calculate_{kind}_cid"), body).await;
        assert_eq!(cid(&added), cid(&named), "{kind}");
    }
    let (_, json_cid) = server.post("/add_json", json!({"data": data, "nonce": 1})).await;
    let answer = server
        .get(&format!("/get_yaml?cid={}", cid(&json_cid)), &[])
        .await;
    assert_eq!(
        serde_json::from_slice::<Value>(answer.body()).unwrap()["result"],
        "error"
    );
    let (_, found) = server
        .post("/get_file_base64", json!({"cid": cid(&json_cid)}))
        .await;
    assert_eq!(
        STANDARD
            .decode(found["result"]["file_base64_str"].as_str().unwrap())
            .unwrap(),
        br#"{"a":"\u00e9","b":[1,2.5,null]}"#
    );
    assert_eq!(found["result"]["filename"], "data.json");
    let (_, added) = server
        .post(
            "/add_file_base64",
            json!({"file_base64_str": "aGk=", "filename": "h"}),
        )
        .await;
    let (_, found) = server.post("/get_file_base64", json!({"cid": cid(&added)})).await;
    assert_eq!(found["result"]["file_base64_str"], "aGk=");
}

#[tokio::test]
async fn refusals_have_the_shapes_of_the_contract() {
    let server = open().await;
    let missing = "QmdNA9YKmvvQk7JacJYAxnVEVz2bSXUijnMqpna31FZXPG";
    let response = server.get(&format!("/get_file?cid={missing}"), &[STREAM]).await;
    assert_eq!(
        (response.status().as_u16(), &response.body()[..]),
        (404, &br#"{"detail":"File not found!"}"#[..])
    );
    let (status, answer) = server.post("/get_file_base64", json!({"cid": missing})).await;
    assert_eq!(
        (status, answer["result"]["file_base64_str"].is_null()),
        (200, true)
    );
    assert!(answer["result"]["error"].as_str().unwrap().contains(missing));
    let answer = server.get("/get_file", &[STREAM]).await;
    let detail: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        (answer.status().as_u16(), &detail["detail"][0]["type"]),
        (422, &"missing".into())
    );
    assert_eq!(detail["detail"][0]["loc"], json!(["query", "cid"]));
    let answer = server.get("/get_file?cid=nonsense", &[STREAM]).await;
    assert_eq!(answer.status(), 422);
    let (status, answer) = server.post("/calculate_json_cid", json!({"data": 1})).await;
    assert_eq!(
        (status, &answer["detail"][0]["loc"]),
        (422, &json!(["body", "nonce"]))
    );
    let (status, answer) = server.post("/add_json", json!({"no": 1})).await;
    assert_eq!(
        (status, &answer["detail"][0]["loc"]),
        (422, &json!(["body", "data"]))
    );
    let (status, answer) = server
        .post("/add_file_base64", json!({"file_base64_str": "!"}))
        .await;
    assert!(status == 422 && answer["detail"][0]["msg"].as_str().unwrap().contains("base64"));
    let (_, added) = server
        .post("/add_json", json!({"data": 1, "secret": "right"}))
        .await;
    let path = format!("/get_file?cid={}&secret=wrong", cid(&added));
    let answer = server.get(&path, &[STREAM]).await;
    let detail: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        (answer.status().as_u16(), &detail["detail"]["ee_node_alias"]),
        (500, &"node".into())
    );
    assert!(
        detail["detail"]["detail"]
            .as_str()
            .unwrap()
            .contains("wrong secret")
    );
    assert_eq!(server.get("/nothing", &[]).await.status(), 404);
    let (status, answer) = server.form(&[("body", None, b"{}")]).await;
    assert_eq!(
        (status, &answer["detail"][0]["loc"]),
        (422, &json!(["body", "file"]))
    );
    let huge = vec![b' '; 100_000];
    assert_eq!(
        server
            .form(&[("body", None, &huge), ("file", Some("a"), b"x")])
            .await
            .0,
        413
    );
}

#[tokio::test]
async fn a_full_node_says_so_and_keeps_what_it_has() {
    let server = open().await;
    let (_, kept) = server.form(&[("file", Some("a"), b"kept")]).await;
    let mut noise = vec![0u8; 2 << 20];
    noise
        .iter_mut()
        .enumerate()
        .for_each(|(at, byte)| *byte = (at * 31 % 251) as u8);
    let (status, answer) = server
        .form(&[("body", None, b"{}"), ("file", Some("b"), &noise)])
        .await;
    assert_eq!(status, 507);
    assert!(
        answer["detail"]["detail"]
            .as_str()
            .unwrap()
            .contains("r1fs.quota"),
        "{answer}"
    );
    let response = server
        .get(&format!("/get_file?cid={}", cid(&kept)), &[STREAM])
        .await;
    assert_eq!(&response.body()[..], b"kept");
}

#[tokio::test]
async fn an_upload_that_is_cut_stores_nothing() {
    let server = open().await;
    let whole = form(&[("body", None, b"{}"), ("file", Some("a"), &[1; 400_000])]);
    let head = format!(
        "POST /add_file HTTP/1.1\r\nhost: node\r\ncontent-type: multipart/form-data; boundary=XX\r\ncontent-length: {}\r\n\r\n",
        whole.len()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&whole[..300_000]).await.unwrap();
    drop(stream);
    // A call over another connection is answered after the cut was seen; the pins say what counts as stored.
    for _ in 0..200 {
        if server.files.store().usage().promised == 0 && server.files.store().usage().blocks > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(server.files.pins(None, 9).await.unwrap().is_empty());
    server
        .files
        .collect(Some(std::time::Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(server.files.store().usage().blocks, 0);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_ended() {
    let limits = Limits {
        pause: std::time::Duration::from_millis(200),
        ..Limits::default()
    };
    let server = serve(limits, Callers::new(true)).await;
    let head = "POST /add_file HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-type: multipart/form-data; \
                boundary=XX\r\ncontent-length: 1000\r\n\r\n--XX\r\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 422") && answer.contains("nothing came for"),
        "{answer}"
    );
}

#[tokio::test]
async fn tokens_name_their_callers_and_wrong_ones_nobody() {
    let callers = Callers::new(false);
    callers.grant("secret-token", Caller::Container("c1".into()));
    let server = serve(Limits::default(), callers.clone()).await;
    assert_eq!(server.get("/get_status", &[]).await.status(), 401);
    assert_eq!(
        server
            .get("/get_status", &[("authorization", "Bearer wrong")])
            .await
            .status(),
        401
    );
    let basic = format!("Basic {}", STANDARD.encode("any:secret-token"));
    for value in ["Bearer secret-token", basic.as_str()] {
        let response = server.get("/get_status", &[("authorization", value)]).await;
        let answer: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(answer["result"]["ID"], "16Uiu2");
    }
    callers.revoke(&Caller::Container("c1".into()));
    assert_eq!(
        server
            .get("/get_status", &[("authorization", "Bearer secret-token")])
            .await
            .status(),
        401
    );
}

#[tokio::test]
async fn lists_are_deleted_and_too_long_ones_refused() {
    let limits = Limits {
        deletes: 2,
        ..Limits::default()
    };
    let server = serve(limits, Callers::new(true)).await;
    let (_, one) = server.post("/add_json", json!({"data": 1})).await;
    let (_, answer) = server
        .post("/delete_files", json!({"cids": [cid(&one), "nonsense"]}))
        .await;
    assert_eq!(
        (&answer["result"]["success_count"], &answer["result"]["failed"]),
        (&1.into(), &json!(["nonsense"]))
    );
    assert_eq!(server.files.store().usage().blocks, 0);
    let (status, _) = server
        .post("/delete_files", json!({"cids": ["a", "b", "c"]}))
        .await;
    assert_eq!(status, 422);
}
