//! Starts a network in the folder it is given, says so, and waits to be killed: for the tests of what is left behind.

use std::{path::PathBuf, thread::park};

fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("a folder is needed"));
    let network = r1_cluster_tests::start(&dir, 1, 0);
    println!("{}", network.layout.run.display());
    loop {
        park();
    }
}
