//! Which slots of an epoch a node has filled: one bit each, 1081 bytes for a day.

use crate::Schedule;

/// The filled slots of one node in one epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    words: Vec<u64>,
}

impl Slots {
    /// Fills a slot; false if it was filled before. `place` must be below the schedule's number of slots, which
    /// bounds the memory.
    pub fn fill(&mut self, place: u64) -> bool {
        let (word, bit) = ((place / 64) as usize, 1 << (place % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// True if a slot is filled.
    pub fn contains(&self, place: u64) -> bool {
        self.words
            .get((place / 64) as usize)
            .is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The filled slots' places, ascending.
    pub fn places(&self) -> impl Iterator<Item = u64> + '_ {
        let words = self.words.iter().zip(0u64..).filter(|(word, _)| **word != 0);
        words.flat_map(|(word, index)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| index * 64 + bit)
        })
    }

    /// How many slots are filled.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// One word of 64 slots, for storage.
    pub fn word(&self, index: u16) -> u64 {
        self.words.get(usize::from(index)).copied().unwrap_or(0)
    }

    /// Puts a stored word back. Bits beyond the schedule's slots are dropped.
    pub fn restore(&mut self, index: u16, word: u64, slots: u64) {
        let first = u64::from(index) * 64;
        (0..64)
            .filter(|bit| word >> bit & 1 == 1 && first + bit < slots)
            .for_each(|bit| {
                self.fill(first + bit);
            });
    }

    /// The value 0..=255 that they prove for a whole epoch.
    pub fn value(&self, schedule: &Schedule) -> u8 {
        schedule.rule().value(self.proven_ms(schedule))
    }

    /// The time that they prove, milliseconds.
    pub fn proven_ms(&self, schedule: &Schedule) -> u64 {
        schedule
            .rule()
            .proven_ms(self.places().map(|place| schedule.offset_ms(place)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_a_set_in_any_order(places in proptest::collection::vec(0u64..500, 0..200)) {
            let (mut slots, mut model) = (Slots::default(), BTreeSet::new());
            for place in places {
                prop_assert_eq!(slots.fill(place), model.insert(place));
            }
            prop_assert!(slots.places().eq(model.iter().copied()));
            prop_assert_eq!(slots.count() as usize, model.len());
            prop_assert!((0..500).all(|place| slots.contains(place) == model.contains(&place)));
            let mut copy = Slots::default();
            for index in 0..8 {
                copy.restore(index, slots.word(index), 500);
            }
            prop_assert!(copy.places().eq(slots.places()));
        }
    }
}
