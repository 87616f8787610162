//! What members ask each other about copies: a version byte, then postcard.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    record::{Record, RecordError, Tombstone},
    wire,
};
use crate::Cid;

/// Longest message, bytes.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Version of the messages, their first byte.
pub const VERSION: u8 = 1;
/// Most objects in one question.
pub const MAX_ROOTS: usize = 4096;
/// Longest reason of a refusal, bytes.
pub const MAX_REASON: usize = 200;
/// Largest object, bytes, whose blocks travel with the request to store it.
pub const MAX_INLINE_OBJECT: u64 = 1 << 20;
/// Longest CAR in a request, bytes: such an object, its names and frames.
pub const MAX_CAR: usize = 3 << 20;

/// What a member asks of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Keep a share of an object. Answers: [`Answer::Stored`], [`Answer::Fetching`], [`Answer::Refused`],
    /// [`Answer::Deleted`].
    Store {
        /// The object.
        record: Record,
        /// Which piece; `None` for a whole copy.
        piece: Option<u8>,
        /// The blocks (CARv1) of an object of at most [`MAX_INLINE_OBJECT`]; otherwise they are to be fetched.
        #[serde(with = "wire::optional_bytes")]
        car: Option<Bytes>,
    },
    /// Say what you have of these objects. Answer: [`Answer::Holdings`].
    Have {
        /// The objects, at most [`MAX_ROOTS`].
        #[serde(
            serialize_with = "wire::names::serialize",
            deserialize_with = "wire::names::deserialize::<_, MAX_ROOTS>"
        )]
        roots: Vec<Cid>,
        /// The asker wants to drop its own shares if you have yours: a yes is a promise to keep them for a while.
        promise: bool,
    },
    /// Let go of a deleted object. Answer: [`Answer::Done`].
    Release {
        /// The owner's word.
        tombstone: Tombstone,
    },
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The share is durable here.
    Stored,
    /// The share is being fetched; ask again.
    Fetching {
        /// Bytes that are here already.
        bytes_here: u64,
    },
    /// The share is not taken.
    Refused {
        /// Why, at most [`MAX_REASON`] bytes.
        reason: String,
        /// There is no room: asking again makes no sense before this member announces some.
        full: bool,
    },
    /// The object was deleted.
    Deleted(Tombstone),
    /// What is here of the objects asked for.
    Holdings {
        /// One entry for each object, in the order of the question.
        #[serde(deserialize_with = "wire::list::deserialize::<_, _, MAX_ROOTS>")]
        held: Vec<Holding>,
        /// Those of them that were deleted.
        #[serde(deserialize_with = "wire::list::deserialize::<_, _, MAX_ROOTS>")]
        tombstones: Vec<Tombstone>,
    },
    /// Done.
    Done,
}

/// What a member has of one object, as bits: whole, pinned, pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holding(u64);

impl Holding {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A whole copy.
    pub const WHOLE: Self = Self(1);
    const PINNED: u64 = 2;
    const FIRST_PIECE: u32 = 2;

    /// A share: a piece, or a whole copy for `None`. Pieces beyond [`MAX_PIECES`](super::MAX_PIECES) are none.
    pub fn share(piece: Option<u8>) -> Self {
        match piece {
            None => Self::WHOLE,
            Some(piece) if piece < super::MAX_PIECES => Self(1 << (u32::from(piece) + Self::FIRST_PIECE)),
            Some(_) => Self::NONE,
        }
    }

    /// This and that.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without that.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The same, pinned by the node itself: it will not let go of it.
    #[must_use]
    pub fn pinned(self, pinned: bool) -> Self {
        Self(if pinned {
            self.0 | Self::PINNED
        } else {
            self.0 & !Self::PINNED
        })
    }

    /// Whether the node itself pins what it has.
    pub fn is_pinned(self) -> bool {
        self.0 & Self::PINNED != 0 && !self.is_empty()
    }

    /// Whether a share is here.
    pub fn has(self, piece: Option<u8>) -> bool {
        self.0 & Self::share(piece).0 != 0
    }

    /// Whether nothing is here.
    pub fn is_empty(self) -> bool {
        self.0 & !Self::PINNED == 0
    }

    /// The pieces that are here, ascending.
    pub fn pieces(self) -> impl Iterator<Item = u8> {
        (0..super::MAX_PIECES).filter(move |piece| self.has(Some(*piece)))
    }
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Too long.
    #[error("message of {bytes} bytes: at most {MAX_MESSAGE} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Another version, or nothing at all.
    #[error("message of version {0:?}: this node speaks version {VERSION}")]
    Version(Option<u8>),
    /// Cut, garbled, or with bytes behind it.
    #[error("message cannot be read: {0}")]
    Malformed(String),
    /// A record that cannot be.
    #[error("message: {0}")]
    Record(#[from] RecordError),
    /// A part is longer than allowed.
    #[error("message: {what} of {bytes} bytes, at most {most} are allowed")]
    Part {
        /// The part.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
}

impl Request {
    /// As bytes.
    ///
    /// # Errors
    /// [`MessageError`] if the message breaks one of the limits.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        self.check()?;
        encode(self)
    }

    /// From bytes, which may be hostile.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let request: Self = decode(bytes)?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), MessageError> {
        match self {
            Self::Store { record, piece, car } => {
                record.check_share(*piece)?;
                within("CAR", car.as_ref().map_or(0, Bytes::len), MAX_CAR)
            }
            Self::Have { roots, .. } => within("question", roots.len(), MAX_ROOTS),
            Self::Release { .. } => Ok(()),
        }
    }
}

impl Answer {
    /// A refusal; a reason that is too long is cut.
    pub fn refused(reason: impl Into<String>, full: bool) -> Self {
        let mut reason = reason.into();
        let end = (0..=MAX_REASON)
            .rev()
            .find(|end| reason.is_char_boundary(*end))
            .unwrap_or(0);
        if reason.len() > MAX_REASON {
            reason.truncate(end);
        }
        Self::Refused { reason, full }
    }

    /// As bytes.
    ///
    /// # Errors
    /// [`MessageError`] if the message breaks one of the limits.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        self.check()?;
        encode(self)
    }

    /// From bytes, which may be hostile. Signatures are not checked here.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let answer: Self = decode(bytes)?;
        answer.check()?;
        Ok(answer)
    }

    fn check(&self) -> Result<(), MessageError> {
        match self {
            Self::Refused { reason, .. } => within("reason", reason.len(), MAX_REASON),
            Self::Holdings { held, tombstones } => {
                within("list of holdings", held.len(), MAX_ROOTS)?;
                within("list of tombstones", tombstones.len(), held.len())
            }
            _ => Ok(()),
        }
    }
}

fn within(what: &'static str, bytes: usize, most: usize) -> Result<(), MessageError> {
    if bytes > most {
        Err(MessageError::Part { what, bytes, most })
    } else {
        Ok(())
    }
}

fn encode(message: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    let bytes = postcard::to_extend(message, vec![VERSION])
        .map_err(|error| MessageError::Malformed(error.to_string()))?;
    if bytes.len() > MAX_MESSAGE {
        return Err(MessageError::TooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, MessageError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(MessageError::TooLong { bytes: bytes.len() });
    }
    let Some((&VERSION, body)) = bytes.split_first() else {
        return Err(MessageError::Version(bytes.first().copied()));
    };
    let (message, rest) =
        postcard::take_from_bytes(body).map_err(|error| MessageError::Malformed(error.to_string()))?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(MessageError::Malformed(format!(
            "{} bytes behind its end",
            rest.len()
        )))
    }
}

#[cfg(test)]
mod tests;
