//! Gossip among nodes.

use r1_net::Acceptance;

use crate::node::{Node, TOPIC, address, config};

#[tokio::test]
async fn a_message_reaches_the_other_node_with_its_author() {
    let first = Node::start(1, config(1)).await;
    let mut second = config(2);
    second.bootstrap = vec![first.multiaddr()];
    let mut second = Node::start(2, second).await;
    first.publish(b"hello").await;
    let message = second.message().await;
    assert_eq!(
        (message.topic.as_str(), message.source, message.data.as_slice()),
        (TOPIC, address(1), &b"hello"[..])
    );
    message.verdict.report(Acceptance::Accept);
}
