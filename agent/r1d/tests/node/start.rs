use std::fs;

use super::*;

async fn refusal(config: Config) -> String {
    format!("{:#}", node::start(config).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_on_the_same_state_folder_is_told_so() {
    let solo = Solo::new(60_000);
    let running = solo.start().await;
    let error = refusal(solo.config()).await;
    assert!(
        error.contains("in use by another r1d") && error.contains("state"),
        "{error}"
    );
    assert!(
        running.node.config.control_socket().exists(),
        "the first one's socket is left alone"
    );
    running.stop().await;
    solo.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_or_read_is_named() {
    let solo = Solo::new(60_000);
    let unwritable = Config {
        state_dir: "/proc/no-such".into(),
        ..solo.config()
    };
    let error = refusal(unwritable).await;
    assert!(
        error.contains("/proc/no-such") && error.contains("cannot be written"),
        "{error}"
    );
    let long = Config {
        run_dir: solo.dir.path().join("x".repeat(120)),
        ..solo.config()
    };
    let error = refusal(long).await;
    assert!(error.contains("shorten run_dir"), "{error}");
    fs::write(solo.dir.path().join("key.pem"), "no key").unwrap();
    let error = refusal(solo.config()).await;
    assert!(error.contains("key.pem"), "{error}");
    let no_genesis = Config {
        genesis: solo.dir.path().join("nowhere.json"),
        ..solo.config()
    };
    let error = refusal(no_genesis).await;
    assert!(error.contains("nowhere.json"), "{error}");
}
