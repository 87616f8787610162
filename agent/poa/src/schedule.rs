//! When heartbeats are due: the same instants for every node of a network.

use r1_core::{EpochClock, EpochError};

use crate::Rule;

/// The aligned schedule of a network. Within an epoch the instants ("slots") are evenly spaced, the first at its
/// start and the last in its last millisecond, so that a node that is always there proves the whole epoch.
///
/// Slots are numbered through from the genesis; the number is a heartbeat's `R1_SEQ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    clock: EpochClock,
    rule: Rule,
    gaps: u64,
}

impl Schedule {
    /// The schedule of a network's epochs.
    pub fn new(clock: EpochClock) -> Self {
        let rule = Rule::new(clock.length_ms);
        let interval = rule.interval_ms();
        let gaps = (2 * rule.length_ms() + interval) / (2 * interval);
        Self { clock, rule, gaps }
    }

    /// The epochs.
    pub fn clock(&self) -> EpochClock {
        self.clock
    }

    /// How they are measured.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Slots of one epoch.
    pub fn slots(&self) -> u64 {
        self.gaps + 1
    }

    /// Longest time between two neighbouring slots, milliseconds.
    pub fn spacing_ms(&self) -> u64 {
        (self.clock.length_ms - 1).div_ceil(self.gaps)
    }

    /// Number of the slot at a place (0-based) in an epoch.
    pub fn seq(&self, epoch: u64, place: u64) -> u64 {
        epoch.saturating_mul(self.slots()).saturating_add(place)
    }

    /// Epoch of a slot and its place in it.
    pub fn place(&self, seq: u64) -> (u64, u64) {
        (seq / self.slots(), seq % self.slots())
    }

    /// The instant of a slot within its epoch, milliseconds from the epoch's start.
    pub fn offset_ms(&self, place: u64) -> u64 {
        // In 128 bits, since a year in milliseconds times a year's slots leaves 64.
        let offset = u128::from(place) * u128::from(self.clock.length_ms - 1) / u128::from(self.gaps);
        offset.try_into().unwrap_or(u64::MAX)
    }

    /// The instant of a slot, milliseconds since 1970-01-01 UTC; saturates far beyond any real date.
    pub fn stamp_ms(&self, seq: u64) -> u64 {
        let (epoch, place) = self.place(seq);
        let start = epoch
            .saturating_mul(self.clock.length_ms)
            .saturating_add(self.clock.genesis_ms);
        start.saturating_add(self.offset_ms(place))
    }

    /// The first slot that is due at or after an instant (milliseconds since 1970-01-01 UTC); the genesis's own
    /// slot if the instant is before it.
    pub fn next_at(&self, unix_ms: u64) -> u64 {
        let Some(since) = unix_ms.checked_sub(self.clock.genesis_ms) else {
            return 0;
        };
        let (epoch, within) = (since / self.clock.length_ms, since % self.clock.length_ms);
        let within = u128::from(within) * u128::from(self.gaps);
        let place = within.div_ceil(u128::from(self.clock.length_ms - 1));
        let place = u64::try_from(place).unwrap_or(self.gaps);
        // offset_ms rounds down: the slot before may be due at this very millisecond.
        let before = place.saturating_sub(1);
        let place = if self.offset_ms(before) * u64::from(place > 0) >= since % self.clock.length_ms {
            before
        } else {
            place
        };
        self.seq(epoch, place)
    }

    /// True if a heartbeat for a slot may still be signed at an instant: it is due, by at most half a spacing.
    /// A node that wakes later was not there at that instant.
    pub fn may_sign(&self, seq: u64, unix_ms: u64) -> bool {
        let stamp = self.stamp_ms(seq);
        unix_ms >= stamp && (unix_ms - stamp) * 2 <= self.spacing_ms()
    }

    /// The epoch of an instant, milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`EpochError::BeforeGenesis`] if it has none.
    pub fn epoch_at(&self, unix_ms: u64) -> Result<u64, EpochError> {
        self.clock.epoch_at(unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GENESIS: u64 = 1_748_016_000_000;

    fn schedule(length_ms: u64) -> Schedule {
        Schedule::new(EpochClock {
            genesis_ms: GENESIS,
            length_ms,
        })
    }

    #[test]
    fn who_signs_every_slot_gets_255_whatever_the_epoch() {
        for length in [
            1_000, 10_000, 60_000, 299_999, 300_000, 305_000, 3_600_000, 14_400_000, 86_400_000,
        ] {
            let schedule = schedule(length);
            let stamps = (0..schedule.slots()).map(|place| schedule.offset_ms(place));
            let proven = schedule.rule().proven_ms(stamps);
            assert_eq!(proven, length - 1, "epoch of {length} ms");
            assert_eq!(schedule.rule().value(proven), 255, "epoch of {length} ms");
        }
    }

    #[test]
    fn a_minute_has_thirty_one_slots_and_a_day_8641() {
        let minute = schedule(60_000);
        assert_eq!((minute.slots(), minute.spacing_ms()), (31, 2_000));
        assert_eq!(minute.stamp_ms(0), GENESIS);
        assert_eq!(minute.stamp_ms(30), GENESIS + 59_999);
        assert_eq!(minute.stamp_ms(31), GENESIS + 60_000);
        assert_eq!(schedule(86_400_000).slots(), 8_641);
    }

    #[test]
    fn a_late_timer_signs_until_half_a_spacing() {
        let minute = schedule(60_000);
        let signed = [0, 1_000, 1_001].map(|late| minute.may_sign(31, GENESIS + 60_000 + late));
        assert_eq!(signed, [true, true, false]);
        assert!(!minute.may_sign(31, GENESIS + 59_999));
    }

    proptest! {
        #[test]
        fn the_next_slot_is_the_first_that_is_not_past(
            length in 1_000u64..100_000_000,
            since in 0u64..1_000_000_000,
        ) {
            let schedule = schedule(length);
            let now = GENESIS + since;
            let next = schedule.next_at(now);
            prop_assert!(schedule.stamp_ms(next) >= now);
            prop_assert!(next == 0 || schedule.stamp_ms(next - 1) < now);
        }

        #[test]
        fn a_stamp_leads_back_to_its_slot(length in 1_000u64..100_000_000, seq in 0u64..1_000_000) {
            let schedule = schedule(length);
            prop_assert_eq!(schedule.next_at(schedule.stamp_ms(seq)), seq);
        }

        #[test]
        fn no_number_overflows(length in 1_000u64..u64::MAX / 4, seq in any::<u64>()) {
            let schedule = schedule(length);
            let _ = (schedule.stamp_ms(seq), schedule.seq(seq, 3), schedule.may_sign(seq, u64::MAX / 4));
        }
    }
}
