//! HTTP/1.1 over r1d's control socket.

use std::{io::ErrorKind, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

/// How long an answer may take; stopping a container takes its own time on top.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The control socket of one r1d.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    socket: &'a Path,
}

impl<'a> Client<'a> {
    /// A client of a socket; nothing is opened yet.
    pub fn new(socket: &'a Path) -> Self {
        Self { socket }
    }

    /// `GET` of a JSON document.
    pub async fn get(&self, path: &str) -> Result<Value> {
        json(path, &self.call(Method::GET, path, None, ANSWER_TIME).await?)
    }

    /// `POST` of a JSON document.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.post_within(path, body, ANSWER_TIME).await
    }

    /// `POST` of something that may take longer.
    pub async fn post_within(&self, path: &str, body: &Value, time: Duration) -> Result<Value> {
        json(path, &self.call(Method::POST, path, Some(body), time).await?)
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        json(path, &self.call(Method::DELETE, path, None, ANSWER_TIME).await?)
    }

    /// `GET` of a text.
    pub async fn text(&self, path: &str) -> Result<String> {
        let bytes = self.call(Method::GET, path, None, ANSWER_TIME).await?;
        String::from_utf8(bytes.to_vec()).context("r1d answered with something that is not text")
    }

    /// `POST` of a body that streams, and its JSON answer.
    pub async fn upload(
        &self,
        path: &str,
        body: BoxBody<Bytes, std::io::Error>,
        length: Option<u64>,
        time: Duration,
    ) -> Result<Value> {
        let sent = async {
            let answer = self.send(Method::POST, path, body, length).await?;
            let status = answer.status().as_u16();
            Ok::<_, anyhow::Error>((status, answer.into_body().collect().await?.to_bytes()))
        };
        let (status, bytes) = timeout(time, sent)
            .await
            .map_err(|_| anyhow!("r1d did not answer {path}"))??;
        if !(200..300).contains(&status) {
            bail!(refusal(status, &bytes));
        }
        json(path, &bytes)
    }

    /// A request whose answer streams.
    pub async fn open(&self, method: Method, path: &str) -> Result<Response<Incoming>> {
        let empty = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
        let answer = self.send(method, path, empty, Some(0)).await?;
        let status = answer.status().as_u16();
        if !(200..300).contains(&status) {
            bail!(refusal(status, &answer.into_body().collect().await?.to_bytes()));
        }
        Ok(answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: BoxBody<Bytes, std::io::Error>,
        length: Option<u64>,
    ) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(self.socket)
            .await
            .map_err(|error| self.explain(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "r1d");
        request = request.header("content-type", "application/octet-stream");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        sender
            .send_request(request.body(body)?)
            .await
            .context("r1d closed the connection")
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>, time: Duration) -> Result<Bytes> {
        let (status, bytes) = timeout(time, self.exchange(method, path, body))
            .await
            .map_err(|_| {
                anyhow!(
                    "r1d did not answer {path} within {} s; see its log",
                    time.as_secs()
                )
            })??;
        if !(200..300).contains(&status) {
            bail!(refusal(status, &bytes));
        }
        Ok(bytes)
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Bytes)> {
        let stream = UnixStream::connect(self.socket)
            .await
            .map_err(|error| self.explain(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the exchange; an error of it shows up in the request.
        tokio::spawn(connection);
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "r1d")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(bytes)))?;
        let answer = sender
            .send_request(request)
            .await
            .context("r1d closed the connection")?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    fn explain(&self, error: &std::io::Error) -> anyhow::Error {
        let path = self.socket.display();
        match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "{path} is not there: is r1d running? Start it with `systemctl start r1d`, or name its socket with \
                 --socket or R1_SOCKET"
            ),
            ErrorKind::ConnectionRefused => {
                anyhow!("{path}: r1d is not running; start it with `systemctl start r1d`")
            }
            ErrorKind::PermissionDenied => {
                anyhow!("{path}: permission denied; join the group r1-operators, or run as root")
            }
            _ => anyhow!("{path}: {error}"),
        }
    }
}

fn json(path: &str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).with_context(|| format!("r1d's answer to {path} is not JSON"))
}

/// r1d's own words, and the way out where it names one.
fn refusal(status: u16, bytes: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(bytes).unwrap_or_default()["error"].take();
    match (error["message"].as_str(), error["remedy"].as_str()) {
        (Some(message), Some(remedy)) if !remedy.is_empty() => format!("{message} ({remedy})"),
        (Some(message), _) => message.to_owned(),
        _ => format!("r1d answered with HTTP status {status}"),
    }
}
