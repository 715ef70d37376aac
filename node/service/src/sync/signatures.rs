//! Checks the signatures of blocks that were imported with claimed senders.
//!
//! To recover the senders of a block takes several times as long as to execute it, so
//! a node that is behind executes with the senders that its peer claims: that a
//! quorum signed the state root proves that they lead to the right state. Whether
//! they signed is looked into here, as soon as the machine has nothing better to do.
//! A node stops at a block that does not hold with those who did. Nothing is told
//! about senders meanwhile but what the signatures say.

use super::SyncProgress;
use crate::{chain::Chain, fatal::Fatal};
use alloy_primitives::Address;
use medina_storage::SignatureCheck;
use medina_types::Height;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::{info, warn};

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
        let started = Instant::now();
        let checked_chain = chain.clone();
        let step = tokio::task::spawn_blocking(move || check_next(&checked_chain)).await;
        match step.map_err(|error| Fatal::TaskPanicked(error.to_string()))?? {
            0 => break,
            blocks => checked += blocks,
        }
        // Half of one processor is left to those who wait for blocks.
        tokio::time::sleep(started.elapsed().min(PAUSE_WHILE_SYNCING)).await;
    }
    metrics::gauge!("medina_sync_unchecked_blocks").set(0.0);
    Ok(checked)
}

/// How many blocks were checked: one, or none because nothing is left.
fn check_next(chain: &Chain) -> Result<u64, Fatal> {
    match chain.store.check_next_signatures()? {
        SignatureCheck::Done => Ok(0),
        SignatureCheck::Checked(_) => Ok(1),
        SignatureCheck::Differs { height, senders } => {
            check_again(chain, height, &senders)?;
            chain.store.put_senders(height, senders)?;
            Ok(1)
        }
        SignatureCheck::Forged {
            height,
            index,
            hash,
        } => {
            let reason = format!("nobody signed transaction {index}, {hash}");
            Err(Fatal::CertifiedBlockInvalid { height, reason })
        }
    }
}

/// A block whose claimed senders led where the quorum was: either those who signed
/// lead there too, and the peer lied about what makes no difference, or the quorum
/// decided a transaction in another's name.
fn check_again(chain: &Chain, height: Height, senders: &[Address]) -> Result<(), Fatal> {
    let Some(block) = chain.store.sealed_block(height)? else {
        return Ok(());
    };
    let again = chain.executor.check_again(&chain.store, &block, senders);
    again.map_err(|error| Fatal::CertifiedBlockInvalid {
        height,
        reason: format!("with those who signed its transactions: {error}"),
    })?;
    warn!(%height, "a peer claimed other senders than signed; they made no difference");
    Ok(())
}
