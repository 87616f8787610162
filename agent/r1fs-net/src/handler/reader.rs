//! Messages off streams.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures::AsyncRead;
use libp2p::Stream;

use super::{MAX_INBOUND, MAX_PARTIAL};
use crate::message::MAX_MESSAGE;

/// Memory of a message is taken in steps of this size as its bytes arrive: who announces much and sends nothing costs
/// nothing.
const STEP: usize = 256 << 10;
/// Bytes of a length that may be: 28 bits are more than any message has.
const MAX_LENGTH_BYTES: u32 = 4;

pub(super) enum Event {
    Message(Bytes),
    Malformed,
}

/// A message that is being read.
#[derive(Debug, Default)]
struct Partial {
    length: usize,
    length_bytes: u32,
    buffer: Option<BytesMut>,
    filled: usize,
}

impl Partial {
    fn started(&self) -> bool {
        self.length_bytes > 0
    }

    /// Takes one byte of the length; true when it is complete.
    fn length_byte(&mut self, byte: u8) -> io::Result<bool> {
        self.length |= usize::from(byte & 0x7f) << (7 * self.length_bytes);
        self.length_bytes += 1;
        let more = byte & 0x80 != 0;
        if self.length > MAX_MESSAGE || (more && self.length_bytes >= MAX_LENGTH_BYTES) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(!more)
    }

    /// The part of the buffer that is to be filled next.
    fn space(&mut self) -> &mut [u8] {
        let length = self.length;
        let buffer = self.buffer.get_or_insert_with(|| BytesMut::with_capacity(length));
        if buffer.len() == self.filled {
            buffer.resize((self.filled + STEP).min(length), 0);
        }
        &mut buffer[self.filled..]
    }

    fn complete(&self) -> bool {
        self.buffer.is_some() && self.filled == self.length
    }
}

struct Reader<S> {
    stream: S,
    partial: Partial,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// The next message; `Ok(None)` at the stream's end between messages.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        while !self.partial.complete() {
            let count = if self.partial.buffer.is_some() {
                ready!(self.poll_body(cx))?
            } else {
                ready!(self.poll_length(cx))?
            };
            if count == 0 {
                return Poll::Ready(if self.partial.started() {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(None)
                });
            }
        }
        let done = std::mem::take(&mut self.partial);
        Poll::Ready(Ok(done.buffer.map(BytesMut::freeze)))
    }

    /// Bytes read of the length: 0 at the end.
    fn poll_length(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut byte = [0];
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut byte))?;
        if count > 0 && self.partial.length_byte(byte[0])? {
            self.partial.space();
        }
        Poll::Ready(Ok(count))
    }

    /// Bytes read of the message: 0 at the end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let space = self.partial.space();
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, space))?;
        self.partial.filled += count;
        Poll::Ready(Ok(count))
    }
}

/// All streams on which messages may come.
#[derive(Default)]
pub(super) struct Readers {
    streams: Vec<Reader<Stream>>,
    /// Where the last message came from: the others are looked at first.
    next: usize,
}

impl Readers {
    /// Takes a stream; drops it if there are too many.
    pub(super) fn add(&mut self, stream: Stream) {
        if self.streams.len() < MAX_INBOUND {
            let partial = Partial::default();
            self.streams.push(Reader { stream, partial });
        }
    }

    /// Streams on which a message is half read.
    pub(super) fn partial(&self) -> usize {
        let started = |reader: &&Reader<Stream>| reader.partial.started();
        self.streams.iter().filter(started).count()
    }

    /// The next thing that any stream says.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        let mut partial = self.partial();
        let mut left = self.streams.len();
        while left > 0 {
            left -= 1;
            self.next = if self.next + 1 < self.streams.len() {
                self.next + 1
            } else {
                0
            };
            let reader = self.streams.get_mut(self.next)?;
            let started = reader.partial.started();
            if !started && partial >= MAX_PARTIAL {
                continue;
            }
            match reader.poll(cx) {
                Poll::Pending => partial += usize::from(!started && reader.partial.started()),
                Poll::Ready(Ok(Some(message))) => return Some(Event::Message(message)),
                Poll::Ready(end) => {
                    self.streams.swap_remove(self.next);
                    if end.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                        return Some(Event::Malformed);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, future::poll_fn, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    fn read(wire: &[u8]) -> io::Result<Vec<Bytes>> {
        let mut reader = Reader {
            stream: Cursor::new(wire),
            partial: Partial::default(),
        };
        let mut messages = Vec::new();
        while let Some(message) = block_on(poll_fn(|cx| reader.poll(cx)))? {
            messages.push(message);
        }
        Ok(messages)
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut length = body.len();
        while length >= 0x80 {
            wire.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        wire.push(length as u8);
        wire.extend_from_slice(body);
        wire
    }

    #[test]
    fn messages_of_any_length_are_cut_off_the_stream() {
        let bodies = [0, 1, 127, 128, STEP - 1, STEP, 3 * STEP + 5, MAX_MESSAGE].map(|len| vec![7; len]);
        let wire: Vec<_> = bodies.iter().flat_map(|body| framed(body)).collect();
        let read = read(&wire).unwrap();
        assert!(read.iter().zip(&bodies).all(|(a, b)| a == b) && read.len() == bodies.len());
    }

    #[test]
    fn an_announced_but_absent_body_takes_one_step_of_memory() {
        let mut partial = Partial::default();
        for byte in [0x80, 0x80, 0x80] {
            assert!(!partial.length_byte(byte).unwrap());
        }
        assert!(partial.length_byte(2).unwrap());
        assert_eq!(partial.length, MAX_MESSAGE - (64 << 10));
        assert_eq!(partial.space().len(), STEP);
        assert_eq!(
            read(&[0x80, 0x80, 0x80, 2, 1]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_length_beyond_the_limit_is_an_error() {
        for wire in [[0xff, 0xff, 0xff, 0x7f], [0x80, 0x80, 0x80, 0x80]] {
            assert_eq!(read(&wire).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(wire in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&wire);
        }
    }
}
