//! Messages off streams.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures::AsyncRead;
use libp2p::Stream;

use super::{MAX_INBOUND, MAX_PARTIAL, MAX_UNASKED_BYTES};
use crate::message::MAX_MESSAGE;

/// Memory of a message is taken in steps of this size as its bytes arrive: who announces much and sends nothing costs
/// nothing.
const STEP: usize = 256 << 10;
/// Bytes of a length that may be: 28 bits are more than any message has.
const MAX_LENGTH_BYTES: u32 = 4;

/// Memory of half read messages that nobody asked for, over all connections.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicUsize);

/// A part of it; comes back when dropped.
#[derive(Debug, Default)]
struct Share {
    of: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Takes more; false if there is no more.
    fn grow(&mut self, bytes: usize) -> bool {
        let before = self.of.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before + bytes <= MAX_UNASKED_BYTES
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

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
    share: Share,
}

impl Partial {
    fn new(of: Arc<Budget>) -> Self {
        Self {
            share: Share { of, bytes: 0 },
            ..Self::default()
        }
    }

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

    /// The part of the buffer that is to be filled next. `asked`: the peer owes something, so that its messages do not
    /// count towards what is kept of those that nobody asked for.
    fn space(&mut self, asked: bool) -> io::Result<&mut [u8]> {
        let length = self.length;
        let buffer = self.buffer.get_or_insert_with(|| BytesMut::with_capacity(length));
        if buffer.len() == self.filled {
            let more = STEP.min(length - self.filled);
            if !asked && !self.share.grow(more) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            buffer.resize(self.filled + more, 0);
        }
        Ok(&mut buffer[self.filled..])
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
    fn poll(&mut self, cx: &mut Context<'_>, asked: bool) -> Poll<io::Result<Option<Bytes>>> {
        while !self.partial.complete() {
            let count = if self.partial.buffer.is_some() {
                ready!(self.poll_body(cx, asked))?
            } else {
                ready!(self.poll_length(cx, asked))?
            };
            if count == 0 {
                return Poll::Ready(if self.partial.started() {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(None)
                });
            }
        }
        let next = Partial::new(self.partial.share.of.clone());
        let done = std::mem::replace(&mut self.partial, next);
        Poll::Ready(Ok(done.buffer.map(BytesMut::freeze)))
    }

    /// Bytes read of the length: 0 at the end.
    fn poll_length(&mut self, cx: &mut Context<'_>, asked: bool) -> Poll<io::Result<usize>> {
        let mut byte = [0];
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut byte))?;
        if count > 0 && self.partial.length_byte(byte[0])? {
            self.partial.space(asked)?;
        }
        Poll::Ready(Ok(count))
    }

    /// Bytes read of the message: 0 at the end.
    fn poll_body(&mut self, cx: &mut Context<'_>, asked: bool) -> Poll<io::Result<usize>> {
        let space = self.partial.space(asked)?;
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, space))?;
        self.partial.filled += count;
        Poll::Ready(Ok(count))
    }
}

/// All streams on which messages may come.
pub(super) struct Readers {
    budget: Arc<Budget>,
    streams: Vec<Reader<Stream>>,
    /// Where the last message came from: the others are looked at first.
    next: usize,
}

impl Readers {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            streams: Vec::new(),
            next: 0,
        }
    }

    /// Takes a stream; drops it if there are too many.
    pub(super) fn add(&mut self, stream: Stream) {
        if self.streams.len() < MAX_INBOUND {
            let partial = Partial::new(self.budget.clone());
            self.streams.push(Reader { stream, partial });
        }
    }

    /// Streams on which a message is half read.
    pub(super) fn partial(&self) -> usize {
        let started = |reader: &&Reader<Stream>| reader.partial.started();
        self.streams.iter().filter(started).count()
    }

    /// The next thing that any stream says. `asked`: the peer owes this node something.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, asked: bool) -> Option<Event> {
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
            match reader.poll(cx, asked) {
                Poll::Pending => partial += usize::from(!started && reader.partial.started()),
                Poll::Ready(Ok(Some(message))) => return Some(Event::Message(message)),
                Poll::Ready(end) => {
                    self.streams.swap_remove(self.next);
                    let fault = end.err().map(|error| error.kind());
                    if matches!(
                        fault,
                        Some(io::ErrorKind::InvalidData | io::ErrorKind::OutOfMemory)
                    ) {
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
        while let Some(message) = block_on(poll_fn(|cx| reader.poll(cx, true)))? {
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
        assert_eq!(partial.space(true).unwrap().len(), STEP);
        assert_eq!(
            read(&[0x80, 0x80, 0x80, 2, 1]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn what_nobody_asked_for_is_bounded_over_all_connections() {
        let budget = Arc::new(Budget::default());
        let partial = || Partial {
            length: STEP,
            ..Partial::new(budget.clone())
        };
        let mut all: Vec<_> = (0..MAX_UNASKED_BYTES / STEP).map(|_| partial()).collect();
        assert!(all.iter_mut().all(|partial| partial.space(false).is_ok()));
        let error = partial().space(false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert!(partial().space(true).is_ok());
        all.pop();
        assert!(partial().space(false).is_ok());
        drop(all);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
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
