//! Blocks go from those who have them to those who ask.

use futures::{StreamExt as _, stream};
use r1_r1fs::cid::{RAW, v0, v1};
use r1_r1fs_net::{Answer, FetchError, Security};

use super::node::{config, start};

async fn two_hundred(security: Security) {
    let mut settings = config(1);
    settings.security = security;
    let giver = start(settings).await;
    let taker = start(config(2)).await;
    let cids = giver.blocks.fill(200, 40_000);
    taker.knows(&giver).await;
    let session = taker.handle.session(vec![giver.handle.local_peer_id()]).await;
    let got = stream::iter(&cids).map(|cid| session.get(*cid)).buffered(32);
    let got: Vec<_> = got.map(Result::unwrap).collect().await;
    for (cid, data) in cids.iter().zip(&got) {
        assert_eq!(v1(RAW, data), *cid);
    }
    assert_eq!(taker.metrics.received_blocks.get(), 200);
    assert_eq!(giver.metrics.sent_bytes.get(), 200 * 40_000);
    assert_eq!(taker.metrics.unasked_blocks.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_exchange_blocks_over_tls() {
    two_hundred(Security::TlsThenNoise).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_exchange_blocks_over_noise() {
    two_hundred(Security::Noise).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_asked_in_vain_is_told() {
    let (empty, taker) = (start(config(3)).await, start(config(4)).await);
    taker.knows(&empty).await;
    let nobody = r1_r1fs_net::PeerId::random();
    let peer = empty.handle.local_peer_id();
    let session = taker.handle.session(vec![peer, nobody]).await;
    let cid = v0(b"nowhere");
    let FetchError::Missing { cid: named, asked } = session.get(cid).await.unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(named, cid);
    let answer = |of| asked.iter().find(|each| each.peer == of).unwrap().answer;
    assert_eq!(answer(peer), Answer::DontHave);
    assert_eq!(answer(nobody), Answer::Unreachable);
    let alone = taker.handle.session(vec![nobody]).await;
    let text = alone.get(cid).await.unwrap_err().to_string();
    assert!(text.contains(&nobody.to_string()), "{text}");
}
