//! yamux with a bounded window.
//!
//! A sender may put as much into one frame as the receiver's window allows, and js-libp2p does; rust-yamux grows its
//! windows without end and closes the connection at a frame above 1 MiB. So no stream's window may grow beyond that.
//! libp2p's own wrapper cannot set this without switching to a version of yamux that a peer can crash.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io, iter,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::core::{
    UpgradeInfo,
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
};
use yamux::{Config, Connection, ConnectionError, Mode, Stream};

/// Streams of one connection, both directions together.
const STREAMS: usize = 256;
/// Window that each stream has from the start (fixed by yamux), bytes.
const FIRST_WINDOW: usize = 256 << 10;
/// Largest window of a stream: the largest frame that rust-yamux reads, bytes.
const LARGEST_WINDOW: usize = 1 << 20;
/// Streams of a peer that wait to be taken; it opens no more before that (yamux' own backlog).
const WAITING: usize = 256;

/// Splits a connection into streams.
#[derive(Debug, Clone)]
pub(crate) struct Upgrade(Config);

impl Default for Upgrade {
    fn default() -> Self {
        let mut config = Config::default();
        config.set_max_num_streams(STREAMS);
        // What is beyond the first windows is shared by all streams, so one can have at most all of it.
        let window = STREAMS * FIRST_WINDOW + (LARGEST_WINDOW - FIRST_WINDOW);
        config.set_max_connection_receive_window(Some(window));
        Self(config)
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(socket, self.0, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(Muxer::new(socket, self.0, Mode::Client)))
    }
}

/// A connection that carries streams.
pub(crate) struct Muxer<C> {
    connection: Connection<C>,
    waiting: VecDeque<Stream>,
    taker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(socket: C, config: Config, mode: Mode) -> Self {
        Self {
            connection: Connection::new(socket, config, mode),
            waiting: VecDeque::new(),
            taker: None,
        }
    }

    /// Drives the connection until a stream of the peer comes.
    fn next_stream(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        let next = self.connection.poll_next_inbound(cx);
        next.map(|next| next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + 'static> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.next_stream(cx);
        if next.is_pending() {
            self.taker = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        // Only polling for streams of the peer moves the bytes of all streams; what comes meanwhile waits to be taken.
        match self.next_stream(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(stream)) => {
                if self.waiting.len() < WAITING {
                    self.waiting.push_back(stream);
                    self.taker.take().inspect(Waker::wake_by_ref);
                }
                // Others may run before the next stream is looked for.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_ones_that_yamux_takes() {
        // It panics on a connection window that is smaller than its streams' first windows.
        let _ = Upgrade::default();
    }
}
