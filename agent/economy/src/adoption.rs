//! Adoption: how many licences were sold and how much was spent on jobs, as cumulative checkpoints per epoch. It gates what
//! master node deeds release.

use r1_core::U256;

use crate::{
    AdoptionParams,
    table::{Journal, Table},
};

/// Adoption when both thresholds are reached.
const FULL: u64 = u16::MAX as u64;

/// Why a checkpoint is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdoptionRefusal {
    /// It is older than the last one.
    #[error("adoption: epoch {epoch} is before the last checkpoint at epoch {last}")]
    Order {
        /// The epoch offered.
        epoch: u64,
        /// The last checkpoint's.
        last: u64,
    },
    /// A sum left its range.
    #[error("adoption: the sum of epoch {epoch} overflows")]
    Overflow {
        /// The epoch.
        epoch: u64,
    },
}

impl AdoptionRefusal {
    /// The contract's error text.
    pub fn revert(&self) -> String {
        match self {
            Self::Order { .. } => "Invalid epoch order".to_owned(),
            Self::Overflow { .. } => "panic 0x11".to_owned(),
        }
    }
}

/// Adoption from 0 to 65535 by cumulative totals: the mean of both parts of their thresholds, each floored; one part
/// alone may make up for the other.
pub fn adoption(params: &AdoptionParams, licences: u64, volume_usdc: U256) -> u16 {
    let full = U256::from(FULL);
    // A zero threshold is refused with the parameters.
    let part = |value: U256, threshold: u64| {
        value
            .saturating_mul(full)
            .checked_div(U256::from(threshold))
            .unwrap_or(full)
    };
    let sum =
        part(U256::from(licences), params.licences).saturating_add(part(volume_usdc, params.volume_usdc));
    (sum >> 1usize).min(full).to()
}

/// The checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adoption {
    /// Licences sold up to and including an epoch.
    pub sold: Table<u64, u64>,
    /// USDC spent on jobs up to and including an epoch, micro-units.
    pub volume: Table<u64, U256>,
}

impl Adoption {
    /// Records licences sold in an epoch. None sold is no checkpoint.
    ///
    /// # Errors
    /// [`AdoptionRefusal`].
    pub fn record_sale(&mut self, epoch: u64, licences: u64) -> Result<(), AdoptionRefusal> {
        if licences == 0 {
            return Ok(());
        }
        let last = last(&self.sold, epoch)?;
        let total = last.unwrap_or(0).checked_add(licences);
        let total = total.ok_or(AdoptionRefusal::Overflow { epoch })?;
        self.sold.insert(epoch, total);
        Ok(())
    }

    /// Records USDC spent on jobs in an epoch, micro-units. Nothing spent is no checkpoint.
    ///
    /// # Errors
    /// [`AdoptionRefusal`].
    pub fn record_volume(&mut self, epoch: u64, usdc: U256) -> Result<(), AdoptionRefusal> {
        if usdc.is_zero() {
            return Ok(());
        }
        let last = last(&self.volume, epoch)?;
        let total = last.unwrap_or(U256::ZERO).checked_add(usdc);
        let total = total.ok_or(AdoptionRefusal::Overflow { epoch })?;
        self.volume.insert(epoch, total);
        Ok(())
    }

    /// Licences sold up to and including an epoch.
    pub fn sold_at(&self, epoch: u64) -> u64 {
        self.sold
            .range(..=epoch)
            .next_back()
            .map_or(0, |(_, total)| *total)
    }

    /// USDC spent on jobs up to and including an epoch, micro-units.
    pub fn volume_at(&self, epoch: u64) -> U256 {
        let last = self.volume.range(..=epoch).next_back();
        last.map_or(U256::ZERO, |(_, total)| *total)
    }

    /// Adoption in an epoch, 0 to 65535.
    pub fn at(&self, params: &AdoptionParams, epoch: u64) -> u16 {
        adoption(params, self.sold_at(epoch), self.volume_at(epoch))
    }
}

/// The last total, if it is not younger than `epoch`.
fn last<V: Clone + serde::Serialize>(
    table: &Table<u64, V>,
    epoch: u64,
) -> Result<Option<V>, AdoptionRefusal> {
    match table.iter().next_back() {
        Some((last, _)) if *last > epoch => Err(AdoptionRefusal::Order { epoch, last: *last }),
        found => Ok(found.map(|(_, total)| total.clone())),
    }
}

impl Journal for Adoption {
    fn is_open(&self) -> bool {
        self.sold.is_open()
    }

    fn begin(&mut self) {
        self.sold.begin();
        self.volume.begin();
    }

    fn commit(&mut self) {
        self.sold.commit();
        self.volume.commit();
    }

    fn rollback(&mut self) {
        self.sold.rollback();
        self.volume.rollback();
    }
}
