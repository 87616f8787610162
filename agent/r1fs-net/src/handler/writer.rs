//! Messages onto the one outbound stream.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncWrite, FutureExt as _};
use libp2p::Stream;
use tokio::time::{Instant, Sleep};

use super::{IDLE_STREAM, Outgoing, STALLED};

/// What writing has come to.
pub(super) enum State {
    /// A message of this cost is written.
    Sent(usize),
    /// The same message failed on two streams, or the peer takes nothing.
    Broken,
    /// A stream is needed once more.
    Again,
    /// Nothing to do now.
    Waiting,
}

enum Output {
    None,
    Asked,
    Open(Stream),
}

pub(super) struct Writer {
    output: Output,
    queue: VecDeque<Outgoing>,
    piece: usize,
    offset: usize,
    /// Bytes were written and not flushed.
    dirty: bool,
    /// Something was written since the clock was set.
    moved: bool,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            output: Output::None,
            queue: VecDeque::new(),
            piece: 0,
            offset: 0,
            dirty: false,
            moved: false,
            clock: None,
        }
    }
}

impl Writer {
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        self.moved = true;
        self.queue.push_back(outgoing);
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// True once for each stream that is needed.
    pub(super) fn wants_stream(&mut self) -> bool {
        let wanted = matches!(self.output, Output::None) && !self.queue.is_empty();
        if wanted {
            self.output = Output::Asked;
        }
        wanted
    }

    pub(super) fn opened(&mut self, stream: Stream) {
        self.output = Output::Open(stream);
        self.moved = true;
    }

    /// No stream can be had: what waits is lost with the connection or the peer.
    pub(super) fn not_opened(&mut self) {
        self.output = Output::None;
        self.queue.clear();
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> State {
        let Output::Open(_) = self.output else {
            return State::Waiting;
        };
        match self.write(cx) {
            Poll::Ready(Ok(Some(cost))) => State::Sent(cost),
            Poll::Ready(Ok(None)) | Poll::Pending => self.watch(cx),
            Poll::Ready(Err(_)) => self.failed(),
        }
    }

    /// Writes the first message, or flushes if there is none: its cost once it is written.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let Output::Open(stream) = &mut self.output else {
            return Poll::Pending;
        };
        let mut stream = Pin::new(stream);
        let Some(first) = self.queue.front() else {
            if self.dirty {
                ready!(stream.poll_flush(cx))?;
                self.dirty = false;
            }
            return Poll::Ready(Ok(None));
        };
        while let Some(piece) = first.pieces.get(self.piece) {
            let count = ready!(stream.as_mut().poll_write(cx, &piece[self.offset..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.dirty, self.moved) = (true, true);
            self.offset += count;
            if self.offset == piece.len() {
                (self.piece, self.offset) = (self.piece + 1, 0);
            }
        }
        let cost = first.cost;
        self.piece = 0;
        self.queue.pop_front();
        Poll::Ready(Ok(Some(cost)))
    }

    /// A message that broke off is tried once more on a new stream: the peer may have closed an idle one.
    fn failed(&mut self) -> State {
        self.output = Output::None;
        (self.piece, self.offset, self.dirty) = (0, 0, false);
        match self.queue.front_mut() {
            Some(first) if first.again => State::Broken,
            Some(first) => {
                first.again = true;
                State::Again
            }
            None => State::Waiting,
        }
    }

    /// Closes a stream that is idle for too long, and gives up a peer that takes nothing.
    fn watch(&mut self, cx: &mut Context<'_>) -> State {
        let clock = self
            .clock
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(IDLE_STREAM)));
        loop {
            if clock.poll_unpin(cx).is_pending() {
                return State::Waiting;
            }
            let busy = !self.queue.is_empty();
            if !std::mem::take(&mut self.moved) {
                break;
            }
            let pause = if busy { STALLED } else { IDLE_STREAM };
            clock.as_mut().reset(Instant::now() + pause);
        }
        self.clock = None;
        if !self.queue.is_empty() {
            return State::Broken;
        }
        if let Output::Open(stream) = &mut self.output {
            let _ = Pin::new(stream).poll_close(cx);
        }
        self.output = Output::None;
        State::Waiting
    }
}
