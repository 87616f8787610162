//! Where the segments of an object are. Three positions play a part: in the object, in the message (metadata and
//! content without tags), and the segment's number.

use std::ops::Range;

use super::{HEADER, SEGMENT_RANGE};
use crate::seal::{SealError, gcm::TAG};

/// Most segments: their numbers have 32 bits.
pub(super) const MAX_SEGMENTS: u64 = u32::MAX as u64;

#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    segment: u64,
    object: u64,
    count: u32,
}

impl Layout {
    /// The layout of an object of so many bytes; a segment that could not hold a byte is refused.
    pub(super) fn new(segment: u32, object: u64) -> Result<Self, SealError> {
        if !SEGMENT_RANGE.contains(&segment) {
            return Err(SealError::Header(format!("segments of {segment} bytes")));
        }
        let segment = u64::from(segment);
        let least = (HEADER + TAG + 1) as u64;
        let most = MAX_SEGMENTS * segment;
        if object < least {
            return Err(SealError::TooShort { bytes: object, least });
        }
        let count = u32::try_from(object.div_ceil(segment)).map_err(|_| SealError::TooLong { most })?;
        let layout = Self {
            segment,
            object,
            count,
        };
        let last = layout.object_range(count - 1);
        if last.end - last.start <= TAG as u64 {
            return Err(SealError::Refused);
        }
        Ok(layout)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Length of the message.
    pub(super) fn message(&self) -> u64 {
        self.object - HEADER as u64 - u64::from(self.count) * TAG as u64
    }

    pub(super) fn object_range(&self, number: u32) -> Range<u64> {
        let start = u64::from(number) * self.segment;
        start.max(HEADER as u64)..(start + self.segment).min(self.object)
    }

    /// What a segment holds of the message.
    pub(super) fn message_range(&self, number: u32) -> Range<u64> {
        let sealed = self.object_range(number);
        let tags = |count: u32| u64::from(count) * TAG as u64;
        sealed.start - HEADER as u64 - tags(number)..sealed.end - HEADER as u64 - tags(number) - TAG as u64
    }

    /// The segment that holds a byte of the message, which must be inside it.
    pub(super) fn segment_of(&self, at: u64) -> u32 {
        let number = (at + HEADER as u64) / (self.segment - TAG as u64);
        u32::try_from(number).expect("inside the message")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_object_and_message_without_gaps() {
        let segment = *SEGMENT_RANGE.start();
        let size = u64::from(segment);
        for object in [69, 5000, size - 1, size, size + 17, 2 * size, 3 * size + 100] {
            let layout = Layout::new(segment, object).unwrap();
            let (mut at, mut message) = (HEADER as u64, 0);
            for number in 0..layout.count() {
                let (place, held) = (layout.object_range(number), layout.message_range(number));
                assert_eq!((place.start, held.start), (at, message));
                assert_eq!(held.end - held.start, place.end - place.start - TAG as u64);
                assert_eq!(layout.segment_of(held.start), number);
                assert_eq!(layout.segment_of(held.end - 1), number);
                (at, message) = (place.end, held.end);
            }
            assert_eq!((at, message), (object, layout.message()));
        }
    }

    #[test]
    fn objects_that_cannot_be_are_refused() {
        let segment = *SEGMENT_RANGE.start();
        let size = u64::from(segment);
        assert!(matches!(
            Layout::new(segment, 68),
            Err(SealError::TooShort { .. })
        ));
        assert_eq!(Layout::new(segment, size + 16).err(), Some(SealError::Refused));
        assert!(matches!(
            Layout::new(segment, u64::MAX),
            Err(SealError::TooLong { .. })
        ));
        for segment in [0, segment - 1, (1 << 20) + 1] {
            assert!(matches!(Layout::new(segment, 5000), Err(SealError::Header(_))));
        }
    }
}
