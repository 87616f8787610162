use r1_proof::{Document, Fact};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_node_proves_is_what_its_ledger_holds_and_the_genesis_is_enough_to_check_it() {
    let solo = Solo::new(4_000);
    let running = solo.start().await;
    let node = &running.node;
    let socket = node.config.control_socket();
    let (eth, address) = (node.key.eth_address(), node.address());

    let balance = || node.chain.lock().ledger().state().balance(&eth);
    until("a reward", || !balance().is_zero()).await;

    let record = node.chain.lock().ledger().epoch(0).unwrap().unwrap();
    let genesis: Genesis =
        serde_json::from_slice(&std::fs::read(solo.dir.path().join("genesis.json")).unwrap()).unwrap();
    for path in [
        format!("account/{eth}"),
        "licence/nd-1".to_owned(),
        format!("availability/0/{address}"),
    ] {
        let (code, json) = get(&socket, &format!("/v1/prove/{path}")).await;
        assert_eq!(code, 200, "{json}");
        let document: Document = serde_json::from_value(json).unwrap();
        let proven = document.verify(&genesis).unwrap();
        assert!(proven.height > 0 && proven.signers == 1 && proven.oracles == 1);
        match proven.fact {
            Fact::Account { address, account } => assert!(address == eth && !account.r1.is_zero()),
            Fact::NodeDeed { id, deed } => assert!(id == 1 && deed.node_name == Some(address)),
            Fact::Availability { epoch, node, value } => {
                assert_eq!((epoch, node, value), (0, address, record.availability[&address]));
            }
            other => panic!("{other:?}"),
        }
        let mut other = genesis.clone();
        other.oracles[0].address = solo.stranger.address();
        assert!(document.verify(&other).is_err(), "another oracle decided nothing");
    }

    let stranger = solo.stranger.address();
    for (path, code, words) in [
        (
            "account/0x00000000000000000000000000000000000000aa".to_owned(),
            404,
            "the ledger has no such record",
        ),
        (
            "licence/nd-99".to_owned(),
            404,
            "licence ND 99: the ledger has no such record",
        ),
        (
            format!("availability/0/{stranger}"),
            404,
            "the oracles agreed on none",
        ),
        (
            format!("availability/9999/{address}"),
            404,
            "the ledger has no such record",
        ),
        ("account/nobody".to_owned(), 400, "nobody"),
        ("licence/x-1".to_owned(), 400, "x-1"),
        ("availability/x/y".to_owned(), 400, "x"),
    ] {
        let (got, error) = get(&socket, &format!("/v1/prove/{path}")).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert!(got == code && message.contains(words), "{path}: {got} {message}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_first_block_nothing_can_be_proven() {
    let solo = Solo::since(now_ms() + 3_600_000, 4_000);
    let path = solo.dir.path().join("r1d.toml");
    let idle = std::fs::read_to_string(&path)
        .unwrap()
        .replace("auto_link = true", "auto_link = false");
    std::fs::write(&path, idle).unwrap();
    let running = solo.start().await;
    let (code, error) = get(&running.node.config.control_socket(), "/v1/prove/licence/1").await;
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        code == 409 && message.contains("no block is decided yet"),
        "{message}"
    );
    running.stop().await;
}
