//! Requests between nodes.

use crate::node::{Node, PROTOCOL, address, config};

#[tokio::test]
async fn a_request_is_answered() {
    let mut first = Node::start(1, config(1)).await;
    let mut second = config(2);
    second.bootstrap = vec![first.multiaddr()];
    let second = Node::start(2, second).await;
    second.has_peers(1).await;
    let asker = second.handle.clone();
    let answer = tokio::spawn(async move { asker.request(address(1), PROTOCOL, b"ping".to_vec()).await });
    let request = first.request().await;
    assert_eq!(
        (request.peer, request.data.as_slice()),
        (address(2), &b"ping"[..])
    );
    request.reply.send(b"pong".to_vec()).unwrap();
    assert_eq!(answer.await.unwrap().unwrap(), b"pong");
}
