//! What a device says about a batch of readings.

use alloy_primitives::B256;
use medina_contracts::eip712::Anchoring;

use super::{DeviceError, time48};

/// What is anchored of a batch of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Batch {
    /// The resource the readings come from.
    pub source: B256,
    /// Number of the batch, from 1 without gaps.
    pub seq: u64,
    /// Root of the tree over the readings.
    pub root: B256,
    /// Time of the first reading, Unix seconds.
    pub from: u64,
    /// Time of the last reading, Unix seconds.
    pub to: u64,
    /// How many readings.
    pub count: u32,
}

impl Batch {
    /// The struct a device signs.
    pub fn anchoring(&self) -> Result<Anchoring, DeviceError> {
        Ok(Anchoring {
            source: self.source,
            seq: self.seq,
            root: self.root,
            from: time48(self.from)?,
            to: time48(self.to)?,
            count: self.count,
        })
    }
}
