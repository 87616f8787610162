//! Rows of figures, and the targets beside them.

use serde_json::{Value, json};

const MIB: f64 = 1024.0 * 1024.0;
/// Targets of SPECIFICATION.md: MiB/s of a transfer, or this part of one core's sha-256 if that is less; the part of
/// sha256sum's speed that an import has; MiB above idle.
const TRANSFER: f64 = 400.0;
const TRANSFER_OF_HASH: f64 = 0.9;
const IMPORT_OF_HASH: f64 = 0.8;
const MEMORY: f64 = 64.0;

/// One measured thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    group: &'static str,
    name: String,
    amount: f64,
    wall_s: f64,
    cpu_s: f64,
}

/// A number, 0 if it is none.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

impl Row {
    /// `amount` is MiB, or how many.
    pub fn new(group: &'static str, name: &str, amount: u64, figures: &Value) -> Self {
        Self {
            group,
            name: name.to_owned(),
            amount: f64::from(u32::try_from(amount).unwrap_or(u32::MAX)),
            wall_s: number(&figures["wall_s"]),
            cpu_s: number(&figures["cpu_s"]),
        }
    }

    fn rate(&self) -> f64 {
        self.amount / self.wall_s.max(1e-9)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "group": self.group, "name": self.name, "amount": self.amount,
            "wall_s": self.wall_s, "cpu_s": self.cpu_s, "per_s": self.rate(),
        })
    }
}

fn rate(rows: &[Row], group: &str, name: &str) -> Option<f64> {
    let found = rows.iter().find(|row| row.group == group && row.name == name);
    found.map(Row::rate)
}

/// What is measured against each target: what it is, the figure, the least it should be.
fn targets(rows: &[Row]) -> Vec<(String, f64, f64)> {
    let mut targets = Vec::new();
    if let (Some(ours), Some(hash)) = (rate(rows, "import", "r1fs"), rate(rows, "import", "sha256sum")) {
        targets.push(("import, of sha256sum's speed".into(), ours / hash, IMPORT_OF_HASH));
    }
    let hash = rate(rows, "import", "sha-256 in this program");
    if let (Some(ours), Some(hash)) = (rate(rows, "transfer", "r1fs"), hash) {
        let least = TRANSFER.min(TRANSFER_OF_HASH * hash);
        targets.push(("transfer, MiB/s".into(), ours, least));
    }
    for group in ["import", "transfer", "small x1", "small x16"] {
        let peers = rows
            .iter()
            .filter(|row| row.group == group && ["helia", "rsync", "scp"].contains(&row.name.as_str()));
        if let Some(ours) = rate(rows, group, "r1fs") {
            targets.extend(peers.map(|peer| {
                (
                    format!("{group}, of {}'s speed", peer.name),
                    ours / peer.rate(),
                    1.0,
                )
            }));
        }
    }
    targets
}

/// Prints everything.
pub fn print(rows: &[Row], memory: &Value) {
    println!(
        "{:<10} {:<26} {:>10} {:>9} {:>9} {:>11} {:>7}",
        "WHAT", "WHO", "AMOUNT", "WALL s", "CPU s", "PER SECOND", "RATIO"
    );
    for row in rows {
        let ours = rate(rows, row.group, "r1fs").unwrap_or(f64::NAN);
        println!(
            "{:<10} {:<26} {:>10.0} {:>9.2} {:>9.2} {:>11.1} {:>7.2}",
            row.group,
            row.name,
            row.amount,
            row.wall_s,
            row.cpu_s,
            row.rate(),
            ours / row.rate(),
        );
    }
    println!(
        "AMOUNT: MiB, or objects of 4 KiB. CPU: of all processes that take part. RATIO: how many times faster r1fs is."
    );
    println!("\n{:<40} {:>9} {:>9}", "TARGET", "FOUND", "WANTED");
    for (name, found, least) in targets(rows) {
        let missed = if found < least { "  missed" } else { "" };
        println!("{name:<40} {found:>9.2} {:>9}{missed}", format!(">= {least:.2}"));
    }
    for (name, figures) in [("added", &memory["added"]), ("read back", &memory["read"])] {
        for (kind, key) in [
            ("resident", "peak_above_idle"),
            ("of it private", "anon_above_idle"),
        ] {
            let found = number(&figures[key]) / MIB;
            let missed = if found > MEMORY { "  missed" } else { "" };
            let what = format!("MiB {kind} above idle, {name}");
            println!("{what:<40} {found:>9.1} {:>9}{missed}", format!("<= {MEMORY:.0}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_compare_rates() {
        let row = |group, name: &str, amount, wall_s: f64| {
            Row::new(group, name, amount, &json!({ "wall_s": wall_s }))
        };
        let rows = [
            row("import", "sha-256 in this program", 100, 1.0),
            row("import", "sha256sum", 100, 0.5),
            row("import", "r1fs", 100, 1.0),
            row("transfer", "r1fs", 100, 2.0),
            row("transfer", "rsync", 100, 1.0),
            row("small x1", "helia", 10, 1.0),
        ];
        assert_eq!(
            targets(&rows),
            [
                ("import, of sha256sum's speed".to_owned(), 0.5, 0.8),
                ("transfer, MiB/s".to_owned(), 50.0, 90.0),
                ("transfer, of rsync's speed".to_owned(), 0.5, 1.0),
            ]
        );
    }
}
