//! The three clocks of the kernel, read together.

use nix::time::{ClockId, clock_gettime};

/// One reading of the clocks, nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clocks {
    /// `CLOCK_BOOTTIME`: since boot, suspend included.
    pub boot_ns: u64,
    /// `CLOCK_MONOTONIC`: since boot, suspend left out.
    pub mono_ns: u64,
    /// `CLOCK_REALTIME`: since 1970, settable.
    pub real_ns: u64,
}

impl Clocks {
    /// Reads the clocks now.
    #[must_use]
    pub fn now() -> Self {
        Self {
            boot_ns: read(ClockId::CLOCK_BOOTTIME),
            mono_ns: read(ClockId::CLOCK_MONOTONIC),
            real_ns: read(ClockId::CLOCK_REALTIME),
        }
    }

    /// Wall time, in milliseconds, of an instant given in boot time, as the wall clock is set now.
    #[must_use]
    pub fn wall_ms(self, boot_ns: u64) -> u64 {
        let age = self.boot_ns.saturating_sub(boot_ns);
        self.real_ns.saturating_sub(age) / 1_000_000
    }

    /// Time suspended since boot.
    #[must_use]
    pub fn suspended_ns(self) -> u64 {
        self.boot_ns.saturating_sub(self.mono_ns)
    }
}

/// These three clocks exist on every Linux since 2.6.39; a failing read counts as zero.
fn read(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else { return 0 };
    let (s, ns) = (time.tv_sec(), time.tv_nsec());
    u64::try_from(s).unwrap_or(0) * 1_000_000_000 + u64::try_from(ns).unwrap_or(0)
}
