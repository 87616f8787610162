//! Sealed objects, of strangers and our own: nothing panics, what was sealed opens to what it was, and nothing opens
//! of which a byte was changed, cut off or appended.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use r1_r1fs::seal::{
    Form, Key, SealError,
    gcm::{Opener, Sealer, TagCheck},
    name, nonce,
    segments::{self, Probe, SegmentSealer},
};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// An object as it comes, with its length, and the size of the pieces in which it comes.
    Stranger {
        object: &'a [u8],
        length: u64,
        piece: u8,
    },
    /// The same with a header that passes for segments.
    Segmented {
        segment: u32,
        meta: u32,
        body: &'a [u8],
        length: u64,
    },
    /// Metadata behind the encryption.
    Meta(&'a [u8]),
    /// An object of ours.
    Ours {
        seed: i64,
        name: &'a str,
        content: &'a [u8],
        repeat: u16,
        segments: bool,
        change: Option<Change>,
    },
}

#[derive(Debug, Arbitrary)]
enum Change {
    Byte { place: u32, by: u8 },
    Cut(u32),
    Append(u8),
}

impl Change {
    /// Whether the object is another one afterwards.
    fn apply(&self, object: &mut Vec<u8>) -> bool {
        match *self {
            Self::Byte { place, by } => {
                let place = place as usize % object.len();
                object[place] ^= by;
                by != 0
            }
            Self::Cut(length) => {
                let length = length as usize % object.len();
                object.truncate(length);
                true
            }
            Self::Append(byte) => {
                object.push(byte);
                true
            }
        }
    }
}

fn key() -> Key {
    Key::of_secret(Some("secret"))
}

fn check(object: &[u8], length: u64, piece: usize) -> Result<Opener, SealError> {
    let Some((header, rest)) = object.split_first_chunk() else {
        return Err(SealError::Refused);
    };
    let mut check = TagCheck::new(&key(), header, length)?;
    for piece in rest.chunks(piece.max(1)) {
        check.feed(piece)?;
    }
    check.finish()
}

fn part(object: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(object.len());
    &object[place(range.start)..place(range.end)]
}

/// Name and content of an object in whatever form its first bytes say.
fn open(object: &[u8]) -> Result<(String, Vec<u8>), SealError> {
    let Some(first) = object.first_chunk() else {
        return Err(SealError::Refused);
    };
    let length = object.len() as u64;
    if Form::of(first) == Form::Whole {
        let opener = check(object, length, 1000)?;
        let mut content = part(object, opener.object_range(0..u64::MAX)).to_vec();
        opener.decrypt(0, &mut content);
        return Ok((opener.filename().to_owned(), content));
    }
    let Some(header) = object.first_chunk() else {
        return Err(SealError::Refused);
    };
    let probe = Probe::new(&key(), header, length)?;
    let (first, last) = (probe.first(), probe.last());
    let reader = probe.finish(part(object, first), part(object, last))?;
    let mut content = Vec::new();
    let all = 0..reader.size();
    for segment in reader.segments(all.clone()) {
        let sealed = BytesMut::from(part(object, reader.object_range(segment)));
        content.extend_from_slice(&reader.open(segment, sealed, &all)?);
    }
    Ok((reader.filename().to_owned(), content))
}

fn seal(seed: i64, name: &str, content: &[u8], in_segments: bool) -> Result<Vec<u8>, SealError> {
    if in_segments {
        let salt = segments::salt_from_integer(seed, name);
        let (mut sealer, header) = SegmentSealer::new(&key(), &salt, name)?;
        let mut object = header.to_vec();
        sealer.push(content, |segment| object.extend_from_slice(&segment))?;
        object.extend_from_slice(&sealer.finish());
        return Ok(object);
    }
    let (mut sealer, header) = Sealer::new(&key(), nonce::from_integer(seed), name)?;
    let mut sealed = content.to_vec();
    sealer.update(&mut sealed)?;
    Ok([&header[..], &sealed, &sealer.finish()].concat())
}

fn ours(seed: i64, name: &str, content: &[u8], in_segments: bool, change: Option<&Change>) {
    let Ok(mut object) = seal(seed, name, content, in_segments) else {
        return;
    };
    if change.is_some_and(|change| change.apply(&mut object)) {
        assert!(open(&object).is_err(), "a changed object was opened");
    } else {
        let (opened, got) = open(&object).expect("what was sealed opens");
        assert!(got == content, "another content");
        // A backslash ends a folder's name for whoever reads on another system.
        if !name.contains('\\') {
            assert_eq!(opened, name);
        }
    }
}

fuzz_target!(|input: Input| match input {
    Input::Stranger {
        object,
        length,
        piece,
    } => {
        assert!(check(object, length, piece.into()).is_err(), "a forged object");
        assert!(open(object).is_err(), "a forged object");
    }
    Input::Segmented {
        segment,
        meta,
        body,
        length,
    } => {
        let salt = [0; segments::SALT];
        let header = [
            segments::MAGIC,
            &[segments::VERSION][..],
            &salt,
            &segment.to_be_bytes(),
            &meta.to_be_bytes(),
        ]
        .concat();
        let head = header.first_chunk().expect("a whole header");
        let opened = Probe::new(&key(), head, length).and_then(|probe| probe.finish(body, body));
        assert!(opened.is_err(), "a forged object");
        assert!(open(&[&header, body].concat()).is_err(), "a forged object");
    }
    Input::Meta(meta) => {
        if let Ok(name) = name::from_meta(meta) {
            let again = name::to_meta(&name).expect("what is read is a file name");
            assert!(again.is_ascii() && again.len() <= name::MAX_META);
            assert_eq!(name::from_meta(again.as_bytes()), Ok(name));
        }
    }
    Input::Ours {
        seed,
        name,
        content,
        repeat,
        segments,
        change,
    } => {
        let content = content.repeat(1 + usize::from(repeat) % 4096);
        ours(seed, name, &content, segments, change.as_ref());
    }
});
