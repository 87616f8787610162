//! Tables for people: columns as wide as their widest cell, numbers to the right.

/// Rows of equal length under a heading.
#[derive(Debug, Clone)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; a missing cell is empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.resize(self.heading.len(), String::new());
        self.rows.push(cells);
    }

    /// The lines, heading first, without trailing spaces.
    pub fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.chain([self.heading[column].len()]).max().unwrap_or(0)
            })
            .collect();
        let numeric: Vec<bool> = (0..self.heading.len())
            .map(|column| self.rows.iter().all(|row| is_number(&row[column])))
            .collect();
        let heading: Vec<String> = self.heading.iter().map(|name| (*name).to_owned()).collect();
        std::iter::once(&heading)
            .chain(&self.rows)
            .map(|row| line(row, &widths, &numeric))
            .collect()
    }
}

fn line(row: &[String], widths: &[usize], numeric: &[bool]) -> String {
    let cells = row
        .iter()
        .zip(widths)
        .zip(numeric)
        .map(|((cell, width), numeric)| {
            if *numeric {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty()
        && cell
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '/' | '%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "VALUE"]);
        table.row(["a".into(), "5".into()]);
        table.row(["longer".into(), "255".into()]);
        assert_eq!(table.lines(), ["NAME    VALUE", "a           5", "longer    255"]);
    }
}
