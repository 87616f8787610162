//! What goes wrong below, in the words of the front ends.

use crate::{
    Cid, api::FilesError, exchange::Missing, fetch::FetchError, seal::SealError, store::StoreError,
    unixfs::UnixfsError,
};

impl From<StoreError> for FilesError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Quota { asked, used, quota } => Self::Full {
                what: format!("{asked} bytes"),
                used,
                quota,
            },
            StoreError::DiskFull { .. } | StoreError::IndexFull { .. } => Self::NoSpace(error.to_string()),
            StoreError::Label { .. } | StoreError::Name { .. } => Self::Invalid(error.to_string()),
            error => Self::Fault(error.to_string()),
        }
    }
}

impl From<Missing> for FilesError {
    fn from(missing: Missing) -> Self {
        Self::NotFound {
            cid: missing.cid.to_string(),
            asked: missing.asked,
        }
    }
}

impl From<FetchError> for FilesError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Missing(missing) => missing.into(),
            FetchError::Store(error) => error.into(),
            error @ FetchError::Limit { .. } => Self::Invalid(error.to_string()),
        }
    }
}

impl From<UnixfsError> for FilesError {
    fn from(error: UnixfsError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// What opening an object failed with.
pub(super) fn sealed(cid: &Cid, error: &SealError) -> FilesError {
    match error {
        SealError::Header(why) => FilesError::Invalid(format!("{cid}: {why}")),
        _ => FilesError::Sealed { cid: cid.to_string() },
    }
}
