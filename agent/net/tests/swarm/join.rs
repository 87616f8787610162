//! Nodes find each other.

use r1_net::{Event, Handle};

use crate::node::{Node, QUIC, TCP, address, config};

async fn two(listen: &str) -> (Node, Node) {
    let mut first = config(1);
    first.listen = vec![listen.parse().unwrap()];
    let first = Node::start(1, first).await;
    let mut second = config(2);
    second.listen = vec![listen.parse().unwrap()];
    second.bootstrap = vec![first.multiaddr()];
    (first, Node::start(2, second).await)
}

async fn each_sees_the_other_once(listen: &str) {
    let (mut first, mut second) = two(listen).await;
    first.has_peers(1).await;
    second.has_peers(1).await;
    assert!(matches!(first.event().await, Event::PeerConnected(peer) if peer == address(2)));
    assert!(matches!(second.event().await, Event::PeerConnected(peer) if peer == address(1)));
    // A second connection between the same two is no second peer.
    first.handle.dial(second.multiaddr()).await.unwrap();
    Handle::shutdown(&second.handle).await;
    assert!(matches!(first.event().await, Event::PeerDisconnected(peer) if peer == address(2)));
    first.has_peers(0).await;
    assert!(first.events.try_recv().is_err());
}

#[tokio::test]
async fn two_nodes_meet_over_tcp() {
    each_sees_the_other_once(TCP).await;
}

#[tokio::test]
async fn two_nodes_meet_over_quic() {
    each_sees_the_other_once(QUIC).await;
}
