//! Gossip among nodes, and from one that breaks the rules.

use std::time::Duration;

use r1_net::{Acceptance, NetError, RateLimit, Times};
use tokio::time::timeout;

use crate::{
    node::{MAX_MESSAGE, NO_LIMIT, Node, PATIENCE, TOPIC, address, config, eventually},
    stranger::{self, Stranger},
};

/// Long enough for a message to come if it comes at all: several heartbeats of the mesh.
const SILENCE: Duration = Duration::from_secs(3);

/// A metric of the common topic.
fn topic_metric(name: &str) -> String {
    format!("r1_net_gossip_{name}_total{{topic=\"{TOPIC}\"}}")
}

/// Three nodes of which only the middle one listens: what the first and the last exchange goes through it.
async fn line() -> (Node, Node, Node) {
    let middle = Node::start(2, config(2)).await;
    let mut ends = Vec::new();
    for number in [1, 3] {
        let mut end = config(number);
        end.listen.clear();
        end.bootstrap = vec![middle.multiaddr()];
        ends.push(Node::start(number, end).await);
    }
    middle.has_peers(2).await;
    let last = ends.remove(1);
    (ends.remove(0), middle, last)
}

#[tokio::test]
async fn a_message_reaches_five_nodes() {
    let first = Node::start(1, config(1)).await;
    let mut others = Vec::new();
    for number in 2..=5 {
        let mut config = config(number);
        config.bootstrap = vec![first.multiaddr()];
        others.push(Node::start(number, config).await);
    }
    first.has_peers(4).await;
    let mut receivers = Vec::new();
    let publisher = others.remove(0);
    publisher.has_peers(4).await;
    for node in others {
        node.has_peers(4).await;
        receivers.push(node.serve(Acceptance::Accept));
    }
    receivers.push(first.serve(Acceptance::Accept));
    publisher.publish(b"hello").await;
    for (_, messages) in &mut receivers {
        assert_eq!(
            timeout(PATIENCE, messages.recv()).await.unwrap().unwrap(),
            b"hello"
        );
    }
}

#[tokio::test]
async fn an_accepted_message_is_passed_on_with_its_author() {
    let (first, middle, mut last) = line().await;
    let (_handle, _messages) = middle.serve(Acceptance::Accept);
    first.publish(b"hello").await;
    let message = last.message().await;
    assert_eq!((message.topic.as_str(), message.source), (TOPIC, address(1)));
    assert_eq!(message.data, b"hello");
    message.verdict.report(Acceptance::Accept);
    eventually(async || last.metric(&topic_metric("accepted")) == 1.0).await;
    assert_eq!(last.metric("r1_net_payload_bytes_total{direction=\"In\"}"), 5.0);
}

/// Publishes at the first node; the middle one does something with it; the last one must not see it.
async fn is_not_passed_on(judge: impl FnOnce(r1_net::Verdict)) -> (Node, Node, Node) {
    let (first, mut middle, mut last) = line().await;
    first.publish(b"hello").await;
    let message = middle.message().await;
    judge(message.verdict);
    assert!(
        timeout(SILENCE, last.message()).await.is_err(),
        "it was passed on"
    );
    (first, middle, last)
}

#[tokio::test]
async fn a_rejected_message_is_not_passed_on_and_costs_score() {
    let (_first, middle, _last) = is_not_passed_on(|verdict| verdict.report(Acceptance::Reject)).await;
    assert_eq!(middle.metric(&topic_metric("rejected")), 1.0);
    let score = middle.handle.score(&address(1)).await.unwrap().unwrap();
    let innocent = middle.handle.score(&address(3)).await.unwrap().unwrap();
    assert!(score < -5.0 && innocent >= 0.0, "{score} {innocent}");
}

#[tokio::test]
async fn a_message_without_verdict_is_ignored() {
    let (_first, middle, _last) = is_not_passed_on(drop).await;
    assert_eq!(middle.metric(&topic_metric("ignored")), 1.0);
    assert!(middle.handle.score(&address(1)).await.unwrap().unwrap() >= 0.0);
}

