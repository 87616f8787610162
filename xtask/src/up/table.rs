//! The live table: redrawn in place on a terminal, a line per change elsewhere.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{IsTerminal as _, Write as _, stdout},
};

use r1_localnet::{Network, Node};
use serde_json::Value;

/// The table.
pub struct Table {
    terminal: bool,
    drawn: usize,
    last: BTreeMap<String, String>,
}

impl Table {
    /// Nothing drawn yet.
    pub fn new() -> Self {
        Self {
            terminal: stdout().is_terminal(),
            drawn: 0,
            last: BTreeMap::new(),
        }
    }

    /// Shows the network as it is now.
    pub fn show(&mut self, network: &Network) {
        let rows: Vec<(String, Row)> = network
            .nodes
            .iter()
            .map(|node| (node.layout.name.clone(), Row::of(node)))
            .collect();
        if self.terminal {
            self.redraw(network, &rows);
        } else {
            self.print_changes(&rows);
        }
    }

    fn redraw(&mut self, network: &Network, rows: &[(String, Row)]) {
        let mut text = String::new();
        if self.drawn > 0 {
            // Up to the first line, and clear from there.
            let _ = write!(text, "\x1b[{}A\x1b[J", self.drawn);
        }
        let mut lines = vec![heading()];
        lines.extend(rows.iter().map(|(name, row)| row.line(name)));
        lines.push(format!(
            "sockets {}/<node>/r1d.sock · logs {}/<node>/*.log · Ctrl-C ends",
            network.layout.run.display(),
            network.layout.dir.display()
        ));
        for line in &lines {
            let _ = writeln!(text, "{line}");
        }
        self.drawn = lines.len();
        print!("{text}");
        let _ = stdout().flush();
    }

    fn print_changes(&mut self, rows: &[(String, Row)]) {
        for (name, row) in rows {
            let line = row.line(name);
            if self.last.get(name) != Some(&row.steady()) {
                println!("{line}");
                self.last.insert(name.clone(), row.steady());
            }
        }
    }
}

fn heading() -> String {
    format!(
        "{:<10} {:<7} {:>7} {:>6} {:>12} {:>28} {:>10}",
        "NODE", "ROLE", "EPOCH", "CLOSED", "AVAILABILITY", "BALANCE R1", "CONTAINERS"
    )
}

/// One node's cells.
struct Row {
    role: String,
    epoch: String,
    closed: String,
    availability: String,
    balance: String,
    containers: String,
}

impl Row {
    fn of(node: &Node) -> Self {
        let status = node.get("/v1/status").unwrap_or_default();
        let cell = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self {
            role: node.layout.role.name().into(),
            epoch: cell(&status["epoch"]["id"]),
            closed: cell(&status["last_closed_epoch"]),
            availability: cell(&status["availability_now"]),
            balance: status["balance"].as_str().map_or("-".into(), r1),
            containers: cell(&status["containers"]),
        }
    }

    fn line(&self, name: &str) -> String {
        format!(
            "{name:<10} {:<7} {:>7} {:>6} {:>12} {:>28} {:>10}",
            self.role, self.epoch, self.closed, self.availability, self.balance, self.containers
        )
    }

    /// What is worth a new line where nothing can be redrawn.
    fn steady(&self) -> String {
        [&*self.closed, &*self.balance, &*self.containers].join(" ")
    }
}

/// Wei as R1 with all 18 decimals.
fn r1(wei: &str) -> String {
    let padded = format!("{wei:0>19}");
    let (whole, fraction) = padded.split_at(padded.len() - 18);
    format!("{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wei_keep_all_decimals() {
        assert_eq!(r1("1458508188386985115"), "1.458508188386985115");
        assert_eq!(r1("0"), "0.000000000000000000");
    }
}
