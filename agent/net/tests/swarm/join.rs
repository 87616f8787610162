//! Nodes find each other, keep apart from other networks and bear strangers.

use std::time::Duration;

use r1_net::{Acceptance, Event, Handle, Metrics, NetError, RateLimit, spawn};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    node::{Node, PROTOCOL, QUIC, TCP, address, config, eventually},
    stranger::{self, Stranger},
};

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
    assert_eq!(first.metric("r1_net_connections"), 1.0);
    first
        .handle
        .dial(second.handle.listen_addrs()[0].clone())
        .await
        .unwrap();
    eventually(async || first.metric("r1_net_connections") == 2.0).await;
    assert_eq!(first.metric("r1_net_peers"), 1.0);
    Handle::shutdown(&second.handle).await;
    assert!(matches!(first.event().await, Event::PeerDisconnected(peer) if peer == address(2)));
    first.has_peers(0).await;
    assert!(first.events.try_recv().is_err());
    assert_eq!(first.metric("r1_net_connections"), 0.0);
}

#[tokio::test]
async fn two_nodes_meet_over_tcp() {
    each_sees_the_other_once(TCP).await;
}

#[tokio::test]
async fn two_nodes_meet_over_quic() {
    each_sees_the_other_once(QUIC).await;
}

#[tokio::test]
async fn five_nodes_that_know_one_meet_all_others() {
    let first = Node::start(1, config(1)).await;
    let mut nodes = Vec::new();
    for number in 2..=5 {
        let mut config = config(number);
        // Half of them speak QUIC first.
        config.listen = [TCP, QUIC].map(|listen| listen.parse().unwrap()).to_vec();
        config.bootstrap = vec![first.multiaddr()];
        nodes.push(Node::start(number, config).await);
    }
    for node in nodes.iter().chain([&first]) {
        node.has_peers(4).await;
    }
}

