//! The HTTP front end over a real store, for the tests that speak to it.
#![allow(dead_code, reason = "not every test looks into the store")]

use std::{net::SocketAddr, sync::Arc};

use r1_r1fs::{
    api::Identity,
    exchange::Alone,
    files::{NodeFiles, OneCopy, Options, Parts},
    http::{Callers, Config, Envelope, Figures, Limits, router},
    store::{self, Store},
    unixfs::links_of,
};
use tokio::net::TcpListener;

/// A front end on a port of its own.
pub struct Server {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub files: NodeFiles,
}

pub async fn serve(limits: Limits, callers: Callers) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let options = store::Options {
        index_bytes: 256 << 20,
        quota: 1 << 20,
        ..store::Options::default()
    };
    let clock: store::Clock = Arc::new(|| 1_000);
    let links = |cid: &_, data: &_| links_of(cid, data).unwrap_or_default();
    let store = Store::open(&dir.path().join("store"), options, Arc::clone(&clock), links).unwrap();
    let parts = Parts {
        store,
        exchange: Arc::new(Alone),
        replicas: Arc::new(OneCopy),
        clock,
        randomness: Arc::new(|bytes| bytes.fill(7)),
        identity: Arc::new(|| Identity {
            id: "16Uiu2".into(),
            public_key: "key".into(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            agent_version: "r1".into(),
            protocols: vec!["/ipfs/bitswap/1.2.0".into()],
        }),
    };
    let files = NodeFiles::new(parts, Options::default());
    let config = Config {
        envelope: Envelope {
            server_node_addr: "0xai_a".into(),
            evm_network: "devnet".into(),
            ee_node_alias: "node".into(),
            ee_node_address: "0xai_a".into(),
            ee_node_eth_address: "0x0".into(),
            ee_node_network: "devnet".into(),
            ee_node_ver: "1".into(),
        },
        limits,
        callers,
        folder: dir.path().join("http"),
        figures: Figures::default(),
    };
    let app = router(Arc::new(files.clone()), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Server { dir, address, files }
}

pub async fn open() -> Server {
    serve(Limits::default(), Callers::new(true)).await
}
