//! The one error type of the contract, and its form on the wire: a D-Bus error name and the strings
//! (message, extra), where extra is the field of an invalid request or the remedy.

use zbus::{DBusError, Message, message::Header, names::ErrorName};

const PREFIX: &str = "org.ratio1.Host1.Error.";

/// Why r1-hostd did not do what it was asked for, or why it could not be asked. Each text names the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// A field of the request is outside its limits.
    #[error("{message}")]
    InvalidRequest {
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such container or image.
    #[error("{message}")]
    NotFound {
        /// What was not found.
        message: String,
        /// What an operator can do, empty if nothing.
        remedy: String,
    },
    /// The id is taken, or the container is in a state that does not allow this.
    #[error("{message}")]
    Conflict {
        /// What stands in the way.
        message: String,
    },
    /// This host cannot do it.
    #[error("{message}")]
    Unsupported {
        /// What it lacks.
        message: String,
        /// What an operator can do, empty if nothing.
        remedy: String,
    },
    /// A limit of the node is reached.
    #[error("{message}")]
    LimitReached {
        /// Which limit.
        message: String,
    },
    /// The state or run folder cannot be written or read.
    #[error("{message}")]
    Storage {
        /// The path and why.
        message: String,
        /// What an operator can do, empty if nothing.
        remedy: String,
    },
    /// It was tried and failed.
    #[error("{message}")]
    Failed {
        /// What failed.
        message: String,
    },
    /// r1-hostd cannot be reached; only a client reports this.
    #[error("{message}")]
    Disconnected {
        /// Which socket and why.
        message: String,
    },
    /// r1-hostd did not answer in time; only a client reports this.
    #[error("{message}")]
    Timeout {
        /// Which call.
        message: String,
    },
    /// The other side does not keep to the contract (another version, perhaps).
    #[error("{message}")]
    Contract {
        /// What was unexpected.
        message: String,
    },
}

impl HostError {
    /// A short stable word for the kind of error, e.g. `not_found`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "invalid_request",
            Self::NotFound { .. } => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::Unsupported { .. } => "unsupported",
            Self::LimitReached { .. } => "limit_reached",
            Self::Storage { .. } => "storage",
            Self::Failed { .. } => "failed",
            Self::Disconnected { .. } => "disconnected",
            Self::Timeout { .. } => "timeout",
            Self::Contract { .. } => "contract",
        }
    }

    /// What an operator can do about it, empty if nothing is known.
    pub fn remedy(&self) -> &str {
        match self {
            Self::NotFound { remedy, .. }
            | Self::Unsupported { remedy, .. }
            | Self::Storage { remedy, .. } => remedy,
            _ => "",
        }
    }

    /// A reply that is not what the contract says.
    pub(crate) fn contract(method: &str, error: impl std::fmt::Display) -> Self {
        Self::Contract {
            message: format!("{method}: {error}"),
        }
    }

    fn wire_name(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "org.ratio1.Host1.Error.InvalidRequest",
            Self::NotFound { .. } => "org.ratio1.Host1.Error.NotFound",
            Self::Conflict { .. } => "org.ratio1.Host1.Error.Conflict",
            Self::Unsupported { .. } => "org.ratio1.Host1.Error.Unsupported",
            Self::LimitReached { .. } => "org.ratio1.Host1.Error.LimitReached",
            Self::Storage { .. } => "org.ratio1.Host1.Error.Storage",
            Self::Disconnected { .. } | Self::Timeout { .. } | Self::Failed { .. } => {
                "org.ratio1.Host1.Error.Failed"
            }
            Self::Contract { .. } => "org.ratio1.Host1.Error.Contract",
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::InvalidRequest { message, .. }
            | Self::NotFound { message, .. }
            | Self::Conflict { message }
            | Self::Unsupported { message, .. }
            | Self::LimitReached { message }
            | Self::Storage { message, .. }
            | Self::Failed { message }
            | Self::Disconnected { message }
            | Self::Timeout { message }
            | Self::Contract { message } => message,
        }
    }

    fn extra(&self) -> &str {
        match self {
            Self::InvalidRequest { field, .. } => field,
            other => other.remedy(),
        }
    }

    fn from_wire(name: &str, message: String, extra: String) -> Self {
        match name.strip_prefix(PREFIX) {
            Some("InvalidRequest") => Self::InvalidRequest {
                field: extra,
                message,
            },
            Some("NotFound") => Self::NotFound {
                message,
                remedy: extra,
            },
            Some("Conflict") => Self::Conflict { message },
            Some("Unsupported") => Self::Unsupported {
                message,
                remedy: extra,
            },
            Some("LimitReached") => Self::LimitReached { message },
            Some("Storage") => Self::Storage {
                message,
                remedy: extra,
            },
            Some("Failed") => Self::Failed { message },
            _ => Self::Contract {
                message: format!("{name}: {message}"),
            },
        }
    }

    /// What a failed call of `method` means.
    pub(crate) fn of_call(method: &str, error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, text, reply) => {
                let body = reply.body();
                match body.deserialize::<(String, String)>() {
                    Ok((message, extra)) => Self::from_wire(&name, message, extra),
                    Err(_) => Self::from_wire(&name, text.unwrap_or_default(), String::new()),
                }
            }
            zbus::Error::InputOutput(io) if io.kind() == std::io::ErrorKind::TimedOut => Self::Timeout {
                message: format!("{method}: r1-hostd did not answer in time"),
            },
            other => Self::Disconnected {
                message: format!("{method}: {other}"),
            },
        }
    }
}

impl DBusError for HostError {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.wire_name())?.build(&(self.message(), self.extra()))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.wire_name())
    }

    fn description(&self) -> Option<&str> {
        Some(self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_reports_survives_the_wire() {
        let text = || "container \"a\": x".to_owned();
        for error in [
            HostError::InvalidRequest {
                field: "cpu".into(),
                message: text(),
            },
            HostError::NotFound {
                message: text(),
                remedy: "install it".into(),
            },
            HostError::Conflict { message: text() },
            HostError::Unsupported {
                message: text(),
                remedy: "run as root".into(),
            },
            HostError::LimitReached { message: text() },
            HostError::Storage {
                message: text(),
                remedy: String::new(),
            },
            HostError::Failed { message: text() },
        ] {
            let back = HostError::from_wire(&error.name(), error.message().into(), error.extra().into());
            assert_eq!(back, error);
        }
    }

    #[test]
    fn an_unknown_error_name_is_kept_in_the_text() {
        let error = HostError::from_wire(
            "org.freedesktop.DBus.Error.UnknownMethod",
            "Fly".into(),
            String::new(),
        );
        assert_eq!(error.to_string(), "org.freedesktop.DBus.Error.UnknownMethod: Fly");
    }
}