#[tokio::test]
async fn a_node_of_another_network_is_sent_away() {
    let first = Node::start(1, config(1)).await;
    let mut other = config(2);
    other.network = "othernet".into();
    other.bootstrap = vec![first.multiaddr()];
    let other = Node::start(2, other).await;
    eventually(async || {
        first.metric("r1_net_foreign_peers_total") + other.metric("r1_net_foreign_peers_total") > 0.0
    })
    .await;
    eventually(async || first.metric("r1_net_connections") == 0.0).await;
    assert!(first.handle.peers().is_empty() && other.handle.peers().is_empty());
    let refused = other
        .handle
        .request(address(1), PROTOCOL, vec![])
        .await
        .unwrap_err();
    assert!(
        matches!(refused, NetError::Unreachable { .. } | NetError::Timeout { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_restarted_bootstrap_node_is_found_again() {
    let first = Node::start(1, config(1)).await;
    let known = first.multiaddr();
    let mut second = config(2);
    second.bootstrap = vec![known.clone()];
    let second = Node::start(2, second).await;
    second.has_peers(1).await;
    first.handle.shutdown().await;
    second.has_peers(0).await;
    eventually(async || second.metric("r1_net_dial_failures_total") >= 2.0).await;
    let mut again = config(1);
    again.listen = vec![known];
    let again = Node::start(1, again).await;
    again.has_peers(1).await;
    second.has_peers(1).await;
}

#[tokio::test]
async fn a_bootstrap_address_needs_no_peer_id_and_may_be_ones_own() {
    let first = Node::start(1, config(1)).await;
    let port = first.handle.listen_addrs()[0].clone();
    let mut second = config(2);
    second.bootstrap = vec![port.clone()];
    let second = Node::start(2, second).await;
    second.has_peers(1).await;
    first.handle.shutdown().await;
    let mut selfish = config(1);
    selfish.listen = vec![port.clone()];
    selfish.bootstrap = vec![port];
    let selfish = Node::start(1, selfish).await;
    selfish.has_peers(1).await;
    assert_eq!(selfish.handle.peers(), [address(2)]);
}

#[tokio::test]
async fn the_connection_limit_holds() {
    let mut first = config(1);
    first.limits.incoming = 2;
    let first = Node::start(1, first).await;
    let mut others = Vec::new();
    for number in 2..=5 {
        let mut config = config(number);
        config.listen.clear();
        config.bootstrap = vec![first.multiaddr()];
        others.push(Node::start(number, config).await);
    }
    first.has_peers(2).await;
    eventually(async || first.metric("r1_net_connections_refused_total") >= 4.0).await;
    assert!(first.metric("r1_net_connections") <= 2.0);
    assert_eq!(first.handle.peers().len(), 2);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = Node::start(1, config(1)).await;
    let mut second = config(2);
    second.listen = first.handle.listen_addrs();
    let error = spawn(second, Metrics::default()).unwrap_err().to_string();
    assert!(
        error.contains(&first.handle.listen_addrs()[0].to_string()),
        "{error}"
    );
}

/// Works as before: another node joins and is answered.
async fn still_works(node: Node) {
    let mut other = config(9);
    other.bootstrap = vec![node.multiaddr()];
    let peer = node.address;
    let (_handle, _messages) = node.serve(Acceptance::Accept);
    let other = Node::start(9, other).await;
    eventually(async || other.handle.request(peer, PROTOCOL, b"x".to_vec()).await.is_ok()).await;
}

#[tokio::test]
async fn garbage_on_the_tcp_port_does_no_harm() {
    let node = Node::start(1, config(1)).await;
    let address = node.handle.listen_addrs()[0].to_string();
    let port: u16 = address.rsplit('/').next().unwrap().parse().unwrap();
    let noise: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let attempts: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        &noise,
        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff\xff",
        &[0; 4096],
    ];
    for bytes in attempts {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // It may hang up while we write.
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        let _ = tokio::time::timeout(Duration::from_secs(2), socket.read_to_end(&mut Vec::new())).await;
    }
    eventually(async || node.metric("r1_net_handshake_failures_total") >= 4.0).await;
    assert_eq!(node.metric("r1_net_connections_opened_total"), 0.0);
    still_works(node).await;
}

#[tokio::test]
async fn a_libp2p_peer_that_is_no_node_is_sent_away() {
    let node = Node::start(1, config(1)).await;
    // No secp256k1 key, though it claims the right network.
    let mut ed25519 = Stranger::start(stranger::ed25519(), "r1/testnet/1", node.multiaddr());
    ed25519.is_sent_away().await;
    // A node's key, and no word about a network.
    let mut other = Stranger::start(stranger::secp256k1(), "ipfs/0.1.0", node.multiaddr());
    other.is_sent_away().await;
    assert!(node.metric("r1_net_foreign_peers_total") >= 2.0);
    assert!(node.handle.peers().is_empty());
    still_works(node).await;
}

#[tokio::test]
async fn settings_out_of_range_start_nothing() {
    let mut bad = config(1);
    bad.limits.requests_per_peer = RateLimit {
        per_second: 0,
        burst: 1,
    };
    assert!(matches!(
        spawn(bad, Metrics::default()),
        Err(NetError::Setting { .. })
    ));
    let mut zero = config(1);
    zero.secret = [0; 32].into();
    assert!(matches!(spawn(zero, Metrics::default()), Err(NetError::Secret)));
}

#[tokio::test]
async fn a_bootstrap_name_is_resolved() {
    let first = Node::start(1, config(1)).await;
    let named = first
        .multiaddr()
        .to_string()
        .replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    let mut second = config(2);
    second.bootstrap = vec![
        named.parse().unwrap(),
        "/dns4/no-such-host.invalid/tcp/1".parse().unwrap(),
    ];
    let second = Node::start(2, second).await;
    second.has_peers(1).await;
    eventually(async || second.metric("r1_net_dial_failures_total") >= 1.0).await;
}

#[tokio::test]
async fn a_quiet_connection_stays() {
    let quiet = |number| {
        let mut config = config(number);
        config.times.idle = Duration::from_millis(200);
        config.times.ping = Duration::from_millis(200);
        config
    };
    let first = Node::start(1, quiet(1)).await;
    let mut second = quiet(2);
    second.bootstrap = vec![first.multiaddr()];
    let second = Node::start(2, second).await;
    second.has_peers(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    second.has_peers(1).await;
    assert_eq!(second.metric("r1_net_connections_opened_total"), 1.0);
}

#[tokio::test]
async fn garbage_in_every_protocol_does_no_harm() {
    let node = Node::start(1, config(1)).await;
    let (address, peer) = (node.multiaddr(), r1_net::peer_id(&node.address));
    let noise: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    let long_name = [&[255u8][..], &[b'x'; 255], &[0; 4]].concat();
    let endless = b"\x06echo/1\xff\xff\xff\xff".to_vec();
    let promised = b"\x06echo/1\x00\x00\x03\xe8only this".to_vec();
    let protocols = [
        "/r1/testnet/request/1",
        "/r1/testnet/meshsub/1.1.0",
        "/r1/testnet/meshsub/1.0.0",
        "/r1/testnet/kad/1",
        "/ipfs/id/1.0.0",
        "/ipfs/id/push/1.0.0",
        "/ipfs/ping/1.0.0",
    ];
    let noises = [noise, long_name, endless, promised, vec![], vec![0xff; 70_000]];
    let attempts = protocols
        .iter()
        .flat_map(|protocol| noises.iter().map(move |bytes| (protocol, bytes)));
    let sent =
        attempts.map(|(protocol, bytes)| stranger::send_noise(&address, peer, protocol, bytes.clone()));
    futures::future::join_all(sent).await;
    still_works(node).await;
}

#[tokio::test]
async fn no_connection_is_taken_beyond_the_memory_limit() {
    let mut full = config(1);
    full.limits.memory = 1;
    let full = Node::start(1, full).await;
    let mut other = config(2);
    other.bootstrap = vec![full.multiaddr()];
    let other = Node::start(2, other).await;
    eventually(async || full.metric("r1_net_connections_refused_total") >= 1.0).await;
    assert!(full.handle.peers().is_empty() && other.handle.peers().is_empty());
}
