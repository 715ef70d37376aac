//! Prunes what the configuration does not keep, in small steps beside everything
//! else. An idle chain is left in peace: nothing is looked at until the head moves
//! or something is left to delete.

use crate::{chain::Chain, config::HistorySection, private::PrivateHandle};
use medina_storage::{Kept, StorageError, Store, Swept};
use medina_types::Height;
use std::time::Duration;
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{debug, warn};

/// How often the head is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Entries of the history that one step looks at: a few milliseconds.
const ENTRIES_PER_STEP: usize = 2_000;
/// Blocks whose bodies one step deletes.
const BLOCKS_PER_STEP: u64 = 64;
/// Time between two steps, which the rest of the node has for itself.
const PAUSE: Duration = Duration::from_millis(20);
/// Blocks whose overwritten values must wait for a walk over the history, which
/// reads all of it; of a longer history, this share of its blocks.
const SWEEP_BLOCKS_MIN: u64 = 256;
const SWEEP_SHARE: u64 = 8;

/// Prunes until told to stop. What a private group has not followed yet is kept for
/// it, within a bound, and blocks whose signatures are still to be checked are kept.
pub(crate) async fn run(
    chain: Chain,
    history: HistorySection,
    private: Option<PrivateHandle>,
    mut stop: watch::Receiver<bool>,
) {
    if history == HistorySection::default() {
        return;
    }
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pruned_at = None;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = tick.tick() => {}
        }
        let head = chain.head().height;
        if pruned_at == Some(head) {
            continue;
        }
        let private_from = private
            .as_ref()
            .map(|private| Height(private.history_from(head.0)));
        let unchecked_from = chain.store.unchecked_from();
        let waited_for = private_from.into_iter().chain(unchecked_from).min();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            result = prune(&chain.store, history, head, waited_for) => match result {
                Ok(()) => pruned_at = Some(head),
                // A full disk stops the driver too, which says so.
                Err(error) => warn!(%error, "pruning failed; it will be tried again"),
            }
        }
    }
}

async fn prune(
    store: &Store,
    history: HistorySection,
    head: Height,
    waited_for: Option<Height>,
) -> Result<(), StorageError> {
    let wanted = wait_for(wanted(history, head, store.kept()), waited_for);
    let kept = store.keep_from(wanted)?;
    metrics::gauge!("medina_history_state_from").set(kept.state_from.0 as f64);
    metrics::gauge!("medina_history_blocks_from").set(kept.blocks_from.0 as f64);
    while !step(store, |store| store.sweep_blocks(BLOCKS_PER_STEP)).await? {}
    if store.is_sweep_due(sweep_blocks(history)) {
        while !step(store, |store| store.sweep_history(ENTRIES_PER_STEP)).await? {}
        debug!(state_from = %kept.state_from, "swept the history");
    }
    Ok(())
}

/// One step on a thread that may block; whether it was the last.
async fn step(
    store: &Store,
    sweep: impl FnOnce(&Store) -> Result<Swept, StorageError> + Send + 'static,
) -> Result<bool, StorageError> {
    let store = store.clone();
    let swept = tokio::task::spawn_blocking(move || sweep(&store)).await;
    // A step that did not end well is no reason to spin; the node is stopping.
    let is_done = swept.unwrap_or(Ok(Swept::NOTHING))?.is_done;
    if !is_done {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(is_done)
}

/// The head is among those kept.
fn wanted(history: HistorySection, head: Height, kept: Kept) -> Kept {
    let from = |blocks: Option<u64>, before: Height| match blocks {
        Some(blocks) => Height(head.next().0.saturating_sub(blocks)),
        None => before,
    };
    Kept {
        state_from: from(history.keep_state_blocks, kept.state_from),
        blocks_from: from(history.keep_blocks, kept.blocks_from),
    }
}

/// Keeps what lies from a block on. The state before that block is read too.
fn wait_for(wanted: Kept, waited_for: Option<Height>) -> Kept {
    let Some(from) = waited_for else {
        return wanted;
    };
    let state_from = Height(from.0.saturating_sub(1));
    Kept {
        state_from: wanted.state_from.min(state_from),
        blocks_from: wanted.blocks_from.min(from),
    }
}

fn sweep_blocks(history: HistorySection) -> u64 {
    let kept = history.keep_state_blocks.unwrap_or_default();
    (kept / SWEEP_SHARE).max(SWEEP_BLOCKS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Written;
    use crate::tests::support::{chain, grown_chain, next_block};

    const fn history(keep_state_blocks: Option<u64>, keep_blocks: Option<u64>) -> HistorySection {
        HistorySection {
            keep_state_blocks,
            keep_blocks,
        }
    }

    #[test]
    fn so_many_last_blocks_are_kept_the_head_among_them() {
        let kept = Kept {
            state_from: Height(3),
            blocks_from: Height(4),
        };
        let table = [
            (history(None, None), 100, (3, 4)),
            (history(Some(1), None), 100, (100, 4)),
            (history(Some(10), Some(20)), 100, (91, 81)),
            (history(Some(10), Some(20)), 5, (0, 0)),
            (history(Some(0), Some(0)), 7, (8, 8)),
        ];
        for (history, head, (state_from, blocks_from)) in table {
            let wanted = wanted(history, Height(head), kept);
            assert_eq!(wanted.state_from, Height(state_from), "{history:?} {head}");
            assert_eq!(wanted.blocks_from, Height(blocks_from), "{history:?}");
        }
    }

    #[test]
    fn what_a_private_group_has_not_followed_is_kept() {
        let all = Kept {
            state_from: Height(90),
            blocks_from: Height(80),
        };
        assert_eq!(wait_for(all, None), all);
        assert_eq!(wait_for(all, Some(Height(200))), all);
        let kept = wait_for(all, Some(Height(50)));
        assert_eq!(
            (kept.state_from, kept.blocks_from),
            (Height(49), Height(50))
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pruned_node_serves_what_it_kept_and_goes_on() {
        let (_folder, chain) = grown_chain(700);
        let history = history(Some(10), Some(100));
        prune(&chain.store, history, Height(700), None)
            .await
            .unwrap();
        let kept = chain.store.kept();
        assert_eq!(
            (kept.state_from, kept.blocks_from),
            (Height(691), Height(601))
        );
        assert!(!chain.store.is_sweep_due(1), "all was swept");
        assert!(chain.store.state_at(Height(690)).is_err());
        assert!(chain.store.state_at(Height(691)).is_ok());
        let request = |from| medina_types::wire::SyncRequest {
            from: Height(from),
            count: 8,
        };
        assert!(crate::sync::serve(&chain, request(600)).blocks.is_empty());
        assert_eq!(crate::sync::serve(&chain, request(601)).blocks.len(), 8);
        let (executed, certificate) = next_block(&chain);
        let committed = chain.commit(executed, &certificate, None, Written::IMPORTED);
        committed.unwrap();
        prune(&chain.store, history, Height(701), None)
            .await
            .unwrap();
        assert!(chain.store.state_at(Height(691)).is_err());
        assert!(chain.store.is_sweep_due(1), "it waits for more to sweep");
    }

    #[tokio::test]
    async fn young_chain_keeps_everything() {
        let (_folder, chain) = chain();
        let history = history(Some(10), Some(1_024));
        prune(&chain.store, history, Height(0), None).await.unwrap();
        assert!(chain.store.state_at(Height(0)).is_ok());
    }
}
