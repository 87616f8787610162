//! From the stamps of one epoch to its value 0..=255, in integers.

/// Heartbeat interval of epochs that are long enough for it, milliseconds.
const INTERVAL_MS: u64 = 10_000;
/// Epochs shorter than this have their interval scaled down, milliseconds.
const LONG_EPOCH_MS: u64 = 300_000;
/// Heartbeats per epoch where the interval is scaled down.
const SHORT_EPOCH_BEATS: u64 = 30;
/// Availability is first rounded to this many parts.
const PARTS: u64 = 10_000;

/// How an epoch of a given length is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    length_ms: u64,
    interval_ms: u64,
}

impl Rule {
    /// The rule for epochs of a length: an interval of 10 s, or a thirtieth of an epoch shorter than 300 s.
    ///
    /// Lengths below 1000 ms are no epochs (see `r1_core::Genesis::validate`) and measured as 1000 ms.
    pub fn new(length_ms: u64) -> Self {
        let length_ms = length_ms.max(1000);
        let interval_ms = if length_ms >= LONG_EPOCH_MS {
            INTERVAL_MS
        } else {
            length_ms / SHORT_EPOCH_BEATS
        };
        Self {
            length_ms,
            interval_ms,
        }
    }

    /// Length of the epoch, milliseconds.
    pub fn length_ms(&self) -> u64 {
        self.length_ms
    }

    /// Nominal time between two heartbeats, milliseconds.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// True if two neighbouring stamps are far and near enough to count the time between them: half an interval to
    /// one and a half, both included (5 to 15 s of 10 s).
    pub fn is_good_gap(&self, gap_ms: u64) -> bool {
        let doubled = gap_ms.saturating_mul(2);
        doubled >= self.interval_ms && doubled <= 3 * self.interval_ms
    }

    /// The time that stamps prove, milliseconds: the sum of all good gaps. A bad gap ends a segment.
    ///
    /// `stamps` are milliseconds, ascending and without repetition.
    pub fn proven_ms(&self, stamps: impl IntoIterator<Item = u64>) -> u64 {
        let (mut sum, mut last) = (0, None);
        for stamp in stamps {
            if let Some(last) = last {
                let gap = stamp.saturating_sub(last);
                sum += if self.is_good_gap(gap) { gap } else { 0 };
            }
            last = Some(stamp);
        }
        sum
    }

    /// The value of one epoch for the time that was proven in it.
    pub fn value(&self, proven_ms: u64) -> u8 {
        value_of(proven_ms, self.length_ms)
    }
}

/// `round(round(proven/length, 4) · 255)`, both halves to even, at most 255; 0 for a length of 0.
pub(crate) fn value_of(proven_ms: u64, length_ms: u64) -> u8 {
    if length_ms == 0 {
        return 0;
    }
    let parts = divide_half_even(
        u128::from(proven_ms.min(length_ms)) * u128::from(PARTS),
        u128::from(length_ms),
    );
    divide_half_even(parts * 255, u128::from(PARTS))
        .try_into()
        .unwrap_or(u8::MAX)
}

fn divide_half_even(numerator: u128, denominator: u128) -> u128 {
    let (quotient, rest) = (numerator / denominator, numerator % denominator);
    match (rest * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Equal => quotient + quotient % 2,
        std::cmp::Ordering::Greater => quotient + 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400_000;

    fn day_of(stamps: impl Iterator<Item = u64>) -> u8 {
        let rule = Rule::new(DAY);
        rule.value(rule.proven_ms(stamps))
    }

    #[test]
    fn the_days_that_upstream_was_measured_on() {
        let every = |seconds: usize| (0..DAY).step_by(seconds * 1000);
        assert_eq!(day_of(every(10)), 255);
        assert_eq!(day_of(every(15)), 255);
        assert_eq!(day_of(every(16)), 0);
        let lunch = 36_000_000..43_200_000;
        assert_eq!(day_of(every(10).filter(|stamp| !lunch.contains(stamp))), 234);
    }

    #[test]
    fn fewer_than_two_stamps_prove_nothing() {
        assert_eq!(day_of([].into_iter()), 0);
        assert_eq!(day_of([5].into_iter()), 0);
    }

    #[test]
    fn the_window_is_five_to_fifteen_seconds_of_ten() {
        let rule = Rule::new(DAY);
        let good: Vec<_> = [4_999, 5_000, 15_000, 15_001]
            .map(|gap| rule.is_good_gap(gap))
            .into();
        assert_eq!(good, [false, true, true, false]);
        assert_eq!(Rule::new(60_000).interval_ms(), 2_000);
        assert_eq!(Rule::new(300_000).interval_ms(), 10_000);
        assert_eq!(Rule::new(0).interval_ms(), 33);
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let values = [1_000, 3_000, 5_000, 7_000, 9_000].map(|parts| value_of(parts, 10_000));
        assert_eq!(values, [26, 76, 128, 178, 230]);
        assert_eq!((value_of(1, 20_000), value_of(3, 20_000)), (0, 0));
        assert_eq!((value_of(20_000, 10_000), value_of(1, 0)), (255, 0));
    }

    /// As one would write it down from the description, in floating point.
    fn naive(stamps: &[u64], rule: Rule) -> u8 {
        let half = rule.interval_ms as f64 / 2.0;
        let mut sum = 0.0;
        for pair in stamps.windows(2) {
            let gap = (pair[1] - pair[0]) as f64;
            if half <= gap && gap <= 3.0 * half {
                sum += gap / 1000.0;
            }
        }
        let parts = (sum / (rule.length_ms as f64 / 1000.0) * 10_000.0).round_ties_even();
        (parts * 255.0 / 10_000.0).round_ties_even() as u8
    }

    proptest! {
        #[test]
        fn integers_agree_with_the_naive_model(
            length in 1_000u64..200_000_000,
            gaps in proptest::collection::vec(1u64..40_000, 0..400),
        ) {
            let rule = Rule::new(length);
            let stamps: Vec<u64> = gaps
                .iter()
                .scan(0, |at, gap| {
                    *at += gap * rule.interval_ms / 10_000 + 1;
                    Some(*at)
                })
                .take_while(|stamp| *stamp < length)
                .collect();
            let (ours, theirs) = (rule.value(rule.proven_ms(stamps.iter().copied())), naive(&stamps, rule));
            // Sums of thousandths in floating point can miss an exact half by one last place.
            prop_assert!(ours.abs_diff(theirs) <= 1);
            prop_assert!(ours == theirs || is_half(rule, &stamps), "{ours} {theirs}");
        }
    }

    fn is_half(rule: Rule, stamps: &[u64]) -> bool {
        let parts = rule.proven_ms(stamps.iter().copied()) * PARTS;
        (parts * 2).is_multiple_of(rule.length_ms) || (parts / rule.length_ms).is_multiple_of(1000)
    }
}
