//! YAML documents, as PyYAML writes and reads them.
//!
//! Scalars without quotes mean what they mean to PyYAML, that is YAML 1.1: `yes` is a truth, `010` is eight and
//! `1e5` a text. What is written here is quoted wherever any reader could see something else in it.

mod read;
mod scalar;
mod write;

pub use self::{read::from_bytes, write::to_bytes};

#[cfg(test)]
mod tests;
