//! The answers of the control API as lines for people.

use serde_json::Value;

use crate::{
    table::Table,
    units::{bytes, or_dash, r1, short, span},
};

fn items<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map_or(&[], Vec::as_slice)
}

/// `/v1/status`.
pub fn status(answer: &Value) -> Vec<String> {
    let epoch = &answer["epoch"];
    let connected = answer["host"]["connected"].as_bool().unwrap_or(false);
    let mut lines = vec![
        format!(
            "{} ({}, {})",
            or_dash(&answer["alias"]),
            or_dash(&answer["role"]),
            or_dash(&answer["network"])
        ),
        format!("  address       {}", or_dash(&answer["address"])),
        format!("  evm address   {}", or_dash(&answer["eth_address"])),
        format!("  version       {}", or_dash(&answer["version"])),
        format!(
            "  epoch         {} of {}, last closed {}",
            or_dash(&epoch["id"]),
            span(epoch["length_ms"].as_u64().unwrap_or(0)),
            or_dash(&answer["last_closed_epoch"])
        ),
        format!(
            "  availability  {} of 255 so far",
            or_dash(&answer["availability_now"])
        ),
        format!(
            "  balance       {} R1, {} to claim",
            r1(&answer["balance"]),
            r1(&answer["claimable"])
        ),
        format!(
            "  height        {}, {} peers",
            or_dash(&answer["height"]),
            or_dash(&answer["peers"])
        ),
        format!("  containers    {} running", or_dash(&answer["containers"])),
        format!(
            "  r1-hostd      {}",
            if connected { "connected" } else { "not connected" }
        ),
    ];
    lines.extend(
        items(answer, "degraded")
            .iter()
            .map(|line| format!("  degraded      {}", or_dash(line))),
    );
    lines
}

/// `/v1/nodes`.
pub fn nodes(answer: &Value) -> Vec<String> {
    let mut table = Table::new(&[
        "NODE",
        "ALIAS",
        "ROLE",
        "ONLINE",
        "NOW",
        "LAST",
        "LICENCE",
        "BALANCE R1",
    ]);
    for node in items(answer, "nodes") {
        table.row([
            short(&node["address"]),
            or_dash(&node["alias"]),
            or_dash(&node["role"]),
            if node["online"].as_bool().unwrap_or(false) {
                "yes"
            } else {
                "no"
            }
            .into(),
            or_dash(&node["availability_now"]),
            or_dash(&node["last_epoch_availability"]),
            or_dash(&node["licence"]),
            r1(&node["balance"]),
        ]);
    }
    table.lines()
}

/// `/v1/epochs`.
pub fn epochs(answer: &Value) -> Vec<String> {
    let mut table = Table::new(&[
        "EPOCH", "HEIGHT", "ROUND", "SIGNED", "TABLES", "DECIDED", "NODES", "LOWEST", "",
    ]);
    for epoch in items(answer, "epochs") {
        let values = epoch["availability"].as_object();
        let lowest = values.and_then(|map| map.values().filter_map(Value::as_u64).min());
        table.row([
            or_dash(&epoch["epoch"]),
            or_dash(&epoch["height"]),
            or_dash(&epoch["round"]),
            format!("{}/{}", or_dash(&epoch["signers"]), or_dash(&epoch["oracles"])),
            or_dash(&epoch["tables"]),
            epoch["decide_ms"].as_u64().map_or("-".into(), span),
            values.map_or(0, serde_json::Map::len).to_string(),
            lowest.map_or("-".into(), |value| value.to_string()),
            if epoch["faulty"].as_bool().unwrap_or(false) {
                "faulty: all count as 255"
            } else {
                ""
            }
            .into(),
        ]);
    }
    table.lines()
}

/// `/v1/containers`.
pub fn containers(answer: &Value) -> Vec<String> {
    let mut table = Table::new(&["ID", "IMAGE", "STATE", "PID", "EXIT", "CPU", "PEAK", ""]);
    for container in items(answer, "containers") {
        let oom = container["oom_killed"].as_bool().unwrap_or(false);
        table.row([
            or_dash(&container["id"]),
            or_dash(&container["image"]),
            or_dash(&container["state"]),
            or_dash(&container["pid"]),
            or_dash(&container["exit_code"]),
            span(container["cpu_ns"].as_u64().unwrap_or(0) / 1_000_000),
            bytes(container["memory_peak_bytes"].as_u64().unwrap_or(0)),
            if oom { "out of memory" } else { "" }.into(),
        ]);
    }
    table.lines()
}

/// `/v1/why/...`: the sentences, and for an epoch those of each node below 255.
pub fn why(answer: &Value) -> Vec<String> {
    let mut lines: Vec<String> = items(answer, "text").iter().map(or_dash).collect();
    for node in items(answer, "nodes") {
        lines.push(String::new());
        lines.push(or_dash(&node["node"]));
        lines.extend(
            items(node, "text")
                .iter()
                .map(|line| format!("  {}", or_dash(line))),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_answer_is_only_a_heading() {
        assert_eq!(nodes(&json!({})).len(), 1);
        assert_eq!(containers(&json!({"containers": []})).len(), 1);
    }

    #[test]
    fn a_faulty_epoch_says_so() {
        let lines = epochs(&json!({"epochs": [{"epoch": 3, "signers": 3, "oracles": 4, "faulty": true}]}));
        assert!(
            lines[1].contains("3/4") && lines[1].ends_with("faulty: all count as 255"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn status_names_what_is_degraded() {
        let lines = status(&json!({"alias": "a", "balance": "5", "degraded": ["no bpf: run as root"]}));
        assert!(lines.last().unwrap().contains("no bpf: run as root"));
    }
}
