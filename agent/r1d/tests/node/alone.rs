use r1_core::U256;

use super::*;

/// Reward of an epoch with value 255, wei.
const REWARD: u64 = 1_458_508_188_386_985_115;

fn credit(value: u8) -> U256 {
    U256::from(REWARD) * U256::from(value) / U256::from(255)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_oracle_alone_goes_through_epochs_is_credited_and_claims() {
    let solo = Solo::new(6_000);
    let running = solo.start().await;
    let node = &running.node;
    let eth = node.key.eth_address();
    let balance = || node.chain.lock().ledger().state().balance(&eth);
    until("a reward", || !balance().is_zero()).await;

    let record = node.chain.lock().ledger().epoch(0).unwrap().unwrap();
    let value = record.availability[&node.address()];
    assert!(!record.faulty && value > 0);
    assert_eq!((record.oracles, record.signers, record.tables), (1, 1, 1));
    assert!(record.decide_ms.is_some());
    let later = node.chain.lock().ledger().last_epochs(10).unwrap();
    let sums = later.iter().rev().scan(U256::ZERO, |sum, record| {
        *sum += credit(record.availability.get(&node.address()).copied().unwrap_or(0));
        Some(*sum)
    });
    assert!(
        sums.collect::<Vec<_>>().contains(&balance()),
        "the balance is a sum of exact credits"
    );

    let socket = node.config.control_socket();
    api_answers(&socket, &node.address().to_string()).await;
    running.stop().await;

    // What was decided and recorded is there after a restart, and is not paid again.
    let running = solo.start().await;
    let node = &running.node;
    assert_eq!(node.chain.lock().ledger().epoch(0).unwrap().unwrap(), record);
    assert!(node.recorder().last(&node.address()).is_some());
    let state_of = || node.chain.lock().ledger().state().clone();
    assert_eq!(
        state_of().sum_of_balances(r1_economy::bank::Asset::R1),
        state_of().supply()
    );
    running.stop().await;
}

async fn api_answers(socket: &Path, address: &str) {
    let (code, status) = get(socket, "/v1/status").await;
    assert_eq!(code, 200);
    assert_eq!(
        (&status["role"], &status["alias"]),
        (&"oracle".into(), &"solo".into())
    );
    assert_eq!(status["host"]["connected"], false);
    assert!(
        status["degraded"][0].as_str().unwrap().contains("start r1-hostd"),
        "{status}"
    );
    let (_, epochs) = get(socket, "/v1/epochs?limit=1").await;
    assert_eq!(epochs["epochs"].as_array().unwrap().len(), 1);
    let (_, certificate) = get(socket, "/v1/epochs/0/certificate").await;
    assert_eq!(certificate["signatures"].as_array().unwrap().len(), 1);
    let (_, nodes) = get(socket, "/v1/nodes").await;
    assert_eq!(
        (&nodes["nodes"][0]["address"], &nodes["nodes"][0]["licence"]),
        (&address.into(), &"nd-1".into())
    );
    let (_, licences) = get(socket, "/v1/licences").await;
    assert_eq!(licences["licences"][0]["node"], address);
    let (_, why) = get(socket, &format!("/v1/why/node/{address}?epoch=0")).await;
    assert!(why["text"].as_array().unwrap().len() >= 2, "{why}");
    let (code, error) = get(socket, "/v1/containers").await;
    assert_eq!(code, 503);
    assert!(
        error["error"]["remedy"].as_str().unwrap().contains("r1-hostd"),
        "{error}"
    );
    assert_eq!(get(socket, "/v1/nothing").await.0, 404);
    let (_, page) = request(socket, "GET /metrics HTTP/1.0\r\n\r\n").await;
    for name in [
        "r1_poa_signed_total ",
        "r1_oraclesync_height ",
        "r1_net_peers ",
        "process_cpu_seconds_total ",
    ] {
        assert!(page.contains(&format!("\n{name}")), "{name} is missing in {page}");
    }
}
