//! Transactions of the validated mode run in the public block that they were tried on,
//! so that time, number and public state are those that the named roots came from.

use crate::private::{exec::StepError, registry::GroupRecord, shared::Shared};
use alloy_primitives::B256;
use medina_enclave::{Digest, EnclaveError, PayloadStatus};
use medina_execution::{
    CallEnvironment,
    private::{GroupStore, Position, PrivateInput, PrivateItem, PrivateReceipt, PublicBlock},
};
use medina_storage::{StateReader, StorageError, SyncMode};
use medina_types::Height;

/// Public blocks by which the one that a validated transaction was tried on may be older
/// than its marker's; public history is kept for so long.
pub(crate) const ANCHOR_BLOCKS_MAX: u64 = 256;

/// The validated mode: each item runs in the public block that its envelope was tried
/// on, so that time, number and public state are those that the named root came from.
pub(crate) fn settle(
    shared: &Shared,
    group: &GroupRecord,
    store: &GroupStore,
    public: &PublicBlock<'_>,
    items: &[PrivateItem],
) -> Result<Vec<PrivateReceipt>, StepError> {
    let executor = shared.executor_of(group);
    let height = public.height();
    let mut receipts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let next = items.get(index + 1);
        let next = next.map_or(Position::after(height), |next| {
            Position::new(height, next.index)
        });
        let one = std::slice::from_ref(item);
        let tried = match &item.input {
            PrivateInput::Execute { .. } => tried_on(shared, item.digest, height)?,
            _ => None,
        };
        let applied = match tried {
            None => store.apply(&executor, public, one, next, SyncMode::Synced)?,
            Some((environment, state)) => {
                let public = PublicBlock {
                    state_before: &state,
                    environment,
                    ..*public
                };
                store.apply(&executor, &public, one, next, SyncMode::Synced)?
            }
        };
        receipts.extend(applied.receipts);
    }
    Ok(receipts)
}

/// The public block that an envelope was tried on; `None` where it is so old that not
/// every member has to know its state any more.
fn tried_on(
    shared: &Shared,
    digest: B256,
    height: Height,
) -> Result<Option<(CallEnvironment, impl StateReader)>, StepError> {
    let digest = Digest(digest.0);
    let PayloadStatus::Held(held) = shared.enclave.status(&digest)? else {
        return Err(EnclaveError::Missing(digest).into());
    };
    let anchor = held.metadata.anchor_slot;
    if anchor + ANCHOR_BLOCKS_MAX < height.0 {
        return Ok(None);
    }
    environment_at(shared, Height(anchor)).map(Some)
}

/// A public block and the state after it, as a transaction of the validated mode sees
/// them.
///
/// # Errors
/// [`StepError::Pruned`] among others.
pub(crate) fn environment_at(
    shared: &Shared,
    height: Height,
) -> Result<(CallEnvironment, impl StateReader), StepError> {
    let chain = &shared.chain.store;
    let pruned = |error: StorageError| match error {
        StorageError::StatePruned { .. } | StorageError::BlockPruned { .. } => {
            StepError::Pruned(height.0 + 1)
        }
        error => error.into(),
    };
    let state = chain.state_at(height).map_err(pruned)?;
    let header = chain.header_by_number(height).map_err(pruned)?;
    let header = header.ok_or(StepError::Pruned(height.0 + 1))?;
    Ok((shared.chain.executor.environment_of(&header), state))
}
