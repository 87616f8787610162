//! The economy as lines for people.

use r1_core::{U256, parse_wei};
use r1_economy::bank::Asset;
use serde_json::Value;

use super::{amount::show, cli::Permission};
use crate::{
    table::Table,
    units::{or_dash, r1, short},
};

fn usdc(value: &Value) -> String {
    let amount = value.as_str().and_then(|text| parse_wei(text).ok());
    show(amount.unwrap_or(U256::ZERO), Asset::Usdc)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `/v1/licences`, and those of an account.
pub fn licences(answer: &Value) -> Vec<String> {
    let mut table = Table::new(&[
        "NAME",
        "TYPE",
        "OWNER",
        "NODE",
        "CLAIMED R1",
        "CLAIMABLE R1",
        "WITHHELD R1",
        "CAP R1",
        "NEXT EPOCH",
    ]);
    for licence in list(&answer["licences"]) {
        table.row([
            or_dash(&licence["name"]),
            or_dash(&licence["type"])
                + if licence["banned"] == true {
                    " (banned)"
                } else {
                    ""
                },
            or_dash(&licence["owner"]),
            short(&licence["node"]),
            r1(&licence["claimed_wei"]),
            r1(&licence["claimable_wei"]),
            r1(&licence["withheld_wei"]),
            r1(&licence["assigned_wei"]),
            or_dash(&licence["last_claim_epoch"]),
        ]);
    }
    table.lines()
}

/// `/v1/accounts/{account}`.
pub fn account(answer: &Value) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}{}",
            or_dash(&answer["account"]),
            if answer["is_oracle"] == true {
                " (oracle)"
            } else {
                ""
            }
        ),
        format!("  R1            {}", r1(&answer["r1"])),
        format!("  USDC          {}", usdc(&answer["usdc"])),
        format!(
            "  job earnings  {} USDC, as a node",
            usdc(&answer["job_earnings"])
        ),
        format!("  burned        {} R1 of its own will", r1(&answer["burned"])),
        format!(
            "  spent         {} USD on licences",
            or_dash(&answer["usd_spent"])
        ),
        format!("  LP tokens     {}", or_dash(&answer["pool_shares"])),
        format!(
            "  transactions  {} decided, {} waiting",
            or_dash(&answer["nonce"]),
            list(&answer["waiting"]).len()
        ),
    ];
    if answer["escrow"].is_object() {
        lines.push("  escrow        its own; see r1ctl escrow --account".to_owned());
    }
    if let Some(owner) = answer["delegation"]["escrow"].as_str() {
        lines.push(format!("  escrow        delegate of {owner}"));
    }
    if !list(&answer["licences"]).is_empty() {
        lines.push(String::new());
        lines.extend(licences(answer));
    }
    lines
}

/// `/v1/jobs`.
pub fn jobs(answer: &Value) -> Vec<String> {
    let mut table = Table::new(&[
        "JOB",
        "STATE",
        "TYPE",
        "NODES",
        "PRICE USDC",
        "PAID UP TO",
        "ENDS",
        "BALANCE USDC",
        "ESCROW",
    ]);
    for job in list(&answer["jobs"]) {
        table.row([
            or_dash(&job["id"]),
            or_dash(&job["state"]),
            or_dash(&job["job_type"]),
            format!(
                "{}/{}",
                list(&job["active_nodes"]).len(),
                or_dash(&job["nodes_requested"])
            ),
            usdc(&job["price"]),
            if job["started"] == true {
                or_dash(&job["last_allocated_epoch"])
            } else {
                "-".to_owned()
            },
            or_dash(&job["last_execution_epoch"]),
            usdc(&job["balance"]),
            or_dash(&job["escrow"]),
        ]);
    }
    table.lines()
}

/// `/v1/jobs/{id}`.
pub fn job(answer: &Value) -> Vec<String> {
    let mut lines = vec![
        format!(
            "job {} ({}), type {}",
            or_dash(&answer["id"]),
            or_dash(&answer["state"]),
            or_dash(&answer["job_type"])
        ),
        format!("  escrow      {}", or_dash(&answer["escrow"])),
        format!("  price       {} USDC per node and epoch", usdc(&answer["price"])),
        format!(
            "  balance     {} USDC not allocated yet",
            usdc(&answer["balance"])
        ),
        format!("  requested   in epoch {}", or_dash(&answer["requested_epoch"])),
        format!(
            "  ends        with epoch {}, exclusive",
            or_dash(&answer["last_execution_epoch"])
        ),
    ];
    if answer["started"] == true {
        lines.push(format!(
            "  paid        up to epoch {}",
            or_dash(&answer["last_allocated_epoch"])
        ));
    }
    for node in list(&answer["active_nodes"]) {
        lines.push(format!("  node        {}", or_dash(node)));
    }
    for submission in list(&answer["submissions"]) {
        let nodes: Vec<String> = list(&submission["nodes"]).iter().map(or_dash).collect();
        let nodes = if nodes.is_empty() {
            "none".to_owned()
        } else {
            nodes.join(", ")
        };
        lines.push(format!(
            "  oracle {} says: {nodes}",
            or_dash(&submission["oracle"])
        ));
    }
    lines
}