#[tokio::test]
async fn a_verdict_that_never_comes_is_not_waited_for() {
    let (_first, middle, _last) = is_not_passed_on(std::mem::forget).await;
    eventually(async || middle.metric(&topic_metric("ignored")) == 1.0).await;
}

#[tokio::test]
async fn after_four_rejections_a_peer_is_banned() {
    let (first, middle, _last) = line().await;
    let score = {
        let handle = middle.handle.clone();
        async move || handle.score(&address(1)).await.unwrap().unwrap()
    };
    let metrics = middle.metrics.clone();
    let (handle, mut messages) = middle.serve(Acceptance::Reject);
    for number in 0..4 {
        first.publish(format!("bad {number}").as_bytes()).await;
        timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
    }
    eventually(async || score().await < -100.0).await;
    let _ = first.handle.publish(TOPIC, b"bad 5".to_vec()).await;
    assert!(timeout(SILENCE, messages.recv()).await.is_err(), "still heard");
    eventually(async || handle.peers() == [address(3)]).await;
    assert_eq!(metrics.bans.get(), 1);
}

#[tokio::test]
async fn what_cannot_be_published_is_named() {
    let node = Node::start(1, config(1)).await;
    let error = node
        .handle
        .publish(TOPIC, vec![0; MAX_MESSAGE + 1])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetError::MessageTooLarge {
                size: 2001,
                limit: 2000,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains(TOPIC));
    assert_eq!(node.metric(&topic_metric("oversized")), 1.0);
    let error = node.handle.publish("nothing/1", vec![]).await.unwrap_err();
    assert!(matches!(error, NetError::UnknownTopic { .. }), "{error}");
    let error = node.handle.publish(TOPIC, vec![1]).await.unwrap_err();
    assert!(matches!(error, NetError::NoPeers { .. }), "{error}");
    node.handle.shutdown().await;
    assert!(matches!(
        node.handle.publish(TOPIC, vec![1]).await,
        Err(NetError::Closed)
    ));
}

#[tokio::test]
async fn the_same_message_is_not_published_twice() {
    let (first, middle, _last) = line().await;
    let (_handle, _messages) = middle.serve(Acceptance::Accept);
    first.publish(b"hello").await;
    let error = first.handle.publish(TOPIC, b"hello".to_vec()).await.unwrap_err();
    assert!(matches!(error, NetError::Duplicate { .. }), "{error}");
}

#[tokio::test]
async fn a_message_of_the_longest_size_passes_and_a_longer_one_is_dropped_and_counted() {
    let mut node = Node::start(1, config(1)).await;
    let mut stranger = Stranger::start(stranger::secp256k1(), "r1/testnet/1", node.multiaddr());
    let whole = async {
        stranger.publish(&stranger::topic(), vec![1; MAX_MESSAGE]).await;
        stranger
            .publish(&stranger::topic(), vec![2; MAX_MESSAGE + 1])
            .await;
        stranger.publish(&stranger::topic(), vec![3; 200_000]).await;
        stranger.publish(&stranger::topic(), vec![4; 10]).await;
        stranger.run().await;
    };
    let heard = async {
        for expected in [vec![1; MAX_MESSAGE], vec![4; 10]] {
            let message = node.message().await;
            assert_eq!(message.data, expected);
            message.verdict.report(Acceptance::Accept);
        }
        eventually(async || node.metric(&topic_metric("oversized")) == 2.0).await;
        let peer = node.handle.peers()[0];
        assert!(node.handle.score(&peer).await.unwrap().unwrap() < -30.0);
    };
    tokio::select! {
        () = heard => {}
        () = whole => {}
    }
}

