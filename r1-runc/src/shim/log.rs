//! The container's output as JSON lines of bounded length in a file of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;
use serde::Serialize;

use crate::error::{Result, io};

/// Longer lines are cut into several.
pub const MAX_LINE_BYTES: usize = 16 << 10;
/// Smallest file worth rotating.
const MIN_FILE_BYTES: u64 = 64 << 10;

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and gives each complete line.
    pub fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES - self.pending.len();
            let window = &bytes[..bytes.len().min(room)];
            match window.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    self.pending.extend_from_slice(&window[..end]);
                    emit(&self.pending);
                    self.pending.clear();
                    bytes = &bytes[end + 1..];
                }
                None => {
                    self.pending.extend_from_slice(window);
                    bytes = &bytes[window.len()..];
                    if self.pending.len() == MAX_LINE_BYTES {
                        emit(&self.pending);
                        self.pending.clear();
                    }
                }
            }
        }
    }

    /// Gives the last line if it did not end with a newline.
    pub fn finish(&mut self, mut emit: impl FnMut(&[u8])) {
        if !self.pending.is_empty() {
            emit(&self.pending);
            self.pending.clear();
        }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    t: u64,
    s: &'a str,
    m: &'a str,
}

/// `{"t":unix_ms,"s":stream,"m":text}` and a newline.
pub fn encode(into: &mut Vec<u8>, time_ms: u64, stream: &str, line: &[u8]) {
    let record = Record {
        t: time_ms,
        s: stream,
        m: &String::from_utf8_lossy(line),
    };
    // A number and two strings always encode.
    let _ = serde_json::to_writer(&mut *into, &record);
    into.push(b'\n');
}

/// The file `log`, rotated to `log.1`.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    rotated: PathBuf,
    file: File,
    size: u64,
    max: u64,
}

impl LogFile {
    /// Opens or creates it in the container's folder.
    pub fn open(dir: &Path, max: u64) -> Result<LogFile> {
        let path = dir.join("log");
        let file = open(&path)?;
        let size = file
            .metadata()
            .map_err(io(format!("stat {}", path.display())))?
            .len();
        Ok(LogFile {
            rotated: dir.join("log.1"),
            path,
            file,
            size,
            max: max.max(MIN_FILE_BYTES),
        })
    }

    /// Appends whole lines.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.max {
            fs::rename(&self.path, &self.rotated).map_err(io(format!("rotate {}", self.path.display())))?;
            self.file = open(&self.path)?;
            self.size = 0;
        }
        self.file
            .write_all(bytes)
            .map_err(io(format!("write {}", self.path.display())))?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(io(format!("open {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |l| out.push(l.to_vec()));
        }
        lines.finish(|l| out.push(l.to_vec()));
        out
    }

    #[test]
    fn lines_over_several_reads() {
        assert_eq!(
            split(&[b"a", b"b\n\nc", b"d"]),
            [b"ab".to_vec(), b"".to_vec(), b"cd".to_vec()]
        );
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn long_lines_are_cut() {
        let long = vec![b'x'; MAX_LINE_BYTES * 2 + 5];
        let lengths: Vec<usize> = split(&[&long, b"\ny"]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, MAX_LINE_BYTES, 5, 1]);
    }

    #[test]
    fn any_bytes_become_json() {
        let mut out = Vec::new();
        encode(&mut out, 7, "stderr", b"\xff\"\x1b");
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["t"], 7);
        assert_eq!(value["m"], "\u{fffd}\"\u{1b}");
    }

    #[test]
    fn rotation_keeps_one_older_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), 1).unwrap();
        let block = vec![b'a'; 40 << 10];
        for _ in 0..3 {
            log.append(&block).unwrap();
        }
        assert_eq!(fs::metadata(dir.path().join("log")).unwrap().len(), 40 << 10);
        assert_eq!(fs::metadata(dir.path().join("log.1")).unwrap().len(), 40 << 10);
    }
}
