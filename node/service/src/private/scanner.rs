//! Looks through final blocks for markers and for what the contract says, once for
//! all groups. A block without either costs a look at its transactions' addressees.

use crate::private::{
    compat,
    directory::{Named, named_in},
    members::blocking,
    registry::RegistryError,
    rows::MarkerRow,
    shared::Shared,
};
use alloy_primitives::{Address, B256};
use medina_enclave::EnclaveError;
use medina_execution::private::is_marker;
use medina_storage::StorageError;
use medina_types::Height;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::warn;

/// Blocks that are looked through before what was found is written.
const BLOCKS_PER_STEP: u64 = 64;
/// Pause after something failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
enum ScanError {
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The enclave, which knows the handles of `GoQuorum`'s clients.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The contract, which the directory is read from.
    #[error("the directory of private groups is not up to date: {0}")]
    Directory(#[from] RegistryError),
}

/// What one step found.
struct Found {
    scanned: u64,
    markers: Vec<(u64, u32, MarkerRow)>,
    named: BTreeSet<B256>,
}

/// Follows the head until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut height = shared.chain.watch_height();
    loop {
        let head = height.borrow_and_update().0;
        let scanned = *shared.scanned.borrow();
        if scanned >= head {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = height.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        }
        let step = blocking(&shared, move |shared| step(shared, scanned, head)).await;
        if let Ok(Err(error)) = &step {
            warn!(%error, "cannot look for private markers; trying again");
        }
        if !matches!(step, Ok(Ok(()))) {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        if *stop.borrow() {
            return;
        }
    }
}

fn step(shared: &Shared, scanned: u64, head: u64) -> Result<(), ScanError> {
    let to = head.min(scanned + BLOCKS_PER_STEP);
    let found = look(shared, scanned + 1, to)?;
    if !found.named.is_empty() {
        shared.directory.refresh(&Named::These(found.named))?;
    }
    shared.rows.put_markers(found.scanned, &found.markers)?;
    for (height, _, marker) in &found.markers {
        on_marker(shared, *height, marker)?;
    }
    shared.scanned.send_replace(found.scanned);
    Ok(())
}

fn look(shared: &Shared, from: u64, to: u64) -> Result<Found, ScanError> {
    let mut found = Found {
        scanned: to,
        markers: Vec::new(),
        named: BTreeSet::new(),
    };
    let contract = shared.registry.contract();
    for height in from..=to {
        look_at(shared, Height(height), contract, &mut found)?;
    }
    Ok(found)
}

fn look_at(
    shared: &Shared,
    height: Height,
    contract: Address,
    found: &mut Found,
) -> Result<(), ScanError> {
    let store = &shared.chain.store;
    let block = match store.block_by_number(height) {
        Ok(Some(block)) => block,
        // Pruned before this node's private side was turned on.
        Ok(None) | Err(StorageError::BlockPruned { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let transactions = block.sealed.transactions();
    if transactions.is_empty() {
        return Ok(());
    }
    let receipts = store.receipts(height)?.unwrap_or_default();
    found.named.extend(named_in(contract, &receipts));
    for (index, (transaction, receipt)) in (0_u32..).zip(transactions.iter().zip(&receipts)) {
        if let Some(marker) = is_marker(transaction, receipt) {
            let row = MarkerRow {
                digest: marker.digest.0,
                tag: marker.tag.0,
                transaction: transaction.tx_hash().0,
            };
            found.markers.push((height.0, index, row));
        } else if let Some(row) = compat::marker_of(shared, transaction)? {
            found.markers.push((height.0, index, row));
        }
    }
    Ok(())
}

/// A marker of ours need not be sent again.
fn on_marker(shared: &Shared, height: u64, marker: &MarkerRow) -> Result<(), StorageError> {
    let digest = B256::from(marker.digest);
    let transaction = B256::from(marker.transaction);
    let tag_of = |delivery: &crate::private::outbox::Delivery| delivery.tag == marker.tag;
    let settled = {
        let mut outbox = shared.outbox.lock();
        if !outbox.get(digest).is_some_and(tag_of) {
            return Ok(());
        }
        outbox.on_included(digest, height, transaction)
    };
    shared.sending.finish(digest);
    match settled {
        Some(delivery) => shared.write_delivery(&delivery),
        None => Ok(()),
    }
}
