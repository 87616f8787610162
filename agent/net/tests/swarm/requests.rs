//! Requests between nodes.

use std::time::Duration;

use r1_net::{Acceptance, NetError, ProtocolConfig, RateLimit, Refusal};

use crate::node::{Node, PROTOCOL, address, config};

/// An asker whose limits are wider than those of the node that it asks.
async fn asked_and_asker(change: impl Fn(&mut r1_net::Config)) -> (Node, Node) {
    let mut first = config(1);
    change(&mut first);
    let first = Node::start(1, first).await;
    let mut second = config(2);
    change(&mut second);
    second.bootstrap = vec![first.multiaddr()];
    second.protocols = vec![
        ProtocolConfig::new(PROTOCOL, 5000, 3000),
        ProtocolConfig::new("more/1", 10, 10),
    ];
    let second = Node::start(2, second).await;
    second.has_peers(1).await;
    (first, second)
}

fn refusal(result: Result<Vec<u8>, NetError>) -> Refusal {
    match result {
        Err(NetError::Refused { refusal, .. }) => refusal,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_answered() {
    let (mut first, second) = asked_and_asker(|_| ()).await;
    let asker = second.handle.clone();
    let answer = tokio::spawn(async move { asker.request(address(1), PROTOCOL, b"ping".to_vec()).await });
    let request = first.request().await;
    assert_eq!(
        (request.peer, request.data.as_slice()),
        (address(2), &b"ping"[..])
    );
    assert_eq!(request.protocol, PROTOCOL);
    request.reply.send(b"pong".to_vec()).unwrap();
    assert_eq!(answer.await.unwrap().unwrap(), b"pong");
}

#[tokio::test]
async fn sizes_are_limited_on_both_sides() {
    let (first, second) = asked_and_asker(|_| ()).await;
    let local = first
        .handle
        .request(address(2), PROTOCOL, vec![0; 1001])
        .await
        .unwrap_err();
    assert!(
        matches!(
            local,
            NetError::BodyTooLarge {
                size: 1001,
                limit: 1000,
                ..
            }
        ),
        "{local}"
    );
    let (_handle, _messages) = first.serve(Acceptance::Accept);
    let answer = second
        .handle
        .request(address(1), PROTOCOL, vec![7; 1000])
        .await
        .unwrap();
    assert_eq!(answer, vec![7; 1000]);
    let far = second.handle.request(address(1), PROTOCOL, vec![0; 1001]).await;
    assert_eq!(refusal(far), Refusal::RequestTooLarge);
}

#[tokio::test]
async fn a_response_that_is_too_long_is_named_on_both_sides() {
    let (mut first, second) = asked_and_asker(|_| ()).await;
    let asker = second.handle.clone();
    let answer = tokio::spawn(async move { asker.request(address(1), PROTOCOL, vec![]).await });
    let error = first.request().await.reply.send(vec![0; 3001]).unwrap_err();
    assert!(
        matches!(error, NetError::BodyTooLarge { what: "response", .. }),
        "{error}"
    );
    assert_eq!(refusal(answer.await.unwrap()), Refusal::ResponseTooLarge);
}

#[tokio::test]
async fn unknown_protocols_are_refused() {
    let (_first, second) = asked_and_asker(|_| ()).await;
    let local = second
        .handle
        .request(address(1), "none/1", vec![])
        .await
        .unwrap_err();
    assert!(matches!(local, NetError::UnknownProtocol { .. }), "{local}");
    let far = second.handle.request(address(1), "more/1", vec![]).await;
    assert_eq!(refusal(far), Refusal::UnknownProtocol);
}

#[tokio::test]
async fn a_dropped_request_is_a_refusal_and_a_forgotten_one_a_timeout() {
    let (mut first, second) = asked_and_asker(|config| config.times.request = Duration::from_secs(2)).await;
    let asker = second.handle.clone();
    let ask = async move || asker.request(address(1), PROTOCOL, vec![]).await;
    let (answer, request) = tokio::join!(ask(), async { drop(first.request().await) });
    assert_eq!(refusal(answer), Refusal::Application);
    let () = request;
    let (answer, ()) = tokio::join!(ask(), async { std::mem::forget(first.request().await) });
    let late = answer.unwrap_err();
    assert!(matches!(late, NetError::Timeout { .. }), "{late}");
    assert!(late.to_string().contains(PROTOCOL));
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named() {
    let (_first, second) = asked_and_asker(|_| ()).await;
    let error = second
        .handle
        .request(address(77), PROTOCOL, vec![])
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address(77).to_string()));
    let error = second
        .handle
        .request(address(2), PROTOCOL, vec![])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("itself"), "{error}");
}

#[tokio::test]
async fn a_peer_beyond_its_rate_is_refused() {
    let limit = RateLimit {
        per_second: 1,
        burst: 3,
    };
    let (first, second) = asked_and_asker(|config| config.limits.requests_per_peer = limit).await;
    let metrics = first.metrics.clone();
    let (_handle, _messages) = first.serve(Acceptance::Accept);
    let mut refused = 0;
    for _ in 0..10 {
        if second.handle.request(address(1), PROTOCOL, vec![]).await.is_err() {
            refused += 1;
        }
    }
    assert!(refused >= 4, "{refused}");
    assert_eq!(metrics.requests_rate_limited.get(), refused);
}
