//! What files cost: one piece of work in a process of its own, its figures as a line of JSON.
//!
//! ```text
//! bench_r1fs import STORE FILE plain|sealed   adds a file, durably
//! bench_r1fs small STORE COUNT CONCURRENT     adds contents of 4 KiB, all different, each of them durably
//! bench_r1fs memory STORE MIB                 adds a sealed object and reads it back; resident memory meanwhile
//! bench_r1fs serve STORE                      says where it listens, gives blocks until its input ends
//! bench_r1fs fetch STORE ADDRESS CID          pins an object that another process serves
//! bench_r1fs hash FILE                        sha-256 of a file, as this program computes it
//! ```
//! `cargo xtask bench r1fs` runs them beside their peers.

#[path = "bench_r1fs/figures.rs"]
mod figures;
#[path = "bench_r1fs/node.rs"]
mod node;

use std::{env, error::Error, path::Path};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use r1_r1fs::{
    Files as _,
    api::{Caller, SealOptions},
    files::Change,
};
use r1_r1fs_net::Multiaddr;
use serde_json::{Value, json};

use crate::{
    figures::{Memory, Timer},
    node::{file, filled, loopback, node, pseudo_random},
};

type Outcome = Result<Value, Box<dyn Error>>;

/// Bytes of a small content.
const SMALL: usize = 4 << 10;

fn sealed() -> SealOptions {
    SealOptions {
        filename: "bench.bin".into(),
        secret: Some("secret".into()),
        ..SealOptions::default()
    }
}

async fn import(store: &str, path: &str, form: &str) -> Outcome {
    let node = node(Path::new(store), None)?;
    let timer = Timer::start();
    let content = file(path.into());
    let added = if form == "sealed" {
        node.files.add(&Caller::Operator, sealed(), content).await?
    } else {
        node.files.add_plain(&Caller::Operator, content).await?
    };
    let mut figures = timer.figures();
    figures["cid"] = json!(added.cid.to_string());
    figures["bytes"] = json!(added.size);
    Ok(figures)
}

async fn small(store: &str, count: u64, concurrent: usize) -> Outcome {
    let node = node(Path::new(store), None)?;
    let timer = Timer::start();
    stream::iter(0..count)
        .map(|number| {
            let files = node.files.clone();
            async move {
                let content = stream::iter([Ok(filled(number, SMALL))]).boxed();
                files.add_plain(&Caller::Operator, content).await
            }
        })
        .buffer_unordered(concurrent)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let mut figures = timer.figures();
    figures["count"] = json!(count);
    Ok(figures)
}

async fn memory(store: &str, mebibytes: u64) -> Outcome {
    let node = node(Path::new(store), None)?;
    let memory = Memory::watch();
    let bytes = mebibytes << 20;
    let options = SealOptions {
        length: Some((bytes, bytes)),
        ..sealed()
    };
    let added = node
        .files
        .add(&Caller::Operator, options, pseudo_random(mebibytes))
        .await?;
    let after_add = memory.figures();
    let opened = node
        .files
        .open(&Caller::Operator, &added.cid, Some("secret"), None)
        .await?;
    let read = opened
        .content
        .try_fold(0u64, |sum, piece| async move { Ok(sum + piece.len() as u64) })
        .await?;
    if read != bytes {
        return Err(format!("{read} of {bytes} bytes were read back").into());
    }
    Ok(json!({ "bytes": bytes, "added": after_add, "read": memory.figures() }))
}

async fn serve(store: &str) -> Outcome {
    let node = node(Path::new(store), Some(loopback(1)))?;
    let net = node.net.as_ref().ok_or("no network")?;
    let state = net.wait(|state| !state.listen.is_empty()).await?;
    let address = format!("{}/p2p/{}", state.listen[0], net.local_peer_id());
    println!("{}", json!({ "address": address }));
    let timer = Timer::start();
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(timer.figures())
}

async fn fetch(store: &str, address: &str, cid: &str) -> Outcome {
    let node = node(Path::new(store), Some(loopback(2)))?;
    let net = node.net.as_ref().ok_or("no network")?;
    let address: Multiaddr = address.parse()?;
    let timer = Timer::start();
    net.connect(address).await?;
    net.wait(|state| !state.peers.is_empty()).await?;
    let mut bytes = 0;
    node.files
        .pin(&Caller::Operator, &cid.parse()?, Change::Pin(None), |fetched| {
            bytes = fetched.bytes;
        })
        .await?;
    let mut figures = timer.figures();
    figures["bytes"] = json!(bytes);
    Ok(figures)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let figures = match words[..] {
        ["import", store, path, form] => import(store, path, form).await?,
        ["small", store, count, concurrent] => small(store, count.parse()?, concurrent.parse()?).await?,
        ["memory", store, mebibytes] => memory(store, mebibytes.parse()?).await?,
        ["serve", store] => serve(store).await?,
        ["fetch", store, address, cid] => fetch(store, address, cid).await?,
        ["hash", path] => figures::hash(Path::new(path))?,
        _ => return Err("see the first lines of bench_r1fs.rs".into()),
    };
    println!("{figures}");
    Ok(())
}
