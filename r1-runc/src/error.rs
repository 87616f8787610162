//! The one error type of r1-runc: every variant is one line that names the object.

use std::io;

/// Why r1-runc could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call or file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation and its object.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The input was refused.
    #[error("{0}")]
    Refused(String),
    /// libcontainer could not do it.
    #[error("container {id}: {message}")]
    Container {
        /// The container's id.
        id: String,
        /// The chain of causes, outermost first.
        message: String,
    },
}

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Names the object of a failed I/O operation, for `map_err`.
pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// The same for nix's error numbers.
pub fn sys(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Error {
    let what = what.into();
    move |errno| Error::Io {
        what,
        source: errno.into(),
    }
}

/// A refusal with this reason.
pub fn refused<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Refused(reason.into()))
}

/// The whole chain of an error's causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line.replace('\n', " ")
}
