//! Adding: content in, sealed and cut into blocks on a thread of its own, then durable, then copied.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::{NodeFiles, label};
use crate::{
    Block, Cid,
    api::{Added, ByteStream, Caller, FilesError, SealOptions},
    seal::{
        Key, SealError, gcm, nonce,
        segments::{self, SEGMENTED_FROM, SegmentSealer},
    },
    store::{Batch, Pin, PinChange, StoreError},
    unixfs::{Imported, Importer, Nowhere, Profile, Sink},
};

/// Pieces of a content that wait for the thread that seals them.
const PIECES: usize = 4;

/// How a content becomes an object.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// Sealed.
    Sealed(SealOptions),
}

/// What an import came to.
pub(super) struct Made {
    pub(super) imported: Imported,
    pub(super) content: u64,
}

impl Sink for Batch {
    type Error = StoreError;

    fn block(&mut self, block: Block, links: &[Cid]) -> Result<(), StoreError> {
        self.put(&block, links).map(drop)
    }
}

/// What turns a content into the bytes that are cut.
enum Sealing {
    Plain,
    /// Too early to say which form it will be.
    Open(Vec<Bytes>, u64),
    Whole(Box<gcm::Sealer>),
    Segments(Box<SegmentSealer>),
}

/// Seals and cuts one content.
struct Maker {
    importer: Importer,
    sealing: Sealing,
    options: Option<(SealOptions, gcm::Nonce, segments::Salt)>,
    content: u64,
}

enum MakeError<E> {
    Sink(E),
    Seal(SealError),
    /// The content has another length than was said before it came, by which its form was chosen.
    Length(u64, (u64, u64)),
}

impl Maker {
    fn new(profile: Profile, form: Form, random: [u8; 44]) -> Self {
        let (sealing, options) = match form {
            Form::Plain => (Sealing::Plain, None),
            Form::Sealed(options) => {
                let (mut nonce, mut salt) = ([0; 12], [0; 32]);
                nonce.copy_from_slice(&random[..12]);
                salt.copy_from_slice(&random[12..]);
                if let Some(seed) = options.nonce {
                    nonce = nonce::from_integer(seed);
                    salt = segments::salt_from_integer(seed, &options.filename);
                }
                (Sealing::Open(Vec::new(), 0), Some((options, nonce, salt)))
            }
        };
        Self {
            importer: Importer::new(profile),
            sealing,
            options,
            content: 0,
        }
    }

    /// Decides on the form once the bounds of the length allow it.
    fn decide<S: Sink>(&mut self, end: bool, sink: &mut S) -> Result<(), MakeError<S::Error>> {
        let Sealing::Open(_, held) = &self.sealing else {
            return Ok(());
        };
        let Some((options, nonce, salt)) = &self.options else {
            return Ok(());
        };
        let (least, most) = options.length.unwrap_or((0, u64::MAX));
        let whole = end || most < SEGMENTED_FROM;
        if !whole && least.max(*held) < SEGMENTED_FROM {
            return Ok(());
        }
        let key = Key::of_secret(options.secret.as_deref());
        let (sealing, header) = if whole && *held < SEGMENTED_FROM {
            let (sealer, header) =
                gcm::Sealer::new(&key, *nonce, &options.filename).map_err(MakeError::Seal)?;
            (Sealing::Whole(Box::new(sealer)), header)
        } else {
            let (sealer, header) =
                SegmentSealer::new(&key, salt, &options.filename).map_err(MakeError::Seal)?;
            (Sealing::Segments(Box::new(sealer)), header)
        };
        let held = std::mem::replace(&mut self.sealing, sealing);
        self.importer.push(&header, sink).map_err(MakeError::Sink)?;
        if let Sealing::Open(pieces, _) = held {
            for piece in pieces {
                self.seal(piece, sink)?;
            }
        }
        Ok(())
    }

    fn push<S: Sink>(&mut self, piece: Bytes, sink: &mut S) -> Result<(), MakeError<S::Error>> {
        self.content += piece.len() as u64;
        self.decide(false, sink)?;
        self.seal(piece, sink)?;
        self.decide(false, sink)
    }

    fn seal<S: Sink>(&mut self, piece: Bytes, sink: &mut S) -> Result<(), MakeError<S::Error>> {
        let importer = &mut self.importer;
        match &mut self.sealing {
            Sealing::Plain => importer.push(&piece, sink).map_err(MakeError::Sink),
            Sealing::Open(pieces, held) => {
                *held += piece.len() as u64;
                pieces.push(piece);
                Ok(())
            }
            Sealing::Whole(sealer) => {
                let mut piece = BytesMut::from(piece);
                sealer.update(&mut piece).map_err(MakeError::Seal)?;
                importer.push(&piece, sink).map_err(MakeError::Sink)
            }
            Sealing::Segments(sealer) => {
                let mut failed = Ok(());
                let pushed = sealer.push(&piece, |segment| {
                    if failed.is_ok() {
                        failed = importer.push(&segment, sink);
                    }
                });
                pushed.map_err(MakeError::Seal)?;
                failed.map_err(MakeError::Sink)
            }
        }
    }

