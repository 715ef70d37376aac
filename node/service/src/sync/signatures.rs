//! Checks the signatures of blocks that were imported with claimed senders.
//!
//! To recover the senders of a block takes several times as long as to execute it, so
//! a node that is far behind executes with the senders that its peer claims: that a
//! quorum signed the state root proves that they lead to the right state. Whether a
//! quorum decided what nobody signed is looked into here, as soon as the machine has
//! nothing better to do, and a node that finds it stops. Nothing is told about
//! senders meanwhile but what their signatures say.

use super::SyncProgress;
use crate::{chain::Chain, fatal::Fatal};
use medina_storage::SignatureCheck;
use std::time::Duration;
use tokio::sync::watch;
use tracing::info;

/// Time between two blocks while others are being imported: a node that never
/// catches up must get somewhere too.
const PAUSE_WHILE_SYNCING: Duration = Duration::from_millis(100);

/// Checks whatever is imported until told to stop.
///
/// # Errors
/// [`Fatal::CertifiedBlockInvalid`] once a transaction is found that nobody signed,
/// [`Fatal::Storage`].
pub(crate) async fn run(
    chain: Chain,
    progress: watch::Receiver<Option<SyncProgress>>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    let mut heights = chain.watch_height();
    loop {
        let started_at = chain.store.unchecked_from();
        let checked = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            checked = check_all(&chain, &progress) => checked?,
        };
        if let Some(from) = started_at
            && checked > 0
        {
            info!(%from, blocks = checked, "the signatures of imported blocks are checked");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            changed = heights.changed() => if changed.is_err() {
                return Ok(());
            }
        }
    }
}

/// Goes on until nothing is left; how many blocks that were.
async fn check_all(
    chain: &Chain,
    progress: &watch::Receiver<Option<SyncProgress>>,
) -> Result<u64, Fatal> {
    let mut checked = 0;
    while let Some(from) = chain.store.unchecked_from() {
        let head = chain.head().height;
        let left = head.next().0.saturating_sub(from.0);
        metrics::gauge!("medina_sync_unchecked_blocks").set(left as f64);
        if progress.borrow().is_some() {
            tokio::time::sleep(PAUSE_WHILE_SYNCING).await;
        }
        let store = chain.store.clone();
        let step = tokio::task::spawn_blocking(move || store.check_next_signatures()).await;
        match step.map_err(|error| Fatal::TaskPanicked(error.to_string()))?? {
            SignatureCheck::Done => break,
            SignatureCheck::Checked(_) => checked += 1,
            SignatureCheck::Forged {
                height,
                index,
                hash,
            } => {
                let reason = format!("nobody signed transaction {index}, {hash}");
                return Err(Fatal::CertifiedBlockInvalid { height, reason });
            }
        }
    }
    metrics::gauge!("medina_sync_unchecked_blocks").set(0.0);
    Ok(checked)
}
