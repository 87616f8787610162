//! Reading the end of a container's log files.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use r1_host_api::{LogLine, MAX_LOG_REPLY_BYTES};

use crate::storage::{StorageError, at};

/// Most bytes of log that are kept with the record of a container that ended.
pub(super) const KEPT: u64 = 256 * 1024;

/// The last `lines` lines of files given oldest first. Lines that are not understood (a line being written right
/// now, say) are left out.
pub(super) fn tail(files: &[PathBuf], lines: usize) -> Result<Vec<LogLine>, StorageError> {
    let mut found: Vec<LogLine> = Vec::new();
    let mut room = MAX_LOG_REPLY_BYTES as u64;
    for path in files.iter().rev() {
        let text = end_of(path, room)?;
        room -= text.len() as u64;
        let text = String::from_utf8_lossy(&text);
        let parsed = text
            .lines()
            .rev()
            .filter_map(|line| serde_json::from_str(line).ok());
        found.extend(parsed.take(lines - found.len()));
        if found.len() == lines || room == 0 {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

/// The last whole lines of files given oldest first, at most `limit` bytes.
pub(super) fn end(files: &[PathBuf], limit: u64) -> Result<Vec<u8>, StorageError> {
    let mut parts = Vec::new();
    let mut room = limit;
    for path in files.iter().rev() {
        let part = end_of(path, room)?;
        room -= part.len() as u64;
        parts.push(part);
    }
    parts.reverse();
    Ok(parts.concat())
}

/// The last whole lines of a file, at most `limit` bytes; nothing if it is not there.
fn end_of(path: &Path, limit: u64) -> Result<Vec<u8>, StorageError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(at("open", path))?,
    };
    let length = file.metadata().map_err(at("read", path))?.len();
    let skipped = length.saturating_sub(limit);
    file.seek(SeekFrom::Start(skipped)).map_err(at("read", path))?;
    let mut text = Vec::new();
    file.take(limit)
        .read_to_end(&mut text)
        .map_err(at("read", path))?;
    if skipped > 0 {
        // The first line may be cut: start after its end.
        let first_end = text
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(text.len(), |index| index + 1);
        text.drain(..first_end);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_spans_files_and_skips_what_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let files = vec![folder.path().join("log.1"), folder.path().join("log")];
        let line = |n: u32| format!("{{\"t\":{n},\"s\":\"stdout\",\"m\":\"line {n}\"}}\n");
        std::fs::write(&files[0], (0..3).map(line).collect::<String>()).unwrap();
        std::fs::write(
            &files[1],
            (3..5).map(line).collect::<String>() + "{\"t\":5,\"s\":\"st",
        )
        .unwrap();
        let times = |lines| {
            tail(&files, lines)
                .unwrap()
                .iter()
                .map(|line| line.t)
                .collect::<Vec<_>>()
        };
        assert_eq!(times(3), [2, 3, 4]);
        assert_eq!(times(100), [0, 1, 2, 3, 4]);
        assert_eq!(tail(&[folder.path().join("none")], 5).unwrap(), []);
        let cut = end(&files[..1], 45).unwrap();
        assert_eq!(String::from_utf8(cut).unwrap(), line(2));
    }
}
