//! A node's files without the node, and contents for them.

use std::{error::Error, fs::File, io::Read as _, path::Path, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use r1_r1fs::{
    Cid,
    api::{ByteStream, Identity},
    exchange::{Alone, Exchange, Missing, Session},
    files::{NodeFiles, OneCopy, Options, Parts},
    store::{self, Store},
    unixfs::links_of,
};
use r1_r1fs_net::{Blocks, Config, Event, FetchError, Handle, Metrics, spawn};
use tokio::sync::mpsc;

/// Bytes of a piece of a content.
const PIECE: usize = 256 << 10;
/// Pieces of a content that wait.
const PIECES: usize = 4;

/// Files and the network under them.
pub struct Node {
    /// The files.
    pub files: NodeFiles,
    /// The network, where there is one.
    pub net: Option<Handle>,
    _events: Option<mpsc::Receiver<Event>>,
}

/// Settings of a network on the loopback interface.
pub fn loopback(number: u8) -> Config {
    let mut config = Config::new("bench", [number; 32].into());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    config
}

/// Opens a store and what stands on it.
pub fn node(path: &Path, config: Option<Config>) -> Result<Node, Box<dyn Error>> {
    let links = |cid: &Cid, data: &Bytes| links_of(cid, data).unwrap_or_default();
    let clock: store::Clock = Arc::new(|| 1_000);
    std::fs::create_dir_all(path)?;
    let store = Store::open(path, store::Options::default(), Arc::clone(&clock), links)?;
    let (mut net, mut events) = (None, None);
    let mut exchange: Arc<dyn Exchange> = Arc::new(Alone);
    if let Some(config) = config {
        let blocks = Arc::new(StoreBlocks(store.clone()));
        let (handle, received) = spawn(config, blocks, Metrics::default())?;
        exchange = Arc::new(Network(handle.clone()));
        (net, events) = (Some(handle), Some(received));
    }
    let parts = Parts {
        store,
        exchange,
        replicas: Arc::new(OneCopy),
        clock,
        // The nonce's bytes change nothing about the time that sealing takes.
        randomness: Arc::new(|bytes| bytes.fill(7)),
        identity: Arc::new(|| Identity {
            id: String::new(),
            public_key: String::new(),
            addresses: vec![],
            agent_version: String::new(),
            protocols: vec![],
        }),
    };
    let options = Options {
        content: u64::MAX,
        ..Options::default()
    };
    Ok(Node {
        files: NodeFiles::new(parts, options),
        net,
        _events: events,
    })
}

struct StoreBlocks(Store);

impl Blocks for StoreBlocks {
    fn size(&self, cid: &Cid) -> Option<usize> {
        self.0.size(cid).ok().flatten()
    }

    fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.0.get(cid).ok().flatten()
    }
}

/// Whoever is connected is asked.
struct Network(Handle);

#[async_trait]
impl Exchange for Network {
    async fn session(&self, _: &Cid) -> Arc<dyn Session> {
        Arc::new(Asking(self.0.session(self.0.peers()).await))
    }
}

struct Asking(r1_r1fs_net::Session);

#[async_trait]
impl Session for Asking {
    async fn get(&self, cid: &Cid) -> Result<Bytes, Missing> {
        self.0.get(*cid).await.map_err(|error: FetchError| Missing {
            cid: *cid,
            asked: vec![error.to_string()],
        })
    }

    fn asked(&self) -> Vec<String> {
        self.0.candidates().iter().map(ToString::to_string).collect()
    }
}

/// A file's bytes, read by a thread of its own.
pub fn file(path: PathBuf) -> ByteStream {
    pieces(move |sender| {
        let mut file = File::open(path)?;
        loop {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            piece.truncate(read);
            if sender.blocking_send(Ok(piece.into())).is_err() {
                return Ok(());
            }
        }
    })
}

/// Bytes that do not repeat; they cost far less than their sealing.
pub fn pseudo_random(mebibytes: u64) -> ByteStream {
    pieces(move |sender| {
        let pieces = (mebibytes << 20) / PIECE as u64;
        for number in 0..pieces {
            if sender.blocking_send(Ok(filled(number, PIECE))).is_err() {
                break;
            }
        }
        Ok(())
    })
}

/// A content that depends on its number (splitmix64).
pub fn filled(number: u64, length: usize) -> Bytes {
    let mut state = number.wrapping_mul(0xd134_2543_de82_ef95);
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        data.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    data.truncate(length);
    data.into()
}

fn pieces(
    make: impl FnOnce(&mpsc::Sender<std::io::Result<Bytes>>) -> std::io::Result<()> + Send + 'static,
) -> ByteStream {
    let (sender, receiver) = mpsc::channel(PIECES);
    std::thread::spawn(move || {
        if let Err(error) = make(&sender) {
            let _ = sender.blocking_send(Err(error));
        }
    });
    let next = |mut receiver: mpsc::Receiver<_>| async move { Some((receiver.recv().await?, receiver)) };
    stream::unfold(receiver, next).boxed()
}
