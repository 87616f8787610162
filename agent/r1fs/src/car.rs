//! CAR archives: blocks of a DAG one after the other (CARv1 specification). CARv2 is read by looking into it.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::{
    Block, Cid, MAX_BLOCK,
    cid::{BlockError, verify},
    dag_pb::put_varint,
};

/// Longest header, bytes.
const MAX_HEADER: usize = 1 << 20;
/// Most roots in a header.
pub const MAX_ROOTS: usize = 10_000;
/// Longest CID before a block, bytes.
const MAX_CID: usize = 256;
/// Farthest that the data of a CARv2 may begin, bytes.
const MAX_OFFSET: u64 = 1 << 20;
/// First bytes of a CARv2.
const PRAGMA: [u8; 11] = [0x0a, 0xa1, 0x67, b'v', b'e', b'r', b's', b'i', b'o', b'n', 0x02];
/// CBOR tag of a CID, and the length form of its bytes.
const CID_TAG: [u8; 2] = [0xd8, 0x2a];

/// Why bytes are no CAR archive, or one that lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// The header does not decode.
    #[error("car archive: its header {0}")]
    Header(&'static str),
    /// A section does not decode.
    #[error("car archive: at byte {at}: {why}")]
    Section {
        /// Where, bytes from the beginning.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A block is not that of its name.
    #[error("car archive: {0}")]
    Block(#[from] BlockError),
    /// It ends in the middle of something.
    #[error("car archive: cut off after {at} bytes")]
    CutOff {
        /// How many came.
        at: u64,
    },
}

/// The first bytes of an archive.
pub fn header(roots: &[Cid]) -> Bytes {
    let mut cbor = BytesMut::new();
    cbor.extend_from_slice(&[0xa2, 0x65]);
    cbor.extend_from_slice(b"roots");
    put_cbor(&mut cbor, 4, roots.len() as u64);
    for root in roots {
        let bytes = root.to_bytes();
        cbor.extend_from_slice(&CID_TAG);
        put_cbor(&mut cbor, 2, bytes.len() as u64 + 1);
        cbor.extend_from_slice(&[0]);
        cbor.extend_from_slice(&bytes);
    }
    cbor.extend_from_slice(&[0x67]);
    cbor.extend_from_slice(b"version\x01");
    let mut out = BytesMut::with_capacity(cbor.len() + 10);
    put_varint(&mut out, cbor.len() as u64);
    out.extend_from_slice(&cbor);
    out.freeze()
}

/// What stands before a block's bytes.
pub fn section(cid: &Cid, length: usize) -> Bytes {
    let name = cid.to_bytes();
    let mut out = BytesMut::with_capacity(name.len() + 10);
    put_varint(&mut out, (name.len() + length) as u64);
    out.extend_from_slice(&name);
    out.freeze()
}

fn put_cbor(out: &mut BytesMut, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..=23 => out.extend_from_slice(&[major | value as u8]),
        24..=0xff => out.extend_from_slice(&[major | 24, value as u8]),
        0x100..=0xffff => {
            out.extend_from_slice(&[major | 25]);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[major | 26]);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    /// Bytes of a CARv2 that stand before its data, and how many its data has.
    Skip(u64, u64),
    Sections,
}

/// Reads an archive that comes in pieces. Memory: one block and what was fed and not yet taken.
#[derive(Debug)]
pub struct Decoder {
    held: BytesMut,
    state: State,
    roots: Option<Vec<Cid>>,
    /// Bytes taken out of `held`.
    at: u64,
    /// Where the data ends, in a CARv2.
    end: Option<u64>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            held: BytesMut::new(),
            state: State::Header,
            roots: None,
            at: 0,
            end: None,
        }
    }
}

impl Decoder {
    /// Takes the next bytes. Take all blocks out between two calls.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The roots, once the header was read.
    pub fn roots(&self) -> Option<&[Cid]> {
        self.roots.as_deref()
    }

    /// The next block, checked against its name; `None` if more bytes are needed first.
    ///
    /// # Errors
    /// [`CarError`] says what is wrong and where; reading is over then.
    pub fn next_block(&mut self) -> Result<Option<Block>, CarError> {
        loop {
            match self.state {
                State::Header => {
                    if !self.header()? {
                        return Ok(None);
                    }
                }
                State::Skip(left, size) => {
                    let now = left.min(self.held.len() as u64);
                    self.advance(usize::try_from(now).unwrap_or(usize::MAX));
                    if now < left {
                        self.state = State::Skip(left - now, size);
                        return Ok(None);
                    }
                    self.end = Some(self.at.saturating_add(size));
                    self.state = State::Header;
                }
                State::Sections => return self.section(),
            }
        }
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`CarError::CutOff`] if something is incomplete.
    pub fn finish(self) -> Result<Vec<Cid>, CarError> {
        let reached = self.end.is_none_or(|end| self.at >= end);
        let at = self.at + self.held.len() as u64;
        match self.roots {
            Some(roots) if reached && (self.held.is_empty() || self.end.is_some()) => Ok(roots),
            _ => Err(CarError::CutOff { at }),
        }
    }

