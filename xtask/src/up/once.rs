//! `--once`: one full epoch agreed and paid, one container run, then the report.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use r1_localnet::{Network, Node};
use serde_json::Value;

use super::report;
use crate::interrupt;

/// How often the network is looked at.
const POLL: Duration = Duration::from_millis(500);
/// What may pass on top of the epochs that are waited for: catching up, agreeing, claiming.
const SLACK: Duration = Duration::from_secs(120);
/// Epochs that are waited for at most: the rest of the running one, the full one, one to claim in.
const EPOCHS: u32 = 3;
/// How long the container may take.
const CONTAINER_TIME: Duration = Duration::from_secs(60);
/// Memory of the container, bytes.
const CONTAINER_MEMORY: u64 = 64 << 20;
/// The call for closed epochs: as many as the node gives at once.
const EPOCHS_CALL: &str = "/v1/epochs?limit=1000";
/// What it does: some CPU time, some memory, a word.
const CONTAINER_COMMAND: [&str; 3] = [
    "sh",
    "-c",
    "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; dd if=/dev/zero of=/tmp/block bs=1M count=4 2>/dev/null; echo done",
];

/// Runs until the report is complete, prints it, and says by exit code whether it is.
///
/// # Errors
/// What failed or was waited for in vain, with the folder of the logs.
pub fn run(
    network: &mut Network,
    json: bool,
    mut degraded: BTreeSet<String>,
    started: Instant,
) -> Result<ExitCode, String> {
    let logs = network.layout.dir.display().to_string();
    let report =
        collect(network, &mut degraded, started).map_err(|error| format!("{error}; logs are in {logs}"))?;
    if json {
        println!("{report}");
    } else {
        report::summary(&report)
            .iter()
            .for_each(|line| println!("{line}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn collect(
    network: &mut Network,
    degraded: &mut BTreeSet<String>,
    started: Instant,
) -> Result<Value, String> {
    let before = status(&network.nodes[0])?;
    let first = before["last_closed_epoch"].as_u64().map_or(0, |epoch| epoch + 1);
    // All nodes are up now, so the next epoch is the first one that all of them see from its start.
    let full = before["epoch"]["id"].as_u64().unwrap_or(0) + 1;
    let containers = run_container(network, degraded)?;
    let deadline = Instant::now() + network.layout.epoch * EPOCHS + SLACK;
    let last = wait_until_agreed_and_paid(network, full, deadline, degraded)?;
    let oracle = &network.nodes[0];
    let get = |path: &str| oracle.get(path).map_err(|error| error.to_string());
    let licences = get("/v1/licences")?;
    let epochs = report::epochs(&get(EPOCHS_CALL)?, &licences, first, last);
    let rewards = report::rewards(&licences);
    for node in &network.nodes {
        degraded.extend(report::degraded(node));
    }
    Ok(report::assemble(
        epochs,
        rewards,
        containers,
        degraded,
        started.elapsed().as_secs_f64(),
    ))
}

fn status(node: &Node) -> Result<Value, String> {
    node.get("/v1/status").map_err(|error| error.to_string())
}

/// Runs one container on the last node (a worker, where there is one). Where this machine cannot, that is degraded.
fn run_container(network: &mut Network, degraded: &mut BTreeSet<String>) -> Result<Vec<Value>, String> {
    let Some(node) = network.nodes.last() else {
        return Ok(Vec::new());
    };
    let name = node.layout.name.clone();
    if !nix::unistd::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let id = match node.run(&CONTAINER_COMMAND, CONTAINER_MEMORY) {
        Ok(id) => id,
        Err(error) if error.to_string().contains("HTTP 501") => {
            degraded.insert(format!("no container was run: {error}"));
            return Ok(Vec::new());
        }
        Err(error) => return Err(format!("the container did not start: {error}")),
    };
    eprintln!("container {id} runs on {name}");
    let deadline = Instant::now() + CONTAINER_TIME;
    loop {
        let container = node
            .container(&id)
            .map_err(|error| error.to_string())?
            .unwrap_or_default();
        match (container["state"].as_str(), container["exit_code"].as_i64()) {
            (Some("stopped"), Some(0)) => return Ok(vec![report::container(&name, &container)]),
            (Some("stopped" | "lost"), code) => {
                return Err(format!(
                    "container {id} on {name} ended with {code:?}: {container}"
                ));
            }
            _ if interrupt::interrupted() => return Err("interrupted".into()),
            _ if Instant::now() > deadline => {
                return Err(format!("container {id} on {name} did not end: {container}"));
            }
            _ => sleep(POLL),
        }
    }
}

/// Waits for a full epoch that is agreed and paid. A faulty one was not measured: it is named, and the next is waited
/// for. Returns the last epoch that all licences have claimed.
fn wait_until_agreed_and_paid(
    network: &mut Network,
    mut full: u64,
    deadline: Instant,
    degraded: &mut BTreeSet<String>,
) -> Result<u64, String> {
    loop {
        let last = wait_until_paid(network, full, deadline)?;
        let answer = network.nodes[0]
            .get(EPOCHS_CALL)
            .map_err(|error| error.to_string())?;
        let faulty = |number: u64| {
            let epochs = answer["epochs"].as_array().map_or(&[][..], Vec::as_slice);
            epochs
                .iter()
                .any(|epoch| epoch["epoch"] == number && epoch["faulty"] == true)
        };
        if (full..=last).any(|epoch| !faulty(epoch)) {
            return Ok(last);
        }
        degraded.insert(format!(
            "epoch {full} was faulty: too few tables, so every linked node counts as 255"
        ));
        full = last + 1;
    }
}

/// Waits until every licence that is linked has claimed beyond epoch `full`. Returns the last epoch that all of
/// them have claimed.
fn wait_until_paid(network: &mut Network, full: u64, deadline: Instant) -> Result<u64, String> {
    let mut told = None;
    loop {
        let status = status(&network.nodes[0])?;
        let closed = status["last_closed_epoch"].as_u64();
        if told != Some(closed) {
            let shown = closed.map_or("none".into(), |epoch| epoch.to_string());
            eprintln!("waiting for epoch {full} to be agreed and paid; last closed: {shown}");
            told = Some(closed);
        }
        let licences = network.nodes[0]
            .get("/v1/licences")
            .map_err(|error| error.to_string())?;
        let waiting = unpaid(&licences, full);
        if closed >= Some(full) && waiting.is_empty() {
            return Ok(claimed_through(&licences).unwrap_or(full));
        }
        for node in &mut network.nodes {
            if !node.r1d.is_running() {
                return Err(node.r1d.failed("it ended").to_string());
            }
        }
        if interrupt::interrupted() {
            return Err("interrupted".into());
        }
        if Instant::now() > deadline {
            let what = if closed >= Some(full) {
                format!("licences {waiting:?} have not been paid for epoch {full}")
            } else {
                format!("epoch {full} has not been agreed")
            };
            return Err(what);
        }
        sleep(POLL);
    }
}

fn licences(answer: &Value) -> &[Value] {
    answer["licences"].as_array().map_or(&[][..], Vec::as_slice)
}

/// The node deeds. A master node deed of the contracts' owner need not work.
fn deeds(answer: &Value) -> impl Iterator<Item = &Value> {
    licences(answer).iter().filter(|licence| licence["type"] == "ND")
}

/// Ids of the node deeds that are not linked, or have not claimed beyond an epoch.
fn unpaid(answer: &Value, epoch: u64) -> Vec<u64> {
    deeds(answer)
        .filter(|licence| {
            licence["last_claim_epoch"]
                .as_u64()
                .is_none_or(|next| next <= epoch)
        })
        .filter_map(|licence| licence["id"].as_u64())
        .collect()
}

/// The last epoch that every licence has claimed.
fn claimed_through(answer: &Value) -> Option<u64> {
    let next = deeds(answer)
        .filter_map(|licence| licence["last_claim_epoch"].as_u64())
        .min()?;
    next.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_licence_is_paid_when_its_next_epoch_lies_behind() {
        let answer = json!({"licences": [
            {"id": 1, "type": "ND", "last_claim_epoch": 5}, {"id": 2, "type": "ND", "last_claim_epoch": 4},
            {"id": 3, "type": "ND", "last_claim_epoch": null}, {"id": 1, "type": "GND", "last_claim_epoch": null}
        ]});
        assert_eq!(unpaid(&answer, 4), [2, 3]);
        assert_eq!(claimed_through(&answer), Some(3));
    }
}
