//! What was found: rows that agree and rows that do not.

use std::fmt::{Debug, Display};

use r1_core::{U256, parse_wei};
use serde_json::Value;

/// The outcome of one file.
#[derive(Debug, Default)]
pub struct Report {
    /// Rows that agree.
    pub passed: u64,
    /// Rows that do not, with what was expected and what came out.
    pub failures: Vec<String>,
}

impl Report {
    /// Counts a row that agrees.
    pub fn pass(&mut self) {
        self.passed += 1;
    }

    /// Counts a row that does not agree, or cannot be read.
    pub fn fail(&mut self, what: impl Display) {
        self.failures.push(what.to_string());
    }

    /// Counts a row by comparing what came out with what the contracts gave.
    pub fn equal<T: PartialEq + Debug>(&mut self, row: impl Display, ours: &T, theirs: &T) {
        if ours == theirs {
            self.pass();
        } else {
            self.fail(format!("{row}: {ours:?}, the contracts gave {theirs:?}"));
        }
    }

    /// Counts a row whose check returns an error where it disagrees or cannot be read.
    pub fn row(&mut self, row: impl Display, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.pass(),
            Err(why) => self.fail(format!("{row}: {why}")),
        }
    }
}

/// A field of an object.
///
/// # Errors
/// Names the field that is missing.
pub fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
    value
        .get(name)
        .ok_or_else(|| format!("field {name:?} is missing"))
}

/// A list.
///
/// # Errors
/// Says what is there instead.
pub fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{value} is not a list"))
}

/// A non-negative integer, written as a decimal string or a JSON number.
///
/// # Errors
/// Says what is there instead.
pub fn amount(value: &Value) -> Result<U256, String> {
    match value {
        Value::String(text) => parse_wei(text).map_err(|error| error.to_string()),
        Value::Number(number) => number
            .as_u64()
            .map(U256::from)
            .ok_or_else(|| format!("{number} is not a non-negative integer")),
        other => Err(format!("{other} is not an integer")),
    }
}

/// A non-negative integer below 2^64, written as a decimal string or a JSON number.
///
/// # Errors
/// Says what is there instead.
pub fn integer(value: &Value) -> Result<u64, String> {
    u64::try_from(amount(value)?).map_err(|_| format!("{value} is above 64 bits"))
}

/// The columns of a table whose rows are lists.
#[derive(Debug)]
pub struct Columns<'a>(Vec<&'a str>);

impl<'a> Columns<'a> {
    /// The columns that `columns` names.
    ///
    /// # Errors
    /// If there are none.
    pub fn of(value: &'a Value) -> Result<Self, String> {
        let names = list(field(value, "columns")?)?.iter().filter_map(Value::as_str);
        Ok(Self(names.collect()))
    }

    /// True if there is such a column.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// The value of a column.
    ///
    /// # Errors
    /// If the row has no such column.
    pub fn get<'v>(&self, row: &'v Value, name: &str) -> Result<&'v Value, String> {
        let index = self.0.iter().position(|column| *column == name);
        index
            .and_then(|index| row.get(index))
            .ok_or_else(|| format!("column {name:?} is missing"))
    }

    /// The value of a column of amounts.
    ///
    /// # Errors
    /// If the row has no such column, or something else in it.
    pub fn amount(&self, row: &Value, name: &str) -> Result<U256, String> {
        amount(self.get(row, name)?)
    }

    /// The value of a column of small numbers.
    ///
    /// # Errors
    /// If the row has no such column, or something else in it.
    pub fn integer(&self, row: &Value, name: &str) -> Result<u64, String> {
        integer(self.get(row, name)?)
    }
}