    fn advance(&mut self, count: usize) {
        self.held.advance(count);
        self.at += count as u64;
    }

    /// The varint at the front and its own length; `None` if it is not complete.
    fn length(&self, most: usize) -> Result<Option<(usize, usize)>, CarError> {
        let mut value = 0u64;
        for (count, byte) in self.held.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * count).min(63);
            if byte & 0x80 == 0 {
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                let why = "a section of a length that no block has";
                let sound = (1..=most).contains(&length).then_some(Some((length, count + 1)));
                return sound.ok_or(CarError::Section { at: self.at, why });
            }
        }
        if self.held.len() >= 10 {
            let why = "a length without end";
            return Err(CarError::Section { at: self.at, why });
        }
        Ok(None)
    }

    fn header(&mut self) -> Result<bool, CarError> {
        let Some((length, prefix)) = self.length(MAX_HEADER)? else {
            return Ok(false);
        };
        if self.held.len() < prefix + length {
            return Ok(false);
        }
        if self.held.starts_with(&PRAGMA) && self.end.is_none() {
            return self.second_version();
        }
        let roots = parse_header(&self.held[prefix..prefix + length]).map_err(CarError::Header)?;
        self.advance(prefix + length);
        self.roots = Some(roots);
        self.state = State::Sections;
        Ok(true)
    }

    /// The fixed header of a CARv2: where its data begins and how long it is.
    fn second_version(&mut self) -> Result<bool, CarError> {
        const FIXED: usize = 40;
        let Some(fixed) = self.held.get(PRAGMA.len()..PRAGMA.len() + FIXED) else {
            return Ok(false);
        };
        let mut numbers = &fixed[16..];
        let (offset, size) = (numbers.get_u64_le(), numbers.get_u64_le());
        let before = (PRAGMA.len() + FIXED) as u64;
        if !(before..=MAX_OFFSET).contains(&offset) || size == 0 {
            return Err(CarError::Header("says that its data is where it cannot be"));
        }
        self.advance(PRAGMA.len() + FIXED);
        self.state = State::Skip(offset - before, size);
        Ok(true)
    }

    fn section(&mut self) -> Result<Option<Block>, CarError> {
        if self.end.is_some_and(|end| self.at >= end) {
            // What follows the data of a CARv2 is its index.
            let rest = self.held.len();
            self.advance(rest);
            return Ok(None);
        }
        let Some((length, prefix)) = self.length(MAX_CID + MAX_BLOCK)? else {
            return Ok(None);
        };
        if self.held.len() < prefix + length {
            return Ok(None);
        }
        let fault = |why| CarError::Section { at: self.at, why };
        if self
            .end
            .is_some_and(|end| self.at + (prefix + length) as u64 > end)
        {
            return Err(fault("a section that ends after the archive's data"));
        }
        let section = &self.held[prefix..prefix + length];
        let mut rest = section;
        let cid = Cid::read_bytes(&mut rest).map_err(|_| fault("no CID before a block"))?;
        let name = length - rest.len();
        self.advance(prefix);
        let mut section = self.held.split_to(length).freeze();
        self.at += length as u64;
        section.advance(name);
        verify(&cid, &section)?;
        Ok(Some(Block { cid, data: section }))
    }
}

/// A reader of the few CBOR forms that a header has.
struct Cbor<'b>(&'b [u8]);

impl<'b> Cbor<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, major: u8) -> Result<u64, &'static str> {
        let first = self.take(1)?[0];
        if first >> 5 != major {
            return Err("has another shape");
        }
        let extra = match first & 31 {
            small @ 0..=23 => return Ok(small.into()),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err("has a length without end"),
        };
        Ok(self
            .take(extra)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn bytes(&mut self, major: u8) -> Result<&'b [u8], &'static str> {
        let length = self.number(major)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }
}

fn parse_header(bytes: &[u8]) -> Result<Vec<Cid>, &'static str> {
    let mut cbor = Cbor(bytes);
    let (mut roots, mut version) = (None, None);
    for _ in 0..cbor.number(5)?.min(3) {
        match cbor.bytes(3)? {
            b"version" => version = Some(cbor.number(0)?),
            b"roots" => roots = Some(parse_roots(&mut cbor)?),
            _ => return Err("has an unknown field"),
        }
    }
    match (version, roots) {
        (Some(1), Some(roots)) if cbor.0.is_empty() => Ok(roots),
        (Some(1), _) => Err("has no roots"),
        _ => Err("is of an unknown version"),
    }
}

