//! Token buckets per peer. Pure: the caller passes the time in.

use std::{collections::HashMap, hash::Hash, time::Instant};

/// Most keys that one table of buckets watches; a key beyond them is refused until others are idle again.
pub(crate) const MAX_BUCKETS: usize = 16_384;

/// A rate and how far it may be exceeded for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Events per second in the long run.
    pub per_second: u32,
    /// Events at once after a pause.
    pub burst: u32,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// One bucket per key.
pub(crate) struct Buckets<K> {
    limit: RateLimit,
    table: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            table: HashMap::new(),
        }
    }

    /// Takes one token of a key's bucket; false if there is none.
    pub(crate) fn allow(&mut self, key: K, now: Instant) -> bool {
        if self.table.len() >= MAX_BUCKETS && !self.table.contains_key(&key) {
            return false;
        }
        let limit = self.limit;
        let bucket = self.table.entry(key).or_insert(Bucket {
            tokens: f64::from(limit.burst),
            filled: now,
        });
        bucket.fill(limit, now);
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }

    /// Forgets full buckets: a new one would be equal.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let limit = self.limit;
        self.table.retain(|_, bucket| {
            bucket.fill(limit, now);
            bucket.tokens < f64::from(limit.burst)
        });
    }
}

impl Bucket {
    fn fill(&mut self, limit: RateLimit, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * f64::from(limit.per_second)).min(f64::from(limit.burst));
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: RateLimit = RateLimit {
        per_second: 2,
        burst: 3,
    };

    #[test]
    fn a_burst_then_the_rate() {
        let (mut buckets, start) = (Buckets::new(LIMIT), Instant::now());
        let taken = (0..10).filter(|_| buckets.allow("a", start)).count();
        assert_eq!(taken, 3);
        assert!(buckets.allow("b", start));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..10).filter(|_| buckets.allow("a", later)).count(), 2);
    }

    #[test]
    fn idle_keys_are_forgotten_and_the_table_is_bounded() {
        let (mut buckets, start) = (Buckets::new(LIMIT), Instant::now());
        for key in 0..MAX_BUCKETS {
            assert!(buckets.allow(key, start));
        }
        assert!(!buckets.allow(MAX_BUCKETS, start));
        buckets.sweep(start);
        assert_eq!(buckets.table.len(), MAX_BUCKETS);
        buckets.sweep(start + Duration::from_secs(1));
        assert!(buckets.table.is_empty());
        assert!(buckets.allow(MAX_BUCKETS, start + Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_tokens() {
        let (mut buckets, start) = (Buckets::new(LIMIT), Instant::now() + Duration::from_secs(10));
        assert_eq!((0..10).filter(|_| buckets.allow("a", start)).count(), 3);
        assert!(!buckets.allow("a", start - Duration::from_secs(5)));
        assert!(!buckets.allow("a", start));
    }
}
