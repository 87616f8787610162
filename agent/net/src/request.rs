//! The request-response codec: opaque bytes under named protocols, each with its own size limits.
//!
//! One stream per request, protocol `/r1/<network>/request/1`:
//!
//! ```text
//! request   u8 length of name | name | u32 big-endian length of body | body
//! response  u8 status: 0 = answer, else a Refusal | for 0: u32 big-endian length of body | body
//! ```
//!
//! A length is checked against the protocol's limit before a byte of the body is read, and memory grows only as bytes
//! arrive: a peer that announces much and sends nothing costs nothing.

use std::{collections::HashMap, io, sync::Arc};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::{StreamProtocol, request_response};

use crate::{NetError, ProtocolConfig, Refusal, config::Config};

/// Status byte of an answer.
const STATUS_OK: u8 = 0;

/// What arrived as a request.
#[derive(Debug)]
pub(crate) enum Request {
    /// A request of a known protocol and allowed size.
    Sound { protocol: String, body: Vec<u8> },
    /// Nothing to serve; the body was not read.
    Unfit {
        protocol: Option<String>,
        refusal: Refusal,
    },
}

/// What is sent back.
pub(crate) type Response = Result<Vec<u8>, Refusal>;

/// Limits of each protocol, by short name.
pub(crate) type Protocols = Arc<HashMap<String, ProtocolConfig>>;

/// The behaviour on this codec.
pub(crate) type Behaviour = request_response::Behaviour<Codec>;

/// Reads and writes requests and responses; one clone per stream.
#[derive(Debug, Clone)]
pub(crate) struct Codec {
    protocols: Protocols,
    /// Longest response of the protocol that was asked on this stream.
    max_response: usize,
}

impl Codec {
    pub(crate) fn new(protocols: Protocols) -> Self {
        Self {
            protocols,
            max_response: 0,
        }
    }
}

/// The stream protocol's name.
pub(crate) fn stream_protocol(config: &Config) -> Result<StreamProtocol, NetError> {
    let name = format!("/r1/{}/request/1", config.network);
    StreamProtocol::try_from_owned(name).map_err(|error| NetError::Setting {
        name: "network".into(),
        reason: error.to_string(),
    })
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

async fn read_body<T: AsyncRead + Unpin + Send>(io: &mut T, length: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    io.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(body)
    }
}

async fn read_length<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<usize> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    Ok(u32::from_be_bytes(length) as usize)
}

async fn write_body<T: AsyncWrite + Unpin + Send>(io: &mut T, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| invalid("body longer than 4 GiB"))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(body).await
}

#[async_trait]
impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut name_length = [0; 1];
        io.read_exact(&mut name_length).await?;
        let mut name = vec![0; usize::from(name_length[0])];
        io.read_exact(&mut name).await?;
        let name = String::from_utf8(name).map_err(|_| invalid("protocol name is not UTF-8"))?;
        let Some(protocol) = self.protocols.get(&name) else {
            return Ok(Request::Unfit {
                protocol: None,
                refusal: Refusal::UnknownProtocol,
            });
        };
        let length = read_length(io).await?;
        if length > protocol.max_request {
            return Ok(Request::Unfit {
                protocol: Some(name),
                refusal: Refusal::RequestTooLarge,
            });
        }
        let body = read_body(io, length).await?;
        Ok(Request::Sound { protocol: name, body })
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut status = [0; 1];
        io.read_exact(&mut status).await?;
        if status[0] != STATUS_OK {
            let refusal = Refusal::from_status(status[0]);
            return Ok(Err(
                refusal.ok_or_else(|| invalid(format!("unknown status {}", status[0])))?
            ));
        }
        let length = read_length(io).await?;
        if length > self.max_response {
            return Err(invalid(format!(
                "response of {length} bytes, at most {} allowed",
                self.max_response
            )));
        }
        Ok(Ok(read_body(io, length).await?))
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let Request::Sound { protocol, body } = request else {
            return Err(invalid("an unfit request is never sent"));
        };
        self.max_response = self
            .protocols
            .get(&protocol)
            .map_or(0, |limits| limits.max_response);
        let name_length = u8::try_from(protocol.len()).map_err(|_| invalid("protocol name too long"))?;
        io.write_all(&[name_length]).await?;
        io.write_all(protocol.as_bytes()).await?;
        write_body(io, &body).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match response {
            Ok(body) => {
                io.write_all(&[STATUS_OK]).await?;
                write_body(io, &body).await
            }
            Err(refusal) => io.write_all(&[refusal as u8]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec as _;
    use proptest::prelude::*;

    use super::*;

    const STREAM: StreamProtocol = StreamProtocol::new("/r1/test/request/1");

    fn codec() -> Codec {
        let table = ProtocolConfig::new("table/1", 10, 20);
        Codec::new(Arc::new(HashMap::from([(table.name.clone(), table)])))
    }

    fn written(body: Vec<u8>) -> Vec<u8> {
        let mut wire = Vec::new();
        let request = Request::Sound {
            protocol: "table/1".into(),
            body,
        };
        block_on(codec().write_request(&STREAM, &mut wire, request)).unwrap();
        wire
    }

    fn read(wire: &[u8]) -> io::Result<Request> {
        block_on(codec().read_request(&STREAM, &mut Cursor::new(wire)))
    }

    #[test]
    fn the_wire_format_is_frozen() {
        assert_eq!(written(b"hi".to_vec()), b"\x07table/1\x00\x00\x00\x02hi");
        let mut wire = Vec::new();
        block_on(codec().write_response(&STREAM, &mut wire, Ok(b"hi".to_vec()))).unwrap();
        assert_eq!(wire, b"\x00\x00\x00\x00\x02hi");
        for (status, refusal) in [
            (1, Refusal::UnknownProtocol),
            (2, Refusal::RequestTooLarge),
            (3, Refusal::Busy),
            (4, Refusal::Application),
            (5, Refusal::ResponseTooLarge),
        ] {
            let mut wire = Vec::new();
            block_on(codec().write_response(&STREAM, &mut wire, Err(refusal))).unwrap();
            assert_eq!(wire, [status]);
            let back = block_on(codec().read_response(&STREAM, &mut Cursor::new(wire))).unwrap();
            assert_eq!(back, Err(refusal));
        }
    }

    #[test]
    fn a_request_survives_and_its_limit_is_exact() {
        assert!(
            matches!(read(&written(vec![7; 10])).unwrap(), Request::Sound { body, .. } if body == [7; 10])
        );
        let refused = read(&written(vec![7; 11])).unwrap();
        assert!(matches!(
            refused,
            Request::Unfit {
                refusal: Refusal::RequestTooLarge,
                ..
            }
        ));
    }

    #[test]
    fn an_announced_but_absent_body_is_an_error() {
        let mut wire = written(vec![7; 10]);
        wire.pop();
        assert_eq!(read(&wire).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_response_beyond_the_limit_is_an_error() {
        let mut asked = codec();
        let request = Request::Sound {
            protocol: "table/1".into(),
            body: vec![],
        };
        block_on(asked.write_request(&STREAM, &mut Vec::new(), request)).unwrap();
        let mut wire = vec![0];
        wire.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(block_on(asked.read_response(&STREAM, &mut Cursor::new(wire))).is_err());
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(wire in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&wire);
            let _ = block_on(codec().read_response(&STREAM, &mut Cursor::new(wire)));
        }
    }
}
