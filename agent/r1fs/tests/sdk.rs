//! The published TypeScript SDK (npm `@ratio1/edge-sdk-ts` 1.5.2), unmodified, against the HTTP front end.
//! `tests/peers/edge-sdk-ts.sh` installs it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    env,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use self::server::open;

mod server;

/// Every case of `sdk/cases.mjs`, in its order.
const CASES: [&str; 16] = [
    "getStatus",
    "addFileFromBuffer",
    "addFileFromPath",
    "getFile",
    "addFileBase64",
    "getFileBase64",
    "addYaml",
    "getYaml",
    "addJson",
    "addPickle",
    "calculateJsonCid",
    "calculatePickleCid",
    "deleteFile",
    "deleteFiles",
    "unknownCid",
    "wrongSecret",
];

/// Where the installation script puts the package.
fn installation() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    let home = cache.join("r1-agent/edge-sdk-ts-1.5.2");
    home.join(".complete").exists().then_some(home)
}

#[tokio::test]
async fn the_published_sdk_works_unmodified() {
    let Some(home) = installation() else {
        assert!(
            env::var_os("R1_REQUIRE_ALL").is_none(),
            "edge-sdk-ts 1.5.2 is not installed"
        );
        eprintln!("SKIP edge-sdk-ts: 1.5.2 is not installed (tests/peers/edge-sdk-ts.sh installs it)");
        return;
    };
    let server = open().await;
    let output = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/cases.mjs"))
        .arg(home)
        .arg(format!("http://{}", server.address))
        .arg(server.dir.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let wanted: Vec<String> = CASES.iter().map(|case| format!("ok {case}")).collect();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        wanted,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{}", output.status);
}
