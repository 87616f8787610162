//! Documents as the bytes of files: what the add_json, add_pickle and add_yaml calls store.
//!
//! [`json`] and [`pickle`] give the bytes that upstream gives, so that a reproducible object has the same name on
//! both. [`yaml`] gives bytes that upstream reads as the same value, and reads what upstream writes.

pub mod json;
pub mod pickle;
pub mod yaml;

/// The name of a JSON document that was added without one (upstream's).
pub const DEFAULT_JSON_NAME: &str = "data.json";
/// Most bytes of a document: 64 MiB. Larger contents are files.
pub const MAX_DOCUMENT: usize = 64 << 20;
/// Deepest nesting; the outermost object is 1.
pub const MAX_DEPTH: usize = 128;

/// Why a value cannot be a document, or bytes are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The document would be too long.
    #[error("document: more than {MAX_DOCUMENT} bytes")]
    TooLong,
    /// It is nested too deeply.
    #[error("document: nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A YAML document that is none, or says what JSON cannot.
    #[error("yaml document, line {line}: {reason}")]
    Yaml {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}