    fn finish<S: Sink>(mut self, sink: &mut S) -> Result<Made, MakeError<S::Error>> {
        let bounds = self.options.as_ref().and_then(|(options, ..)| options.length);
        if let Some((least, most)) = bounds.filter(|(least, most)| !(*least..=*most).contains(&self.content))
        {
            return Err(MakeError::Length(self.content, (least, most)));
        }
        self.decide(true, sink)?;
        let mut importer = self.importer;
        match self.sealing {
            Sealing::Plain | Sealing::Open(..) => {}
            Sealing::Whole(sealer) => importer.push(&sealer.finish(), sink).map_err(MakeError::Sink)?,
            Sealing::Segments(sealer) => importer.push(&sealer.finish(), sink).map_err(MakeError::Sink)?,
        }
        let imported = importer.finish(sink).map_err(MakeError::Sink)?;
        Ok(Made {
            imported,
            content: self.content,
        })
    }
}

impl<E: Into<FilesError>> From<MakeError<E>> for FilesError {
    fn from(error: MakeError<E>) -> Self {
        match error {
            MakeError::Sink(error) => error.into(),
            MakeError::Seal(error) => Self::Invalid(error.to_string()),
            MakeError::Length(found, (least, most)) => Self::Invalid(format!(
                "content: {found} bytes came, {least} to {most} were announced; nothing was stored"
            )),
        }
    }
}

impl From<Infallible> for FilesError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What the thread is sent: pieces, and at last the word that there are no more. Without that word it stores nothing.
enum Piece {
    More(Bytes),
    End,
}

impl NodeFiles {
    /// Adds a content and makes its copies.
    pub(super) async fn add_as(
        &self,
        caller: &Caller,
        form: Form,
        content: ByteStream,
    ) -> Result<Added, FilesError> {
        let made = self.import(form, content, Some(label(caller))).await?;
        let root = made.imported.cid;
        let copies = self.parts.replicas.added(&root, made.imported.cumulative).await?;
        Ok(Added {
            cid: root,
            size: made.content,
            replicas: copies.replicas,
            operators: copies.operators,
            wanted: copies.wanted,
        })
    }

    /// Imports a content; it is stored and pinned under a label, or with none only named.
    pub(super) async fn import(
        &self,
        form: Form,
        content: ByteStream,
        label: Option<String>,
    ) -> Result<Made, FilesError> {
        let (sender, receiver) = mpsc::channel(PIECES);
        let maker = Maker::new(self.options.profile, form, self.random());
        let files = self.clone();
        let thread = tokio::task::spawn_blocking(move || match label {
            Some(label) => files.store_from(maker, receiver, label),
            None => run(maker, receiver, &mut Nowhere),
        });
        let sent = self.send(content, &sender).await;
        drop(sender);
        let made = thread
            .await
            .map_err(|error| FilesError::Fault(error.to_string()))?;
        // A broken upload says more than what the thread made of it, and a refusing store more than a closed channel.
        match (sent, made) {
            (Err(broken @ (FilesError::BrokenOff { .. } | FilesError::Invalid(_))), _) => Err(broken),
            (_, Err(error)) => Err(error),
            (sent, Ok(made)) => sent.map(|()| made),
        }
    }

    async fn send(&self, mut content: ByteStream, pieces: &mpsc::Sender<Piece>) -> Result<(), FilesError> {
        let mut bytes = 0u64;
        let ended = || FilesError::Fault("the import ended early".into());
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|source| FilesError::BrokenOff { bytes, source })?;
            bytes += piece.len() as u64;
            if bytes > self.options.content {
                return Err(FilesError::Invalid(format!(
                    "content: more than {} bytes, the largest that is taken (r1fs.content)",
                    self.options.content
                )));
            }
            pieces.send(Piece::More(piece)).await.map_err(|_| ended())?;
        }
        pieces.send(Piece::End).await.map_err(|_| ended())
    }

    fn store_from(
        &self,
        maker: Maker,
        pieces: mpsc::Receiver<Piece>,
        label: String,
    ) -> Result<Made, FilesError> {
        let mut batch = self.parts.store.batch();
        let made = run(maker, pieces, &mut batch)?;
        let pin = PinChange {
            root: made.imported.cid,
            label,
            pin: Some(Pin {
                created_ms: (self.parts.clock)(),
                expires_ms: None,
            }),
        };
        batch.commit(vec![pin], vec![])?;
        Ok(made)
    }
}

fn run<S: Sink<Error: Into<FilesError>>>(
    mut maker: Maker,
    mut pieces: mpsc::Receiver<Piece>,
    sink: &mut S,
) -> Result<Made, FilesError> {
    loop {
        match pieces.blocking_recv() {
            Some(Piece::More(piece)) => maker.push(piece, sink)?,
            Some(Piece::End) => return Ok(maker.finish(sink)?),
            None => return Err(FilesError::Fault("the content broke off".into())),
        }
    }
}
