//! What a received message says, with the names of its blocks computed from their bytes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use r1_r1fs::Cid;
use tokio::task::JoinHandle;

use crate::message::{Entry, Message};

/// Messages up to this size, bytes, are worked on at once: less than handing them over costs.
const SMALL: usize = 8 << 10;
/// Blocks up to this size, bytes, are copied out of their message, so that they do not keep it in memory.
const COPIED: usize = 16 << 10;

/// A message that came, its blocks named.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// The wantlist replaces the peer's old one.
    pub(crate) full: bool,
    /// Wants and cancels.
    pub(crate) entries: Vec<Entry>,
    /// HAVE (true) and DONT_HAVE.
    pub(crate) presences: Vec<(Cid, bool)>,
    /// Blocks under their true names.
    pub(crate) blocks: Vec<(Cid, Bytes)>,
    /// Blocks whose name this node does not compute.
    pub(crate) wrong: usize,
    /// Blocks that were not looked at: the peer owed nothing.
    pub(crate) ignored: usize,
    /// Bytes of all blocks.
    pub(crate) bytes: usize,
    /// Wants that were left out.
    pub(crate) left_out: usize,
}

/// A message in work; ends with `None` if it is malformed.
pub(super) enum Naming {
    Done(Option<Option<Incoming>>),
    Away(JoinHandle<Option<Incoming>>),
}

impl Future for Naming {
    type Output = Option<Incoming>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Done(incoming) => Poll::Ready(incoming.take().flatten()),
            Self::Away(task) => Pin::new(task).poll(cx).map(|done| done.unwrap_or_default()),
        }
    }
}

/// Starts to work on a message; must be called inside a tokio runtime.
pub(super) fn start(wire: Bytes, expecting: &Arc<AtomicUsize>) -> Naming {
    if wire.len() <= SMALL {
        return Naming::Done(Some(incoming(wire, expecting)));
    }
    let expecting = expecting.clone();
    Naming::Away(tokio::task::spawn_blocking(move || incoming(wire, &expecting)))
}

fn incoming(wire: Bytes, expecting: &AtomicUsize) -> Option<Incoming> {
    let size = wire.len();
    let message = Message::decode(wire).ok()?;
    let bytes = message.block_bytes();
    let mut incoming = Incoming {
        full: message.full,
        entries: message.entries,
        presences: message.presences,
        bytes,
        left_out: message.left_out,
        ..Incoming::default()
    };
    if expecting.load(Ordering::Relaxed) == 0 {
        incoming.ignored = message.blocks.len();
        return Some(incoming);
    }
    // Most of the message is something else: its blocks must not keep that in memory.
    let copy_all = bytes < size / 2;
    for block in message.blocks {
        match block.prefix.name(&block.data) {
            Some(cid) => {
                let copy = copy_all || block.data.len() <= COPIED;
                let data = if copy {
                    Bytes::copy_from_slice(&block.data)
                } else {
                    block.data
                };
                incoming.blocks.push((cid, data));
            }
            None => incoming.wrong += 1,
        }
    }
    Some(incoming)
}

#[cfg(test)]
mod tests {
    use r1_r1fs::cid::v0;

    use super::*;
    use crate::message::{Payload, Prefix};

    fn wire(blocks: Vec<Payload>) -> Bytes {
        let message = Message {
            blocks,
            ..Message::default()
        };
        message.encode()[1..].concat().into()
    }

    #[test]
    fn blocks_get_the_names_of_their_bytes() {
        let data = Bytes::from(vec![1; 100_000]);
        let odd = Payload {
            prefix: Prefix {
                hash: 0x11,
                ..Prefix::V0
            },
            data: Bytes::new(),
        };
        let wire = wire(vec![Payload::new(&v0(b"a lie"), data.clone()), odd]);
        let named = incoming(wire, &AtomicUsize::new(1)).unwrap();
        assert_eq!(named.blocks, [(v0(&data), data)]);
        assert_eq!((named.wrong, named.ignored), (1, 0));
    }

    #[test]
    fn nothing_is_hashed_of_a_peer_that_owes_nothing() {
        let wire = wire(vec![Payload::new(&v0(b"x"), Bytes::from_static(b"x"))]);
        let named = incoming(wire, &AtomicUsize::new(0)).unwrap();
        assert_eq!((named.blocks.len(), named.ignored), (0, 1));
    }

    #[test]
    fn what_is_no_message_is_none() {
        assert!(incoming(Bytes::from_static(&[0x0b]), &AtomicUsize::new(1)).is_none());
    }
}
