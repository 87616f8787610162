//! Moves 1 GiB of 256 KiB blocks between two processes over loopback and prints MiB/s and CPU seconds.
//!
//! `throughput [tls|noise|psk] [MiB]`: the giver is a child process. Blocks are made from their number when they are
//! asked for, so that no disk is measured; the taker checks each hash, as always.

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use r1_r1fs::{Cid, cid};
use r1_r1fs_net::{Blocks, Config, Metrics, Multiaddr, PeerId, Security, SwarmKey, spawn};

const BLOCK: usize = 256 << 10;
/// Distinct blocks: 64 MiB, so that they are in memory but in no cache.
const DISTINCT: usize = 256;

struct Made(Vec<(Cid, Bytes)>);

impl Made {
    fn new(rounds: usize) -> Self {
        let block = |number: usize| {
            let mut data = vec![0; BLOCK];
            for (at, byte) in data.iter_mut().enumerate() {
                *byte = (at * 31 + number * 17 + rounds) as u8;
            }
            data[..8].copy_from_slice(&number.to_be_bytes());
            (cid::v1(cid::RAW, &data), Bytes::from(data))
        };
        Self((0..DISTINCT).map(block).collect())
    }
}

impl Blocks for Made {
    fn size(&self, cid: &Cid) -> Option<usize> {
        self.get(cid).map(|data| data.len())
    }

    fn get(&self, cid: &Cid) -> Option<Bytes> {
        let found = self.0.iter().find(|(name, _)| name == cid);
        // A copy, as a store that reads a file would make.
        found.map(|(_, data)| Bytes::copy_from_slice(data))
    }
}

fn config(number: u8, security: &str) -> Config {
    let mut config = Config::new("throughput", [number; 32].into());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    if security == "noise" {
        config.security = Security::Noise;
    }
    if security == "psk" {
        config.swarm_key = Some(SwarmKey::new([9; 32].into()));
    }
    config
}

/// User and system time of this process, seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

async fn give(security: &str) -> Result<(), Box<dyn Error>> {
    let (handle, _events) = spawn(config(1, security), Arc::new(Made::new(0)), Metrics::default())?;
    let state = handle.wait(|state| !state.listen.is_empty()).await?;
    println!("{} {}", handle.local_peer_id(), state.listen[0]);
    handle.wait(|state| !state.peers.is_empty()).await?;
    let before = cpu();
    handle.wait(|state| state.peers.is_empty()).await?;
    println!("giver: {:.2} CPU seconds", cpu() - before);
    Ok(())
}

async fn take(security: &str, mebibytes: usize) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(env::current_exe()?)
        .args(["give", security])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let line = lines.next().ok_or("the giver said nothing")??;
    let (peer, address) = line.split_once(' ').ok_or("no address")?;
    let (peer, address): (PeerId, Multiaddr) = (peer.parse()?, address.parse()?);
    let blocks = Made::new(0);
    let names: Vec<_> = blocks.0.into_iter().map(|(name, _)| name).collect();
    let (handle, _events) = spawn(
        config(2, security),
        Arc::new(Made(Vec::new())),
        Metrics::default(),
    )?;
    handle.add_peer(peer, vec![address]).await?;
    let session = handle.session(vec![peer]).await;
    let total = mebibytes * 1024 * 1024 / BLOCK;
    let (start, before) = (Instant::now(), cpu());
    let wanted = stream::iter(0..total).map(|at| session.get(names[at % DISTINCT]));
    let bytes = wanted
        .buffered(96)
        .fold(Ok(0), |sum: Result<usize, String>, got| async move {
            Ok(sum? + got.map_err(|error| error.to_string())?.len())
        })
        .await?;
    let (seconds, used) = (start.elapsed().as_secs_f64(), cpu() - before);
    println!(
        "{security}: {} MiB in {seconds:.2} s = {:.0} MiB/s",
        bytes >> 20,
        (bytes >> 20) as f64 / seconds
    );
    println!("taker: {used:.2} CPU seconds");
    drop(session);
    handle.shutdown().await;
    for line in lines {
        println!("{}", line?);
    }
    child.wait()?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    match argument(0) {
        Some("give") => give(argument(1).unwrap_or("tls")).await,
        security => {
            let mebibytes = argument(1).and_then(|text| text.parse().ok()).unwrap_or(1024);
            take(security.unwrap_or("tls"), mebibytes).await
        }
    }
}
