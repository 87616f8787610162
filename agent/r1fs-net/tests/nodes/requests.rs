//! Requests, provider records, and who may connect.

use std::time::Duration;

use r1_r1fs::cid::v0;
use r1_r1fs_net::{Event, MAX_BODY, NetError, SwarmKey};

use super::node::{Node, config, start};

/// Answers each request with its bytes reversed.
fn serve(mut node: Node) -> Node {
    let (_, none) = tokio::sync::mpsc::channel(1);
    let mut events = std::mem::replace(&mut node.events, none);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            let Event::Request(request) = event else { continue };
            let answer = request.body.iter().rev().copied().collect();
            request.reply.send(answer).await.unwrap();
        }
    });
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_peers_are_answered_and_strangers_are_not() {
    let (server, asker) = (serve(start(config(11)).await), start(config(12)).await);
    asker.knows(&server).await;
    let peer = server.handle.local_peer_id();
    let refused = asker.handle.request(peer, b"abc".to_vec()).await;
    assert!(matches!(refused, Err(NetError::Request { .. })), "{refused:?}");
    assert_eq!(server.metrics.requests_refused.get(), 1);
    server.knows(&asker).await;
    assert_eq!(asker.handle.request(peer, b"abc".to_vec()).await.unwrap(), b"cba");
    let large = vec![1; MAX_BODY];
    assert_eq!(asker.handle.request(peer, large.clone()).await.unwrap(), large);
    let beyond = asker.handle.request(peer, vec![0; MAX_BODY + 1]).await;
    assert!(matches!(beyond, Err(NetError::Refused { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_nowhere_fails_by_name() {
    let asker = start(config(13)).await;
    let nobody = r1_r1fs_net::PeerId::random();
    let error = asker.handle.request(nobody, vec![]).await.unwrap_err();
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_room_for_strangers_lets_nobody_else_in() {
    let mut settings = config(14);
    settings.limits.strangers = 0;
    let (closed, other) = (start(settings).await, start(config(15)).await);
    let cid = closed.blocks.add(b"mine".to_vec());
    other.knows(&closed).await;
    let peer = closed.handle.local_peer_id();
    let session = other.handle.session(vec![peer]).await;
    session.get(cid).await.unwrap_err();
    assert!(closed.metrics.strangers_refused.get() > 0);
    drop(session);
    closed.knows(&other).await;
    let wait = Duration::from_secs(3);
    tokio::time::sleep(wait).await;
    let session = other.handle.session(vec![peer]).await;
    assert_eq!(session.get(cid).await.unwrap(), b"mine"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_swarm_key_cannot_connect() {
    let with = |number, key: Option<u8>| {
        let mut config = config(number);
        config.swarm_key = key.map(|byte| SwarmKey::new([byte; 32].into()));
        config.times.handshake = Duration::from_secs(1);
        start(config)
    };
    let (inside, same) = (with(16, Some(1)).await, with(17, Some(1)).await);
    let (other, open) = (with(18, Some(2)).await, with(19, None).await);
    let cid = inside.blocks.add(b"for members".to_vec());
    let peer = inside.handle.local_peer_id();
    for outside in [&other, &open] {
        let error = outside.handle.connect(inside.address.clone()).await.unwrap_err();
        assert!(matches!(error, NetError::Dial { .. }), "{error}");
        outside.knows(&inside).await;
        let session = outside.handle.session(vec![peer]).await;
        session.get(cid).await.unwrap_err();
    }
    assert_eq!(inside.metrics.peers.get(), 0);
    assert_eq!(same.handle.connect(inside.address.clone()).await.unwrap(), peer);
    let session = same.handle.session(vec![peer]).await;
    assert_eq!(session.get(cid).await.unwrap(), b"for members"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_found_through_a_third_node() {
    let (middle, giver, taker) = (
        start(config(20)).await,
        start(config(21)).await,
        start(config(22)).await,
    );
    let cid = v0(b"who has this");
    giver.knows(&middle).await;
    taker.knows(&middle).await;
    giver.handle.provide(cid).await.unwrap();
    let found = taker.handle.find_providers(cid).await.unwrap();
    assert_eq!(found, [giver.handle.local_peer_id()]);
    assert!(
        taker
            .handle
            .find_providers(v0(b"nobody"))
            .await
            .unwrap()
            .is_empty()
    );
}
