//! Looks through final blocks for markers and for what the contract says, once for
//! all groups. A block without either costs a look at its transactions' addressees.
//!
//! Where `quorumCompat` is on, everything that may be a handle is written down: whether
//! it is one of ours shows when its envelope is here, which may be later.

use crate::private::{
    compat,
    directory::{Named, named_in},
    erasing,
    members::blocking,
    outbox::Delivery,
    registry::RegistryError,
    rows::{Findings, MarkerRow},
    said::{Said, said_in},
    shared::Shared,
    tagging, unmarked,
};
use alloy_primitives::{Address, B256};
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
    /// The contract, which the directory is read from.
    #[error("the directory of private groups is not up to date: {0}")]
    Directory(#[from] RegistryError),
}

/// What one step found.
struct Found {
    rows: Findings,
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
    let rows = found.rows;
    shared.rows.put_found(&rows)?;
    for (height, _, marker) in &rows.markers {
        on_marker(shared, *height, marker)?;
    }
    shared.scanned.send_replace(rows.scanned);
    Ok(())
}

fn look(shared: &Shared, from: u64, to: u64) -> Result<Found, ScanError> {
    let mut found = Found {
        rows: Findings {
            scanned: to,
            ..Findings::default()
        },
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
    let block = match store.sealed_block(height) {
        Ok(Some(block)) => block,
        // Pruned before this node's private side was turned on.
        Ok(None) | Err(StorageError::BlockPruned { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let transactions = block.transactions();
    if transactions.is_empty() {
        return Ok(());
    }
    let receipts = store.receipts(height)?.unwrap_or_default();
    found.named.extend(named_in(contract, &receipts));
    for said in said_in(contract, &receipts) {
        match said {
            Said::Skipped { group, digest } => {
                found.rows.votes.push((group, digest, height.0));
            }
            Said::Created { group, by } => found.rows.creators.push((group, by)),
        }
    }
    let known = shared.known();
    let reports = erasing::reports_in(contract, transactions, &receipts);
    let ours = reports.filter(|report| known.groups.contains_key(&report.group));
    found
        .rows
        .reports
        .extend(ours.map(|one| (one.digest, one.org, one.transaction)));
    for (index, (transaction, receipt)) in (0_u32..).zip(transactions.iter().zip(&receipts)) {
        if let Some(marker) = is_marker(transaction, receipt) {
            let row = MarkerRow {
                digest: marker.digest.0,
                tag: marker.tag.0,
                transaction: transaction.tx_hash().0,
                is_handle: false,
            };
            found.rows.markers.push((height.0, index, row));
        } else if let Some(row) = compat::candidate(shared, transaction) {
            found.rows.markers.push((height.0, index, row));
        }
    }
    Ok(())
}

/// A marker of ours need not be sent again.
fn on_marker(shared: &Shared, height: u64, marker: &MarkerRow) -> Result<(), ScanError> {
    if marker.is_handle {
        for digest in shared.rows.digests_of_handle(&marker.handle())? {
            on_included(shared, (height, digest), marker)?;
        }
        return Ok(());
    }
    on_included(shared, (height, marker.digest.into()), marker)
}

fn on_included(
    shared: &Shared,
    (height, digest): (u64, B256),
    marker: &MarkerRow,
) -> Result<(), ScanError> {
    unmarked::on_marker(shared, digest)?;
    let transaction = B256::from(marker.transaction);
    let delivery = shared.outbox.lock().get(digest).cloned();
    let is_its = |delivery: &Delivery| marker.is_handle || delivery.tag == marker.tag;
    let Some(delivery) = delivery.filter(is_its) else {
        return Ok(());
    };
    // One by an older secret does nothing: another with a new tag follows.
    let (group, version) = (B256::from(delivery.group), delivery.secret_version);
    if !marker.is_handle && !tagging::was_in_force(shared, group, height, version)? {
        return Ok(());
    }
    let settled = shared
        .outbox
        .lock()
        .on_included(digest, height, transaction);
    shared.sending.finish(digest);
    if let Some(delivery) = settled {
        shared.write_delivery(&delivery)?;
    }
    Ok(())
}
