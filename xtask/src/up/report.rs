//! What `--once` reports: epochs, rewards, containers, what was degraded.

use std::collections::BTreeSet;

use r1_localnet::Node;
use serde_json::{Map, Value, json};

/// What a node says it can only do in a lesser way.
pub fn degraded(node: &Node) -> Vec<String> {
    let status = node.get("/v1/status").unwrap_or_default();
    let lines = status["degraded"].as_array().cloned().unwrap_or_default();
    lines
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The closed epochs from `first` to `last` in order, as the report shows them. In a faulty epoch every linked node
/// counts as 255, whatever was measured.
pub fn epochs(answer: &Value, licences: &Value, first: u64, last: u64) -> Vec<Value> {
    let all = answer["epochs"].as_array().map_or(&[][..], Vec::as_slice);
    let mut chosen: Vec<&Value> = all
        .iter()
        .filter(|epoch| {
            epoch["epoch"]
                .as_u64()
                .is_some_and(|number| (first..=last).contains(&number))
        })
        .collect();
    chosen.sort_by_key(|epoch| epoch["epoch"].as_u64());
    let linked = rewards(licences).into_iter().map(|(node, _)| (node, json!(255)));
    let all_present = Value::Object(linked.collect());
    let show = |epoch: &&Value| {
        json!({
            "epoch": epoch["epoch"],
            "oracles": epoch["oracles"],
            "signers": epoch["signers"],
            // 0 where this oracle learnt of the decision afterwards: it took part in none of it.
            "decide_ms": epoch["decide_ms"].as_u64().unwrap_or(0),
            "availability": if epoch["faulty"] == true { &all_present } else { &epoch["availability"] },
        })
    };
    chosen.iter().map(show).collect()
}

/// What each linked node's licence has been paid, wei.
pub fn rewards(licences: &Value) -> Map<String, Value> {
    let all = licences["licences"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter()
        .filter_map(|licence| {
            Some((
                licence["node"].as_str()?.to_owned(),
                licence["claimed_wei"].clone(),
            ))
        })
        .collect()
}

/// A container that ended, as the report shows it.
pub fn container(node: &str, container: &Value) -> Value {
    json!({
        "node": node,
        "id": container["id"],
        "exit_code": container["exit_code"],
        "cpu_ns": container["cpu_ns"],
        "memory_peak_bytes": container["memory_peak_bytes"],
        "oom_killed": container["oom_killed"],
    })
}

/// The summary for people.
pub fn summary(report: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for epoch in report["epochs"].as_array().into_iter().flatten() {
        lines.push(format!(
            "epoch {}: agreed by {} of {} oracles in {} ms",
            epoch["epoch"], epoch["signers"], epoch["oracles"], epoch["decide_ms"]
        ));
        for (node, value) in epoch["availability"].as_object().into_iter().flatten() {
            lines.push(format!("  {node}  {value} of 255"));
        }
    }
    for (node, wei) in report["rewards"].as_object().into_iter().flatten() {
        lines.push(format!("paid {node}  {} wei", wei.as_str().unwrap_or("-")));
    }
    for container in report["containers"].as_array().into_iter().flatten() {
        lines.push(format!(
            "container {} on {}: exit code {}, {} ms CPU, peak {} bytes",
            container["id"].as_str().unwrap_or("-"),
            container["node"].as_str().unwrap_or("-"),
            container["exit_code"],
            container["cpu_ns"].as_u64().unwrap_or(0) / 1_000_000,
            container["memory_peak_bytes"],
        ));
    }
    for line in report["degraded"].as_array().into_iter().flatten() {
        lines.push(format!("degraded: {}", line.as_str().unwrap_or("-")));
    }
    lines.push(format!("{:.1} s", report["elapsed_s"].as_f64().unwrap_or(0.0)));
    lines
}

/// The whole report.
pub fn assemble(
    epochs: Vec<Value>,
    rewards: Map<String, Value>,
    containers: Vec<Value>,
    degraded: &BTreeSet<String>,
    elapsed_s: f64,
) -> Value {
    json!({
        "epochs": epochs,
        "rewards": rewards,
        "containers": containers,
        "degraded": degraded,
        "elapsed_s": elapsed_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_chosen_and_sorted() {
        let answer = json!({"epochs": [
            {"epoch": 3, "decide_ms": null, "faulty": true}, {"epoch": 2, "decide_ms": 5}, {"epoch": 1}, {"epoch": 4}
        ]});
        let licences = json!({"licences": [{"node": "0xai_A", "claimed_wei": "7"}]});
        let chosen = epochs(&answer, &licences, 2, 3);
        assert_eq!(chosen[1]["availability"], json!({"0xai_A": 255}));
        assert_eq!(chosen.len(), 2);
        assert_eq!(
            (&chosen[0]["epoch"], &chosen[1]["decide_ms"]),
            (&json!(2), &json!(0))
        );
    }

    #[test]
    fn only_linked_nodes_are_rewarded() {
        let licences =
            json!({"licences": [{"node": "0xai_A", "claimed_wei": "7"}, {"node": null, "claimed_wei": "0"}]});
        assert_eq!(
            rewards(&licences),
            json!({"0xai_A": "7"}).as_object().unwrap().clone()
        );
    }
}
