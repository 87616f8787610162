//! Requests between nodes: opaque bytes, protocol `/r1/<network>/r1fs/1`.
//!
//! One stream per request; request and response are each a u32 big-endian length and as many bytes, at most
//! [`MAX_BODY`]. A refused request has no response. Memory grows only as bytes arrive.

use std::io;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::{StreamProtocol, request_response};

use crate::config::MAX_BODY;

/// The behaviour on this codec.
pub(crate) type Behaviour = request_response::Behaviour<Codec>;

/// Reads and writes bodies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Codec;

fn too_long(length: usize) -> io::Error {
    let text = format!("body of {length} bytes, at most {MAX_BODY} are allowed");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_BODY {
        return Err(too_long(length));
    }
    let mut body = Vec::new();
    io.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| too_long(body.len()))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(body).await
}

#[async_trait]
impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, body: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &body).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, body: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &body).await
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_body_survives(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut wire = Vec::new();
            block_on(write(&mut wire, &body)).unwrap();
            prop_assert_eq!(block_on(read(&mut Cursor::new(&wire))).unwrap(), body);
            wire.pop();
            prop_assert!(block_on(read(&mut Cursor::new(&wire))).is_err());
        }
    }

    #[test]
    fn an_announced_length_beyond_the_limit_is_refused_at_once() {
        let wire = u32::MAX.to_be_bytes();
        let error = block_on(read(&mut Cursor::new(wire))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
