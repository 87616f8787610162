//! Epochs: the fixed intervals in which availability is measured and rewards are credited.

use serde::{Deserialize, Serialize};

/// Why an instant has no epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// The instant lies before the network's genesis.
    #[error("instant {unix_ms} ms is before genesis {genesis_ms} ms")]
    BeforeGenesis {
        /// The instant asked for, milliseconds since 1970-01-01 UTC.
        unix_ms: u64,
        /// The genesis, milliseconds since 1970-01-01 UTC.
        genesis_ms: u64,
    },
}

/// Maps instants to epochs: `epoch(t) = floor((t - genesis) / length)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochClock {
    /// Start of epoch 0, milliseconds since 1970-01-01 UTC.
    pub genesis_ms: u64,
    /// Length of an epoch in milliseconds; at least 1000.
    pub length_ms: u64,
}

impl EpochClock {
    /// The epoch that contains an instant.
    ///
    /// # Errors
    /// [`EpochError::BeforeGenesis`] if the instant is before the genesis.
    pub fn epoch_at(&self, unix_ms: u64) -> Result<u64, EpochError> {
        let since = unix_ms
            .checked_sub(self.genesis_ms)
            .ok_or(EpochError::BeforeGenesis {
                unix_ms,
                genesis_ms: self.genesis_ms,
            })?;
        Ok(since / self.length_ms)
    }

    /// First instant of an epoch, milliseconds since 1970-01-01 UTC.
    pub fn start_ms(&self, epoch: u64) -> u64 {
        self.genesis_ms + epoch * self.length_ms
    }

    /// First instant after an epoch, milliseconds since 1970-01-01 UTC.
    pub fn end_ms(&self, epoch: u64) -> u64 {
        self.start_ms(epoch + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_each_other_without_gap() {
        let clock = EpochClock {
            genesis_ms: 1_748_016_000_000,
            length_ms: 86_400_000,
        };
        assert_eq!(clock.epoch_at(1_748_016_000_000), Ok(0));
        assert_eq!(clock.epoch_at(clock.end_ms(0) - 1), Ok(0));
        assert_eq!(clock.epoch_at(clock.end_ms(0)), Ok(1));
        assert!(clock.epoch_at(0).is_err());
    }
}
