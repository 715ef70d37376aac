//! The bound that a network on one machine cannot exceed: every validator must
//! recover each signature and execute each transaction once.
//!
//! bound = cores / (validators x (recover + execute)), all measured in one run
//! with what is compared to it. `execute` here is a whole block: transfers, the
//! state root from the changes, receipts and header, as a proposer builds it.

use crate::load::{LoadError, senders, signed_transfer};
use medina_execution::{BuildAttributes, ExecutionError, Executor};
use medina_genesis::LoadedGenesis;
use medina_storage::{OpenOptions, StorageError, Store};
use medina_types::{RecoveredTransaction, TransactionDecodeError};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Why the bound could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BoundError {
    /// No folder for the database.
    #[error("no temporary folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The block could not be built.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// A transfer could not be signed.
    #[error(transparent)]
    Signing(#[from] LoadError),
    /// A transfer could not be read.
    #[error(transparent)]
    Decode(#[from] TransactionDecodeError),
    /// The genesis names no token.
    #[error("the genesis has no contract called medinaToken")]
    NoToken,
    /// Not every transfer fitted into the block.
    #[error("only {included} of {wanted} transfers fitted into a block")]
    BlockFull {
        /// Transfers included.
        included: usize,
        /// Transfers offered.
        wanted: usize,
    },
}

/// Cost of one transfer on one core.
#[derive(Clone, Copy, Debug)]
pub struct TransferCost {
    /// Decoding and recovering the sender.
    pub recover: Duration,
    /// Its share of building a block.
    pub execute: Duration,
}

impl TransferCost {
    /// Transfers per second that `validators` on `cores` cannot exceed.
    #[must_use]
    pub fn bound_per_second(&self, validators: u32, cores: u32) -> f64 {
        let each = (self.recover + self.execute).as_secs_f64();
        f64::from(cores) / (f64::from(validators) * each)
    }
}

/// Measures one block of `count` transfers on a fresh chain with this genesis.
///
/// # Errors
/// See [`BoundError`].
pub fn measure(genesis: &LoadedGenesis, count: usize) -> Result<TransferCost, BoundError> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("data"), OpenOptions::default())?;
    store.initialize_genesis(&genesis.state())?;
    let spec = genesis.spec();
    let token = *spec
        .contracts
        .get("medinaToken")
        .ok_or(BoundError::NoToken)?;
    let senders = senders()?;
    let encoded = (0..count)
        .map(|index| {
            let (sender, nonce) = (index % senders.len(), index / senders.len());
            signed_transfer(&senders, sender, nonce as u64, token, spec.chain_id)
        })
        .collect::<Result<Vec<_>, _>>()?;

    let started = Instant::now();
    let mut recovered = encoded
        .iter()
        .map(|bytes| RecoveredTransaction::decode(bytes).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let recover = per_transfer(started.elapsed(), count);

    let head = store.head();
    let executor = Executor::new(Arc::new(spec.clone()));
    let attributes = BuildAttributes {
        beneficiary: spec.validators.validators()[0].operator,
        timestamp_s: spec.genesis_header.timestamp + 1,
        extra_data: alloy_primitives::Bytes::new(),
    };
    let started = Instant::now();
    let mut next = || recovered.next();
    let block = executor.build(&store, &head, &attributes, &mut next, &mut || false)?;
    let execute = per_transfer(started.elapsed(), count);
    let included = block
        .receipts
        .iter()
        .filter(|receipt| receipt.success)
        .count();
    if included != count {
        return Err(BoundError::BlockFull {
            included,
            wanted: count,
        });
    }
    Ok(TransferCost { recover, execute })
}

fn per_transfer(took: Duration, count: usize) -> Duration {
    took / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_shrinks_with_validators_and_grows_with_cores() {
        let cost = TransferCost {
            recover: Duration::from_micros(30),
            execute: Duration::from_micros(20),
        };
        assert!((cost.bound_per_second(4, 2) - 10_000.0).abs() < 1.0);
        assert!(cost.bound_per_second(4, 2) < cost.bound_per_second(1, 2));
        assert!(cost.bound_per_second(4, 2) < cost.bound_per_second(4, 4));
    }
}
