//! A folder as a CAR archive: cut into blocks here, so that it streams to r1d in one go.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use r1_r1fs::{
    Block, Cid, car,
    unixfs::{Entry, Imported, Importer, Nowhere, Profile, Sink, directory},
};

/// Deepest folder.
const MAX_DEPTH: usize = 64;
/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// Writes blocks into an archive.
struct Archive<'w>(car::Writer<&'w mut dyn Write>);

impl Sink for Archive<'_> {
    type Error = io::Error;

    fn block(&mut self, block: Block, _: &[Cid]) -> io::Result<()> {
        self.0.block(&block.cid, &block.data)
    }
}

/// The root of a folder, and bytes of its files. An archive names its root first, so a folder is read twice.
pub fn measure(path: &Path) -> Result<(Cid, u64)> {
    let (mut sink, mut bytes) = (Nowhere, 0);
    let made = import(path, &mut sink, &mut bytes, 0)?;
    Ok((made.cid, bytes))
}

/// Writes a folder as an archive.
///
/// # Errors
/// What cannot be read, by path; a folder that was changed since it was measured.
pub fn write(path: &Path, root: Cid, out: &mut dyn Write) -> Result<()> {
    let mut archive = Archive(car::Writer::new(out, &[root])?);
    let made = import(path, &mut archive, &mut 0, 0)?;
    if made.cid != root {
        bail!("{}: was changed while it was added", path.display());
    }
    Ok(())
}

fn import<S>(path: &Path, sink: &mut S, bytes: &mut u64, depth: usize) -> Result<Imported>
where
    S: Sink,
    S::Error: Into<anyhow::Error> + std::fmt::Display,
{
    if depth > MAX_DEPTH {
        bail!("{}: more than {MAX_DEPTH} folders deep", path.display());
    }
    let kind = fs::symlink_metadata(path)
        .with_context(|| path.display().to_string())?
        .file_type();
    if kind.is_file() {
        return file(path, sink, bytes);
    }
    if !kind.is_dir() {
        bail!(
            "{}: is neither a file nor a folder; links are not followed",
            path.display()
        );
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| anyhow::anyhow!("{}: {name:?} is not UTF-8", path.display()))?;
        let made = import(&entry.path(), sink, bytes, depth + 1)?;
        entries.push(Entry {
            name,
            cid: made.cid,
            tsize: made.cumulative,
        });
    }
    let made = directory(true, entries, sink);
    made.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

fn file<S>(path: &Path, sink: &mut S, bytes: &mut u64) -> Result<Imported>
where
    S: Sink,
    S::Error: Into<anyhow::Error>,
{
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut importer = Importer::new(Profile::KUBO);
    let mut piece = vec![0; PIECE];
    loop {
        let count = file
            .read(&mut piece)
            .with_context(|| path.display().to_string())?;
        if count == 0 {
            return importer.finish(sink).map_err(Into::into);
        }
        *bytes += count as u64;
        importer.push(&piece[..count], sink).map_err(Into::into)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_an_archive_of_its_known_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/hello.txt"), "hello world\n").unwrap();
        let (root, bytes) = measure(dir.path()).unwrap();
        assert_eq!(bytes, 12);
        let mut out = Vec::new();
        write(dir.path(), root, &mut out).unwrap();
        let mut decoder = car::Decoder::default();
        decoder.feed(&out);
        let mut names = Vec::new();
        while let Some(block) = decoder.next_block().unwrap() {
            names.push(block.cid.to_string());
        }
        assert_eq!(decoder.finish().unwrap(), [root]);
        assert_eq!(names[0], "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o");
        assert_eq!((names.len(), names.last()), (3, Some(&root.to_string())));
        fs::write(dir.path().join("sub/hello.txt"), "other").unwrap();
        assert!(
            write(dir.path(), root, &mut Vec::new())
                .unwrap_err()
                .to_string()
                .contains("changed")
        );
    }

    #[test]
    fn links_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let error = measure(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("link") && error.contains("not followed"),
            "{error}"
        );
    }
}
