//! What goes wrong with a local network.

use std::{io, path::PathBuf};

/// Why a local network could not be laid out, started, asked or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process runs a network in this folder.
    #[error(
        "{path}: another `up` runs a network in this folder (pid {pid}); stop it, or choose another --dir"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process.
        pid: String,
    },
    /// The folder is somebody else's: a new network would overwrite or share what is in it.
    #[error(
        "{path}: is in the way of a new network and was not made by one; nothing was touched: choose another --dir, \
         or move it away"
    )]
    Foreign {
        /// The first file or folder in the way.
        path: PathBuf,
    },
    /// The folder holds a network of another shape.
    #[error("{path}: holds a network with {found}, not {wanted}; choose another --dir, or remove it")]
    OtherShape {
        /// The folder.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// What a program printed is not what it should.
    #[error("{what}: {why}")]
    Output {
        /// Which program or call.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// A daemon ended or did not become ready.
    #[error("{name}: {why}; its log {log} ends with:\n{tail}")]
    Daemon {
        /// Node and program.
        name: String,
        /// What happened.
        why: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The node refused a call.
    #[error("{node}: {call}: {message}")]
    Refused {
        /// The node.
        node: String,
        /// The call.
        call: String,
        /// The node's words.
        message: String,
    },
}

/// Attaches a path to an I/O error.
pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { path, source }
}
