//! The circle of the economy in a real network: USDC is paid into an escrow, oracles agree on the node that runs the job,
//! every epoch pays it and burns a share, and the node takes its pay in R1 without being told to.
#![expect(clippy::unwrap_used, reason = "test")]

use std::{process::Command, time::Duration};

use r1_cluster_tests::{current_epoch, end, eventually, programs, start};
use r1_localnet::Node;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
/// The dearest type, so that every epoch's pay is worth a claim. Micro-USDC.
const JOB_TYPE: &str = "G_ULTRA_N_ULTRA";
const PRICE: u64 = 43_333_333;
const BURNED: u64 = PRICE * 15 / 100;
const EPOCHS: u64 = 3;

/// Standard output of r1ctl on a node, which succeeds and, where it sends something, waits until that is decided.
fn r1ctl(node: &Node, arguments: &[&str]) -> String {
    let output = Command::new(programs().join("r1ctl"))
        .arg("--socket")
        .arg(node.layout.control_socket())
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {arguments:?}: {error}",
        node.layout.name
    );
    String::from_utf8(output.stdout).unwrap()
}

fn number(value: &Value) -> u128 {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .parse()
        .unwrap()
}

fn escrow(node: &Node) -> Value {
    node.get(&format!("/v1/escrows/{}", node.layout.eth_address))
        .unwrap_or_default()
}

fn job(node: &Node) -> Value {
    node.get("/v1/jobs/1").unwrap_or_default()
}

/// A majority of the oracles says the same about the job.
fn agree(oracles: &[Node], nodes: &[&str]) {
    let nodes = if nodes.is_empty() { &["--none"] } else { nodes };
    for oracle in oracles.iter().take(2) {
        r1ctl(oracle, &[&["jobs", "submit", "1"], nodes].concat());
    }
}

#[test]
fn a_job_is_paid_from_the_escrow_burns_its_share_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let network = start(dir.path(), 3, 1);
    let (oracles, worker) = network.nodes.split_at(3);
    let (tenant, worker) = (&oracles[0], worker[0].layout.eth_address.as_str());
    eventually("every node is linked", PATIENCE, || {
        let licences = tenant.get("/v1/licences").ok()?;
        let deeds = licences["licences"].as_array()?.iter();
        let mut deeds = deeds.filter(|licence| licence["type"] == "ND");
        deeds.all(|licence| licence["node"].is_string()).then_some(())
    });

    eventually("epoch 1, before which no job starts", PATIENCE, || {
        current_epoch(tenant).filter(|epoch| *epoch > 0)
    });
    r1ctl(tenant, &["escrow", "deploy"]);
    let refused = tenant.post("/v1/transactions", &json!({ "action": "DeployEscrow" }));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("has an escrow already"), "{refused}");
    let epochs = EPOCHS.to_string();
    let said = r1ctl(
        tenant,
        &["jobs", "create", "--type", JOB_TYPE, "--epochs", &epochs],
    );
    assert!(
        said.contains("129.999999 USDC, paid into the escrow now"),
        "{said}"
    );
    assert_eq!(job(tenant)["state"], "requested");
    // Decided in this epoch or the next: what was paid in says how many epochs are left.
    let paid_in = number(&escrow(tenant)["deposited"]);
    let epochs = paid_in / u128::from(PRICE);
    assert_eq!(paid_in, epochs * u128::from(PRICE));
    agree(oracles, &["worker-1"]);
    eventually("the job runs", PATIENCE, || {
        (job(tenant)["state"] == "running").then_some(())
    });
    assert_eq!(job(tenant)["active_nodes"], json!([worker]));

    eventually("every epoch is paid to the worker", PATIENCE, || {
        (number(&escrow(tenant)["paid"]) == epochs * u128::from(PRICE - BURNED)).then_some(())
    });
    let figures = escrow(tenant);
    assert_eq!(number(&figures["burned"]), epochs * u128::from(BURNED));
    assert_eq!(number(&figures["balance"]), 0);
    eventually("the job has ended", PATIENCE, || {
        let last = job(tenant)["last_execution_epoch"].as_u64()?;
        (current_epoch(tenant)? >= last).then_some(())
    });
    agree(oracles, &[]);
    eventually("the job is closed", PATIENCE, || {
        (job(tenant)["state"] == "closed").then_some(())
    });

    let totals = tenant.get("/v1/economy").unwrap()["totals"].clone();
    let minted = ["minted_genesis", "minted_nd", "minted_mnd", "minted_gnd"];
    let burned = ["burned_sale", "burned_job", "burned_voluntary"];
    let sum = |names: &[&str]| names.iter().map(|name| number(&totals[*name])).sum::<u128>();
    assert!(number(&totals["burned_job"]) > 0);
    assert_eq!(sum(&minted), sum(&burned) + number(&totals["r1"]));
    end(network);
}
