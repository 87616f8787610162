//! A disk that fills up while the node runs: it says so, ends, and goes on where it was once there is room.

use std::{fs, io::Write as _, path::PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tokio::time::timeout;

use super::*;

/// A small file system of its own, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        match mount(
            Some("tmpfs"),
            &path,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=12m"),
        ) {
            Ok(()) => Some(Self(path)),
            Err(errno) => {
                assert!(
                    std::env::var("R1_REQUIRE_ALL").as_deref() != Ok("1"),
                    "a tmpfs is required: {errno}"
                );
                eprintln!("SKIP a_full_disk_is_named_and_loses_nothing: a tmpfs cannot be mounted: {errno}");
                None
            }
        }
    }

    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_and_loses_nothing() {
    let solo = Solo::new(4_000);
    let Some(disk) = SmallDisk::new(solo.dir.path().join("state")) else {
        return;
    };
    let mut running = solo.start().await;
    let chain = running.node.chain.clone();
    until("the first epoch", || {
        chain.lock().ledger().epoch(0).unwrap().is_some()
    })
    .await;

    let filler = disk.fill();
    let failure = timeout(PATIENCE, running.failed()).await.unwrap();
    assert!(failure.to_lowercase().contains("no space"), "{failure}");
    running.stop().await;
    let height = chain.lock().ledger().height();
    // The ledger is one open file per process: the last holder must go before the next start.
    drop(chain);
    let error = format!("{:#}", node::start(solo.config()).await.unwrap_err());
    assert!(
        error.contains("cannot be written") && error.contains("free space"),
        "{error}"
    );

    fs::remove_file(filler).unwrap();
    let running = solo.start().await;
    let chain = running.node.chain.clone();
    assert!(chain.lock().ledger().height() >= height);
    let closed = chain.lock().ledger().state().next_epoch();
    until("another epoch", || {
        chain.lock().ledger().state().next_epoch() > closed
    })
    .await;
    let state = chain.lock().ledger().state().clone();
    assert_eq!(state.sum_of_balances(r1_economy::bank::Asset::R1), state.supply());
    running.stop().await;
}