#[tokio::test]
async fn a_frame_beyond_the_limit_breaks_the_stream_only() {
    let node = Node::start(1, config(1)).await;
    let mut stranger = Stranger::start(stranger::secp256k1(), "r1/testnet/1", node.multiaddr());
    let whole = async {
        stranger.publish(&stranger::topic(), vec![1; 600_000]).await;
        stranger.run().await;
    };
    let works = async {
        node.has_peers(1).await;
        let mut other = config(2);
        other.bootstrap = vec![node.multiaddr()];
        let mut other = Node::start(2, other).await;
        node.has_peers(2).await;
        // Until the node knows that the other one listens, too, it speaks to the stranger alone.
        let speaks = async {
            for number in 0u8.. {
                node.publish(&[number]).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            heard = other.message() => assert_eq!(heard.data.len(), 1),
            () = speaks => {}
        }
    };
    tokio::select! {
        () = works => {}
        () = whole => {}
    }
}

#[tokio::test]
async fn an_author_beyond_its_rate_is_cut() {
    let mut node = config(1);
    node.limits.gossip_per_author = RateLimit {
        per_second: 1,
        burst: 3,
    };
    let node = Node::start(1, node).await;
    let mut fast = config(2);
    fast.bootstrap = vec![node.multiaddr()];
    let fast = Node::start(2, fast).await;
    for number in 0..10u8 {
        fast.publish(&[number]).await;
    }
    eventually(async || node.metric(&topic_metric("rate_limited")) >= 5.0).await;
}

#[tokio::test]
async fn a_neighbour_beyond_its_rate_loses_score() {
    let mut node = config(1);
    node.limits.gossip_per_author = NO_LIMIT;
    node.limits.gossip_per_neighbour = RateLimit {
        per_second: 1,
        burst: 3,
    };
    let node = Node::start(1, node).await;
    let mut fast = config(2);
    fast.bootstrap = vec![node.multiaddr()];
    let fast = Node::start(2, fast).await;
    for number in 0..50u8 {
        fast.publish(&[number]).await;
    }
    eventually(async || node.metric(&topic_metric("rate_limited")) >= 40.0).await;
    assert!(node.handle.score(&address(2)).await.unwrap().unwrap() < -5.0);
}

#[tokio::test]
async fn an_application_that_sleeps_blocks_nobody() {
    let mut sleepy = config(1);
    sleepy.limits.gossip_per_author = NO_LIMIT;
    sleepy.limits.gossip_per_neighbour = NO_LIMIT;
    sleepy.times = Times {
        validation: Duration::from_secs(30),
        ..sleepy.times
    };
    let sleepy = Node::start(1, sleepy).await;
    let mut fast = config(2);
    fast.bootstrap = vec![sleepy.multiaddr()];
    let fast = Node::start(2, fast).await;
    for number in 0..1200u16 {
        fast.publish(&number.to_be_bytes()).await;
    }
    eventually(async || sleepy.metric(&topic_metric("dropped")) > 0.0).await;
    assert!(sleepy.handle.score(&address(2)).await.unwrap().is_some());
    sleepy.has_peers(1).await;
}

#[tokio::test]
async fn a_ban_ends_and_is_forgotten() {
    let mut strict = config(1);
    strict.times.ban = Duration::from_secs(3);
    let strict = Node::start(1, strict).await;
    let mut other = config(2);
    other.bootstrap = vec![strict.multiaddr()];
    let other = Node::start(2, other).await;
    let metrics = strict.metrics.clone();
    let (handle, mut messages) = strict.serve(Acceptance::Reject);
    for number in 0..4u8 {
        other.publish(&[number]).await;
        timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
    }
    eventually(async || metrics.bans.get() == 1 && handle.peers().is_empty()).await;
    other.has_peers(0).await;
    eventually(async || handle.peers() == [address(2)]).await;
    assert!(
        metrics.connections_refused.get() > 0,
        "it was let in while banned"
    );
    other.publish(b"better").await;
    assert_eq!(
        timeout(PATIENCE, messages.recv()).await.unwrap().unwrap(),
        b"better"
    );
    assert_eq!(metrics.bans.get(), 1);
}