fn parse_roots(cbor: &mut Cbor<'_>) -> Result<Vec<Cid>, &'static str> {
    let count = cbor.number(4)?;
    if count > MAX_ROOTS as u64 {
        return Err("has too many roots");
    }
    let mut roots = Vec::new();
    for _ in 0..count {
        if cbor.take(2)? != CID_TAG {
            return Err("has a root that is no CID");
        }
        let bytes = cbor
            .bytes(2)?
            .strip_prefix(&[0])
            .ok_or("has a root that is no CID")?;
        roots.push(Cid::try_from(bytes).map_err(|_| "has a root that is no CID")?);
    }
    Ok(roots)
}

/// Writes an archive.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: std::io::Write> Writer<W> {
    /// Begins an archive with its roots.
    ///
    /// # Errors
    /// What the writer fails with.
    pub fn new(mut out: W, roots: &[Cid]) -> std::io::Result<Self> {
        out.write_all(&header(roots))?;
        Ok(Self { out })
    }

    /// Writes a block.
    ///
    /// # Errors
    /// What the writer fails with.
    pub fn block(&mut self, cid: &Cid, data: &[u8]) -> std::io::Result<()> {
        self.out.write_all(&section(cid, data.len()))?;
        self.out.write_all(data)
    }

    /// Ends the archive and gives the writer back.
    pub fn finish(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cid::{RAW, v0, v1};

    fn archive(blocks: &[Vec<u8>]) -> (Vec<Cid>, Vec<u8>) {
        let cids: Vec<Cid> = blocks.iter().map(|data| v1(RAW, data)).collect();
        let mut writer = Writer::new(Vec::new(), &cids[..cids.len().min(2)]).unwrap();
        for (cid, data) in cids.iter().zip(blocks) {
            writer.block(cid, data).unwrap();
        }
        (cids, writer.finish())
    }

    fn read(bytes: &[u8], step: usize) -> Result<(Vec<Cid>, Vec<Block>), CarError> {
        let mut decoder = Decoder::default();
        let mut blocks = Vec::new();
        for piece in bytes.chunks(step) {
            decoder.feed(piece);
            while let Some(block) = decoder.next_block()? {
                blocks.push(block);
            }
        }
        Ok((decoder.finish()?, blocks))
    }

    proptest! {
        #[test]
        fn archives_survive_the_round_trip_in_any_pieces(
            blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
            step in 1usize..70,
        ) {
            let (cids, bytes) = archive(&blocks);
            let (roots, found) = read(&bytes, step).unwrap();
            prop_assert_eq!(&roots[..], &cids[..cids.len().min(2)]);
            prop_assert_eq!(found.iter().map(|block| block.data.to_vec()).collect::<Vec<_>>(), blocks);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
            let _ = read(&bytes, step);
        }
    }

    #[test]
    fn the_header_is_that_of_the_specification() {
        // CBOR by hand: {"roots": [42(h'00' + CIDv0)], "version": 1}.
        let cid = v0(b"x");
        let bytes = header(&[cid]);
        assert_eq!(&bytes[..13], b"\x38\xa2\x65roots\x81\xd8\x2a\x58\x23");
        assert_eq!((bytes[13], &bytes[14..48]), (0, &cid.to_bytes()[..]));
        assert_eq!(&bytes[48..], b"\x67version\x01");
    }

    #[test]
    fn lies_are_found() {
        let (cids, bytes) = archive(&[b"one".to_vec(), b"two".to_vec()]);
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(
            read(&changed, 9),
            Err(CarError::Block(BlockError::Mismatch { cid: cids[1] }))
        );
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(read(cut, 9), Err(CarError::CutOff { at: cut.len() as u64 }));
        let mut long = header(&[]).to_vec();
        long.extend_from_slice(&[0xff; 12]);
        assert!(matches!(read(&long, 100), Err(CarError::Section { .. })));
        let mut huge = header(&[]).to_vec();
        huge.extend_from_slice(&[0x80, 0x80, 0x80, 0x08]);
        assert!(matches!(read(&huge, 100), Err(CarError::Section { .. })));
        assert!(matches!(read(b"\x05hello", 9), Err(CarError::Header(_))));
        assert!(matches!(read(b"", 9), Err(CarError::CutOff { at: 0 })));
    }

    #[test]
    fn the_second_version_is_looked_into() {
        let (cids, inner) = archive(&[b"one".to_vec()]);
        let mut bytes = PRAGMA.to_vec();
        bytes.extend_from_slice(&[0; 16]);
        for number in [60, inner.len() as u64, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 9]);
        bytes.extend_from_slice(&inner);
        bytes.extend_from_slice(b"an index of any kind");
        for step in [1, 7, 1000] {
            let (roots, blocks) = read(&bytes, step).unwrap();
            assert_eq!((roots, blocks.len()), (cids.clone(), 1));
        }
        let size = inner.len() as u64 - 1;
        bytes[35..43].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(read(&bytes, 7), Err(CarError::Section { .. })));
    }
}
