//! Contents in and out, with a bar on a terminal.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Read, Write},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};
use http_body_util::{StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;
/// Pieces that wait to be sent.
const WAITING: usize = 4;

/// A body that streams.
pub type Body = BoxBody<Bytes, io::Error>;

/// A bar, if a person watches.
pub fn bar(json: bool, length: Option<u64>) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, form) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{bar:30} {bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {bytes}  {binary_bytes_per_sec}",
        ),
    };
    bar.with_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A body of what a thread writes, which may fail.
pub fn body(bar: ProgressBar, write: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static) -> Body {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Frame<Bytes>>>(WAITING);
    thread::spawn(move || {
        let mut out = Sender { sender, bar };
        if let Err(error) = write(&mut out) {
            // r1d sees a body that breaks off, and stores nothing.
            let _ = out
                .sender
                .blocking_send(Err(io::Error::other(format!("{error:#}"))));
        }
    });
    BoxBody::new(StreamBody::new(futures::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx)
    })))
}

struct Sender {
    sender: mpsc::Sender<io::Result<Frame<Bytes>>>,
    bar: ProgressBar,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = bytes.len().min(PIECE);
        let piece = Frame::data(Bytes::copy_from_slice(&bytes[..now]));
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "r1d takes no more"))?;
        self.bar.inc(now as u64);
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies a reader to the end.
pub fn copy(mut from: impl Read, out: &mut dyn Write) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => out.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where a download goes: standard output, or a file that gets its name when it is whole.
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file under a temporary name beside its own.
    File {
        /// The open file.
        file: File,
        /// Its temporary name.
        temporary: PathBuf,
        /// Its own.
        path: PathBuf,
    },
}

impl Target {
    /// Opens a target; a file that is there is replaced only with `force`.
    pub fn open(path: &Path, force: bool) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if path.exists() && !force {
            bail!(
                "{}: is there already; name another with -o, or replace it with --force",
                path.display()
            );
        }
        let name = path
            .file_name()
            .ok_or_else(|| anyhow!("{}: is no file name", path.display()))?;
        let temporary =
            path.with_file_name(format!(".{}.part-{}", name.to_string_lossy(), std::process::id()));
        let file = File::create_new(&temporary).with_context(|| temporary.display().to_string())?;
        Ok(Self::File {
            file,
            temporary,
            path: path.to_owned(),
        })
    }

    /// Writes what came.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => Ok(io::stdout().write_all(bytes)?),
            Self::File { file, path, .. } => {
                file.write_all(bytes).with_context(|| path.display().to_string())
            }
        }
    }

    /// It is whole: durable, and under its own name.
    pub fn finish(mut self) -> Result<Option<PathBuf>> {
        let Self::File {
            file,
            temporary,
            path,
        } = &mut self
        else {
            io::stdout().flush()?;
            return Ok(None);
        };
        file.sync_all()?;
        fs::rename(&*temporary, &*path).with_context(|| path.display().to_string())?;
        Ok(Some(std::mem::take(path)))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { temporary, .. } = self {
            // Gone if it has got its own name.
            let _ = fs::remove_file(temporary);
        }
    }
}
