//! Peers that do not keep to the rules, and peers that vanish.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use r1_r1fs::{
    Cid,
    cid::{RAW, v0, v1},
};
use r1_r1fs_net::{
    Answer, Blocks, Entry, FetchError, MAX_ENTRIES, Message, Metrics, Payload, PeerId, WantType, spawn,
};

use super::{
    node::{Node, config, start},
    raw::Raw,
};

/// Says that it has everything, and gives something else.
struct Liar;

impl Blocks for Liar {
    fn size(&self, _: &Cid) -> Option<usize> {
        Some(5000)
    }

    fn get(&self, cid: &Cid) -> Option<Bytes> {
        let mut data = cid.to_bytes();
        data.resize(5000, 1);
        Some(data.into())
    }
}

/// Waits until something is so.
async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("it never happened");
}

fn wire(message: &Message) -> Vec<u8> {
    message.encode().concat()
}

async fn still_gives(node: &Node, number: u8) {
    let asker = start(config(number)).await;
    let cid = node.blocks.add(vec![number; 3000]);
    asker.knows(node).await;
    let session = asker.handle.session(vec![node.handle.local_peer_id()]).await;
    assert_eq!(session.get(cid).await.unwrap(), vec![number; 3000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_dropped_and_their_giver_is_passed_over() {
    let (liar, _events) = spawn(config(40), Arc::new(Liar), Metrics::default()).unwrap();
    let listening = liar.wait(|state| !state.listen.is_empty()).await.unwrap();
    let (honest, taker) = (start(config(41)).await, start(config(42)).await);
    let cids = honest.blocks.fill(40, 20_000);
    let bad = liar.local_peer_id();
    taker.handle.add_peer(bad, listening.listen).await.unwrap();
    taker.knows(&honest).await;
    let session = taker
        .handle
        .session(vec![bad, honest.handle.local_peer_id()])
        .await;
    let got = stream::iter(&cids).map(|cid| session.get(*cid)).buffered(16);
    let got: Vec<_> = got.map(Result::unwrap).collect().await;
    assert!(got.iter().zip(&cids).all(|(data, cid)| v1(RAW, data) == *cid));
    let alone = taker.handle.session(vec![bad]).await;
    let gets = cids[..4].iter().map(|cid| alone.get(*cid));
    let answers = futures::future::join_all(gets).await;
    for answer in answers {
        let Err(FetchError::Missing { asked, .. }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((asked[0].peer, asked[0].answer), (bad, Answer::Banned));
    }
    assert!(taker.metrics.unasked_blocks.get() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_nobody_asked_for_are_dropped_without_a_look() {
    let node = start(config(43)).await;
    let raw = Raw::start(Some(&node.address)).await;
    let data = Bytes::from(vec![7; 200_000]);
    let message = Message {
        blocks: vec![Payload::new(&v0(&data), data); 5],
        ..Message::default()
    };
    for _ in 0..10 {
        raw.say(node.handle.local_peer_id(), wire(&message));
    }
    until(|| node.metrics.unasked_blocks.get() == 50).await;
    assert_eq!(node.metrics.received_bytes.get(), 10_000_000);
    still_gives(&node, 44).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_nobody_asked_for_end_a_session_with_their_giver() {
    let taker = start(config(45)).await;
    let mut raw = Raw::start(None).await;
    taker
        .handle
        .add_peer(raw.peer, vec![raw.address.clone()])
        .await
        .unwrap();
    let session = taker.handle.session(vec![raw.peer]).await;
    let get = session.get(v0(b"wanted"));
    let push = async {
        let asker = raw.heard().await;
        let blocks = (0..3u8).map(|number| {
            let data = Bytes::from(vec![number; 100]);
            Payload::new(&v0(&data), data)
        });
        let message = Message {
            blocks: blocks.collect(),
            ..Message::default()
        };
        raw.say(asker, wire(&message));
    };
    let (got, ()) = futures::join!(get, push);
    let Err(FetchError::Missing { asked, .. }) = got else {
        panic!("{got:?}")
    };
    assert_eq!(asked[0].answer, Answer::Banned);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_wantlists_are_cut_and_others_are_served() {
    let node = start(config(46)).await;
    let raw = Raw::start(Some(&node.address)).await;
    let entry = |number: u32| Entry {
        cid: v0(&number.to_be_bytes()),
        priority: i32::MAX,
        cancel: false,
        want: WantType::Block,
        send_dont_have: true,
    };
    let more = 500;
    for round in 0..40u32 {
        let numbers = 0..MAX_ENTRIES as u32 + more;
        let entries = numbers.map(|number| entry(number + (round << 16)));
        let message = Message {
            entries: entries.collect(),
            ..Message::default()
        };
        raw.say(node.handle.local_peer_id(), wire(&message));
    }
    still_gives(&node, 47).await;
    until(|| node.metrics.wants_refused.get() >= u64::from(40 * more)).await;
    until(|| node.metrics.wants_waiting.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_closes_its_stream_only() {
    let node = start(config(48)).await;
    let raw = Raw::start(Some(&node.address)).await;
    let peer = node.handle.local_peer_id();
    // A field type that protobuf has not, a length that no message has, and a message that never comes.
    raw.say(peer, vec![1, 0x0b]);
    raw.say(peer, vec![0xff, 0xff, 0xff, 0xff, 0x7f]);
    raw.say(peer, vec![0x80, 0x80, 0x80, 0x01, 0]);
    until(|| node.metrics.malformed.get() == 2).await;
    assert!(node.handle.peers().contains(&raw.peer));
    still_gives(&node, 49).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_peer_vanishes_the_rest_comes_from_another() {
    let (one, two, taker) = (
        start(config(50)).await,
        start(config(51)).await,
        start(config(52)).await,
    );
    let cids = one.blocks.fill(300, 100_000);
    two.blocks.fill(300, 100_000);
    for giver in [&one, &two] {
        taker.knows(giver).await;
    }
    let peers: Vec<PeerId> = [&one, &two].map(|node| node.handle.local_peer_id()).into();
    let session = taker.handle.session(peers).await;
    let mut got = stream::iter(&cids).map(|cid| session.get(*cid)).buffered(32);
    for _ in 0..60 {
        got.next().await.unwrap().unwrap();
    }
    // Whoever gave more is the loss.
    let gone = if one.metrics.sent_blocks.get() > two.metrics.sent_blocks.get() {
        &one
    } else {
        &two
    };
    gone.handle.shutdown().await;
    let rest: Vec<_> = got.map(Result::unwrap).collect().await;
    assert_eq!(rest.len(), 240);
    let last = v1(RAW, rest.last().unwrap());
    assert_eq!(last, *cids.last().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_is_dropped_is_cancelled() {
    let taker = start(config(53)).await;
    let mut silent = Raw::start(None).await;
    let address = vec![silent.address.clone()];
    taker.handle.add_peer(silent.peer, address).await.unwrap();
    let session = taker.handle.session(vec![silent.peer]).await;
    let mut get = Box::pin(session.get(v0(b"x")));
    let asked = async {
        silent.heard().await;
        until(|| taker.metrics.wanted.get() == 1).await;
    };
    let first = futures::future::select(&mut get, Box::pin(asked)).await;
    assert!(matches!(first, futures::future::Either::Right(_)));
    drop(get);
    until(|| taker.metrics.wanted.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_no_answers_is_not_served_for_nothing() {
    let mut settings = config(55);
    settings.limits.server.in_flight = 1 << 20;
    let node = start(settings).await;
    let cids = node.blocks.fill(20, 100_000);
    let deaf = Raw::deaf(&node.address).await;
    let entries = cids.iter().map(|cid| Entry {
        cid: *cid,
        priority: 1,
        cancel: false,
        want: WantType::Block,
        send_dont_have: true,
    });
    let message = Message {
        entries: entries.collect(),
        ..Message::default()
    };
    deaf.say(node.handle.local_peer_id(), wire(&message));
    until(|| node.metrics.sent_blocks.get() > 0).await;
    // Its bytes in flight, all that the node has room for, are given back.
    still_gives(&node, 56).await;
    let session = node.handle.session(vec![deaf.peer]).await;
    let FetchError::Missing { asked, .. } = session.get(v0(b"x")).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(asked[0].answer, Answer::Unreachable);
}