/// Job types of `/v1/economy/params`.
pub fn types(answer: &Value) -> Vec<String> {
    let mut table = Table::new(&["TYPE", "NAME", "USDC PER NODE AND EPOCH"]);
    for price in list(&answer["jobs"]["prices"]) {
        let usdc = price["usdc"]
            .as_u64()
            .map(|usdc| show(U256::from(usdc), Asset::Usdc));
        table.row([
            or_dash(&price["id"]),
            or_dash(&price["name"]),
            usdc.unwrap_or_else(|| "no longer offered".to_owned()),
        ]);
    }
    table.lines()
}

/// `/v1/escrows/{account}`.
pub fn escrow(answer: &Value) -> Vec<String> {
    let mut lines = vec![
        format!("escrow of {}", or_dash(&answer["owner"])),
        format!("  balance    {} USDC", usdc(&answer["balance"])),
        format!("  deposited  {} USDC", usdc(&answer["deposited"])),
        format!("  paid       {} USDC to nodes", usdc(&answer["paid"])),
        format!("  burned     {} USDC", usdc(&answer["burned"])),
        format!("  refunded   {} USDC", usdc(&answer["refunded"])),
    ];
    for delegate in list(&answer["delegates"]) {
        let bits = delegate["permissions"].as_u64().unwrap_or(0);
        let may = Permission::ALL
            .into_iter()
            .filter(|one| u64::from(one.bit()) & bits != 0);
        let may: Vec<String> = may.map(Permission::word).collect();
        lines.push(format!(
            "  delegate   {} may {}",
            or_dash(&delegate["account"]),
            may.join(", ")
        ));
    }
    lines
}

/// The pool of `/v1/economy`.
pub fn pool(answer: &Value) -> Vec<String> {
    vec![
        format!("price     {} USDC per R1", r1(&answer["price"])),
        format!(
            "reserves  {} R1, {} USDC",
            r1(&answer["pool"]["r1"]),
            usdc(&answer["pool"]["usdc"])
        ),
        format!("LP tokens {}", or_dash(&answer["pool"]["shares"])),
    ]
}

/// `/v1/economy`.
pub fn economy(answer: &Value) -> Vec<String> {
    let totals = &answer["totals"];
    let mut lines = vec![
        format!(
            "supply    {} R1, {} USDC",
            r1(&totals["r1"]),
            usdc(&totals["usdc"])
        ),
        format!(
            "minted    genesis {}, ND {}, MND {}, GND {}",
            r1(&totals["minted_genesis"]),
            r1(&totals["minted_nd"]),
            r1(&totals["minted_mnd"]),
            r1(&totals["minted_gnd"])
        ),
        format!(
            "burned    sales {}, jobs {}, voluntary {}",
            r1(&totals["burned_sale"]),
            r1(&totals["burned_job"]),
            r1(&totals["burned_voluntary"])
        ),
        format!("withheld  {} R1", r1(&answer["withheld_wei"])),
        format!(
            "licences  {} ND, {} MND; tier {} sells, {} sold of it",
            or_dash(&answer["licences"][0]),
            or_dash(&answer["licences"][1]),
            or_dash(&answer["sale"]["tier"]),
            or_dash(&answer["sale"]["sold"])
        ),
        format!("adoption  {} of 65535", or_dash(&answer["adoption"])),
        format!("jobs      {} open", or_dash(&answer["open_jobs"])),
    ];
    lines.extend(pool(answer));
    for (title, key) in [("burned for", "top_apps"), ("burned by", "top_burners")] {
        for entry in list(&answer[key]).iter().take(3) {
            lines.push(format!(
                "{title} {}: {} R1",
                or_dash(&entry["who"]),
                r1(&entry["burned_wei"])
            ));
        }
    }
    lines
}
