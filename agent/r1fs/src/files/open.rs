//! Opening sealed objects: nothing is given out before it was found authentic.

use std::ops::Range;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::{
    NodeFiles,
    add::Form as AddForm,
    error::sealed,
    label,
    read::{Reading, broken, stream},
};
use crate::{
    Cid, Files,
    api::{Added, ByteStream, Caller, DeleteOptions, FilesError, Identity, Opened, SealOptions},
    fetch::{self, FetchError},
    seal::{Form, Key, SealError, gcm, segments},
    store::PinChange,
    unixfs::{Listing, UnixfsError},
};

/// Objects up to this size are opened in memory, in one pass.
const IN_MEMORY: u64 = 4 << 20;

impl NodeFiles {
    /// The file itself, or the only file of a directory: what upstream's `add` names.
    pub(super) async fn file_of(&self, cid: &Cid) -> Result<Cid, FilesError> {
        let source = self.source(cid);
        let mut listing = Listing::new(*cid);
        let block = source.get(cid).await?;
        match listing.feed(cid, &block) {
            Err(UnixfsError::NotDirectory { .. }) => return Ok(*cid),
            fed => fed?,
        }
        while let Some(next) = listing.wanted(1).first().copied() {
            let block = source.get(&next).await?;
            listing.feed(&next, &block)?;
        }
        match (listing.next_entry(), listing.next_entry()) {
            (Some(entry), None) => Ok(entry.cid),
            (first, _) => Err(FilesError::Invalid(format!(
                "{cid}: a directory of {} entries; a file, or a directory of one, is needed",
                if first.is_some() { "several" } else { "no" }
            ))),
        }
    }

    async fn open_sealed(
        &self,
        cid: &Cid,
        key: &Key,
        range: Option<Range<u64>>,
    ) -> Result<Opened, FilesError> {
        let file = self.file_of(cid).await?;
        let first = Reading::begin(self.source(&file), &file, Some(0..segments::HEADER as u64)).await?;
        let size = first.size();
        let first = first.collect().await?;
        let refused = |error: SealError| sealed(cid, &error);
        let form = first.first_chunk().map(Form::of);
        match form {
            None => Err(FilesError::Sealed { cid: cid.to_string() }),
            Some(Form::Segments) => {
                let header = first
                    .first_chunk()
                    .ok_or_else(|| FilesError::Sealed { cid: cid.to_string() })?;
                let probe = segments::Probe::new(key, header, size).map_err(refused)?;
                self.open_segments(cid, &file, probe, range).await
            }
            Some(Form::Whole) => {
                let header = first
                    .first_chunk()
                    .ok_or_else(|| FilesError::Sealed { cid: cid.to_string() })?;
                let check = gcm::TagCheck::new(key, header, size).map_err(refused)?;
                self.open_whole(cid, &file, check, size, range).await
            }
        }
    }

    async fn open_whole(
        &self,
        cid: &Cid,
        file: &Cid,
        mut check: gcm::TagCheck,
        size: u64,
        range: Option<Range<u64>>,
    ) -> Result<Opened, FilesError> {
        if size > IN_MEMORY {
            self.bring(file).await?;
        }
        let body = gcm::HEADER as u64..size;
        let refused = |error: SealError| sealed(cid, &error);
        let mut reading = Reading::begin(self.source(file), file, Some(body)).await?;
        let mut held = (size <= IN_MEMORY).then(BytesMut::new);
        while let Some(bytes) = reading.next().await? {
            check.feed(&bytes).map_err(refused)?;
            if let Some(held) = &mut held {
                held.extend_from_slice(&bytes);
            }
        }
        let opener = check.finish().map_err(refused)?;
        let range = clamp(range, opener.size());
        let place = opener.object_range(range.clone());
        let (filename, size) = (opener.filename().to_owned(), opener.size());
        let content: ByteStream = match held {
            Some(held) => {
                let index = |at: u64| usize::try_from(at - gcm::HEADER as u64).unwrap_or(usize::MAX);
                let mut part = BytesMut::from(&held[index(place.start)..index(place.end)]);
                opener.decrypt(range.start, &mut part);
                futures::stream::iter([Ok(part.freeze())]).boxed()
            }
            None => {
                let reading = Reading::begin(self.source(file), file, Some(place)).await?;
                stream(reading, move |at, bytes| {
                    let mut bytes = BytesMut::from(bytes);
                    opener.decrypt(range.start + at, &mut bytes);
                    bytes.freeze()
                })
            }
        };
        Ok(Opened {
            filename,
            size,
            content,
        })
    }

