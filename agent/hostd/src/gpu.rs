//! GPUs through NVML, whose library comes with the driver and is opened at run time.

use std::{ffi::OsStr, time::Duration};

use nvml_wrapper::{Nvml, error::NvmlError};
use r1_host_api::GpuFacts;

/// The driver's library carries its version; the plain name belongs to development packages.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// A sick GPU can hold a call for long; the facts do not wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The GPUs of the machine, or why there are none.
#[derive(Debug, Clone)]
pub struct Gpus {
    /// What NVML shows.
    pub found: Vec<GpuFacts>,
    /// Why `found` is empty, if it is.
    pub reason: Option<String>,
}

/// Asks NVML on a thread of its own, and gives up waiting after five seconds.
pub async fn look() -> Gpus {
    let none = |reason: String| Gpus {
        found: Vec::new(),
        reason: Some(reason),
    };
    match tokio::time::timeout(TIMEOUT, tokio::task::spawn_blocking(ask)).await {
        Ok(Ok(Ok(found))) if found.is_empty() => none("the NVIDIA driver shows no GPU".into()),
        Ok(Ok(Ok(found))) => Gpus { found, reason: None },
        Ok(Ok(Err(NvmlError::LibloadingError(_)))) => {
            none(format!("{LIBRARY} is not installed (no NVIDIA driver)"))
        }
        Ok(Ok(Err(error))) => none(format!("NVML: {error}")),
        Ok(Err(error)) => none(format!("NVML: {error}")),
        Err(_) => none(format!("NVML: no answer within {TIMEOUT:?}")),
    }
}

fn ask() -> Result<Vec<GpuFacts>, NvmlError> {
    let nvml = Nvml::builder().lib_path(OsStr::new(LIBRARY)).init()?;
    let count = nvml.device_count()?;
    let facts = |index| {
        let device = nvml.device_by_index(index)?;
        let memory_bytes = device.memory_info()?.total;
        Ok(GpuFacts {
            name: device.name()?,
            uuid: device.uuid()?,
            memory_bytes,
        })
    };
    (0..count).map(facts).collect()
}
