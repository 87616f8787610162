//! `r1-runc spec`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Request, build};
use crate::atomic_file;
use crate::error::{Error, Result, io};

/// Largest request.
const MAX_REQUEST_BYTES: u64 = 4 << 20;
const CONFIG: &str = "config.json";

/// Write the configuration of the default sandbox as config.json.
///
/// With --rootfs, a request (one JSON object) is read from standard input. Without, an example is written.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folder that gets config.json; standard output if absent and there is a request, else the current folder.
    #[arg(short, long)]
    bundle: Option<PathBuf>,
    /// The root file system.
    #[arg(long)]
    rootfs: Option<PathBuf>,
    /// File with the request; `-` is standard input.
    #[arg(long, requires = "rootfs")]
    json_request: Option<PathBuf>,
}

/// Writes it.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (request, rootfs) = match &options.rootfs {
        Some(rootfs) => {
            let request = read_request(options.json_request.as_deref())?;
            let rootfs = std::path::absolute(rootfs).map_err(io(format!("rootfs {}", rootfs.display())))?;
            (request, rootfs)
        }
        None => (Request::example(), PathBuf::from("rootfs")),
    };
    let config = build(&request, &rootfs)?;
    let mut text =
        serde_json::to_vec_pretty(&config).map_err(|e| Error::Refused(format!("{CONFIG}: {e}")))?;
    text.push(b'\n');
    match (&options.bundle, &options.rootfs) {
        (Some(bundle), _) => atomic_file::write(bundle, CONFIG, &text)?,
        (None, None) => atomic_file::write(Path::new("."), CONFIG, &text)?,
        (None, Some(_)) => std::io::stdout()
            .write_all(&text)
            .map_err(io("write to standard output"))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read_request(file: Option<&Path>) -> Result<Request> {
    let mut text = Vec::new();
    let input: Box<dyn Read> = match file.filter(|f| *f != Path::new("-")) {
        Some(path) => Box::new(std::fs::File::open(path).map_err(io(format!("open {}", path.display())))?),
        None => Box::new(std::io::stdin()),
    };
    input
        .take(MAX_REQUEST_BYTES)
        .read_to_end(&mut text)
        .map_err(io("read the request"))?;
    serde_json::from_slice(&text).map_err(|e| Error::Refused(format!("request: {e}")))
}
