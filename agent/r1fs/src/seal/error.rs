//! Why an object cannot be sealed or opened.

/// Why an object cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The tag does not fit: another secret, or bytes that were changed.
    #[error("sealed object: wrong secret, or its bytes were changed")]
    Refused,
    /// It is shorter than any object of its form.
    #[error("sealed object: {bytes} bytes, at least {least} are needed")]
    TooShort {
        /// Its size.
        bytes: u64,
        /// The size of an empty one.
        least: u64,
    },
    /// It is longer than its form allows.
    #[error("sealed object: more than {most} bytes")]
    TooLong {
        /// The size allowed.
        most: u64,
    },
    /// The length of the metadata makes no sense.
    #[error("sealed object: metadata of {bytes} bytes, at most {most} are possible")]
    MetaLength {
        /// The length that the header names.
        bytes: u32,
        /// The length possible here.
        most: u64,
    },
    /// The metadata is no JSON object with a file name.
    #[error("sealed object: its metadata is no json object with a file name")]
    Meta,
    /// The header is not one that this version reads.
    #[error("sealed object: {0}")]
    Header(String),
    /// The name cannot be that of a file.
    #[error("file name {name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}
