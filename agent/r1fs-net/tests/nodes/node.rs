//! A node with its blocks in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use r1_r1fs::{Cid, cid};
use r1_r1fs_net::{Blocks, Config, Event, Handle, Metrics, Multiaddr, spawn};
use tokio::sync::mpsc;

/// Blocks in memory.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<Cid, Bytes>>);

impl Memory {
    /// Takes a raw block in.
    pub fn add(&self, data: Vec<u8>) -> Cid {
        let name = cid::v1(cid::RAW, &data);
        self.0.lock().unwrap().insert(name, data.into());
        name
    }

    /// Blocks of a length whose content is their number.
    pub fn fill(&self, count: u32, length: usize) -> Vec<Cid> {
        let block = |number: u32| {
            let mut data = number.to_be_bytes().to_vec();
            data.resize(length, 7);
            self.add(data)
        };
        (0..count).map(block).collect()
    }
}

impl Blocks for Memory {
    fn size(&self, cid: &Cid) -> Option<usize> {
        self.get(cid).map(|data| data.len())
    }

    fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.0.lock().unwrap().get(cid).cloned()
    }
}

/// A running node.
pub struct Node {
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
    pub blocks: Arc<Memory>,
    pub metrics: Metrics,
    pub address: Multiaddr,
}

/// The settings of a test node, by its number.
pub fn config(number: u8) -> Config {
    let mut config = Config::new("testnet", [number; 32].into());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config
}

/// Starts a node and waits until it listens.
pub async fn start(config: Config) -> Node {
    let (blocks, metrics) = (Arc::new(Memory::default()), Metrics::default());
    let (handle, events) = spawn(config, blocks.clone(), metrics.clone()).unwrap();
    let state = handle.wait(|state| !state.listen.is_empty()).await.unwrap();
    Node {
        handle,
        events,
        blocks,
        metrics,
        address: state.listen[0].clone(),
    }
}

impl Node {
    /// Announces another node to this one.
    pub async fn knows(&self, other: &Self) {
        let peer = other.handle.local_peer_id();
        let addresses = vec![other.address.clone()];
        self.handle.add_peer(peer, addresses).await.unwrap();
    }
}