    /// Brings all of an object here, since it is read twice. A node that is full reads it from its peers twice instead.
    async fn bring(&self, file: &Cid) -> Result<(), FilesError> {
        let session = self.parts.exchange.session(file).await;
        let (store, limits) = (&self.parts.store, self.options.fetch);
        match fetch::fetch(store, &session, file, limits, vec![], vec![], |_| {}).await {
            Err(FetchError::Store(error)) => {
                tracing::warn!(%file, %error, "an object that is read cannot be kept here");
                Ok(())
            }
            fetched => Ok(fetched.map(drop)?),
        }
    }

    async fn open_segments(
        &self,
        cid: &Cid,
        file: &Cid,
        probe: segments::Probe,
        range: Option<Range<u64>>,
    ) -> Result<Opened, FilesError> {
        let read = async |place: Range<u64>| -> Result<Vec<u8>, FilesError> {
            Reading::begin(self.source(file), file, Some(place))
                .await?
                .collect()
                .await
        };
        let (first, last) = (read(probe.first()).await?, read(probe.last()).await?);
        let reader = probe.finish(&first, &last).map_err(|error| sealed(cid, &error))?;
        let range = clamp(range, reader.size());
        let segments = reader.segments(range.clone());
        let (filename, size) = (reader.filename().to_owned(), reader.size());
        if segments.is_empty() {
            let content = futures::stream::empty().boxed();
            return Ok(Opened {
                filename,
                size,
                content,
            });
        }
        let place = reader.object_range(segments.start).start..reader.object_range(segments.end - 1).end;
        let reading = Reading::begin(self.source(file), file, Some(place)).await?;
        let state = (reading, reader, segments, BytesMut::new(), range, *cid);
        let content = futures::stream::try_unfold(
            state,
            |(mut reading, reader, mut segments, mut held, range, cid)| async move {
                let Some(number) = segments.next() else {
                    return Ok(None);
                };
                let place = reader.object_range(number);
                let length = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
                while held.len() < length {
                    let more = reading.next().await.map_err(broken)?;
                    let more: Bytes =
                        more.ok_or_else(|| broken(FilesError::Sealed { cid: cid.to_string() }))?;
                    held.extend_from_slice(&more);
                }
                let opened = reader.open(number, held.split_to(length), &range);
                let opened = opened.map_err(|error| broken(sealed(&cid, &error)))?;
                Ok(Some((opened, (reading, reader, segments, held, range, cid))))
            },
        );
        Ok(Opened {
            filename,
            size,
            content: content.boxed(),
        })
    }
}

fn clamp(range: Option<Range<u64>>, size: u64) -> Range<u64> {
    let range = range.unwrap_or(0..size);
    let end = range.end.min(size);
    range.start.min(end)..end
}

#[async_trait]
impl Files for NodeFiles {
    async fn add(
        &self,
        caller: &Caller,
        options: SealOptions,
        content: ByteStream,
    ) -> Result<Added, FilesError> {
        self.add_as(caller, AddForm::Sealed(options), content).await
    }

    async fn calculate(&self, options: SealOptions, content: ByteStream) -> Result<Cid, FilesError> {
        let made = self.import(AddForm::Sealed(options), content, None).await?;
        Ok(made.imported.cid)
    }

    async fn open(
        &self,
        _caller: &Caller,
        cid: &Cid,
        secret: Option<&str>,
        range: Option<Range<u64>>,
    ) -> Result<Opened, FilesError> {
        self.open_sealed(cid, &Key::of_secret(secret), range).await
    }

    async fn delete(&self, caller: &Caller, cid: &Cid, options: DeleteOptions) -> Result<(), FilesError> {
        let change = PinChange {
            root: *cid,
            label: label(caller),
            pin: None,
        };
        self.blocking(move |files| Ok(files.parts.store.change(vec![change], vec![])?))
            .await?;
        if options.unpin_remote {
            self.parts.replicas.released(cid).await?;
        }
        if options.run_gc {
            self.collect(Some(std::time::Duration::ZERO)).await?;
        }
        Ok(())
    }

    async fn identity(&self) -> Identity {
        (self.parts.identity)()
    }
}
