//! Works at erasures until they are complete, over restarts too.

use super::{EraseError, add_twins, holders, home::at_home, known, reporting, wake};
use crate::private::{members::blocking, registry::View, rows::ErasureRow, shared::Shared};
use alloy_primitives::B256;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{debug, warn};

/// How often erasures that are not complete are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Longest pause between two looks at one for which holders are waited for,
const PAUSE_MS_MAX: u64 = 60_000;
/// and for the chain alone.
const REPORT_PAUSE_MS_MAX: u64 = 600_000;
/// First such pause; it doubles.
const PAUSE_MS: u64 = 1_000;

/// When an erasure is looked at again for which others are waited for.
#[derive(Clone, Copy, Debug)]
struct Waits {
    group: B256,
    /// Members of the group at the last look: who has joined since is asked at once.
    members: usize,
    until_ms: u64,
    pause_ms: u64,
}

/// Erasures for which others are waited for.
#[derive(Debug, Default)]
struct Pace(BTreeMap<B256, Waits>);

impl Pace {
    fn is_due(&self, digest: B256, now_ms: u64, members: impl Fn(&B256) -> usize) -> bool {
        let waits = self.0.get(&digest);
        waits.is_none_or(|one| one.until_ms <= now_ms || members(&one.group) != one.members)
    }

    /// It is looked at again after a pause that doubles, or soon if there was progress.
    fn looked(&mut self, row: &ErasureRow, members: usize, (has_moved, now_ms): (bool, u64)) {
        let digest = B256::from(row.digest);
        if row.is_complete() || row.done_at_s.is_none() {
            self.0.remove(&digest);
            return;
        }
        let max_ms = match row.is_known_everywhere() {
            true => REPORT_PAUSE_MS_MAX,
            false => PAUSE_MS_MAX,
        };
        let pause_ms = match self.0.get(&digest) {
            Some(waits) if !has_moved => waits.pause_ms.saturating_mul(2).min(max_ms),
            _ => PAUSE_MS,
        };
        let waits = Waits {
            group: row.group.into(),
            members,
            until_ms: now_ms + pause_ms,
            pause_ms,
        };
        self.0.insert(digest, waits);
    }
}

/// Carries erasures on until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut pace = Pace::default();
    let mut tick = tokio::time::interval(LOOK_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.erasing_wake.notified() => {}
            _ = tick.tick() => {}
        }
        let open = blocking(&shared, |shared| shared.rows.open_erasures()).await;
        let open = match open {
            Ok(Ok(open)) => open,
            Ok(Err(error)) => {
                warn!(%error, "erasures that are not complete cannot be read");
                continue;
            }
            Err(_) => return,
        };
        for digest in open {
            let known = shared.known();
            let members = |group: &B256| known.groups.get(group).map_or(0, |one| one.members.len());
            let now_ms = shared.now_ms();
            if !pace.is_due(digest, now_ms, members) {
                continue;
            }
            let looked = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                looked = look(&shared, digest) => looked,
            };
            if let Some((before, after)) = looked {
                let members = members(&after.group.into());
                pace.looked(&after, members, (after != before, now_ms));
            }
        }
    }
}

/// One look at an erasure: as it was, and as it is.
async fn look(shared: &Arc<Shared>, digest: B256) -> Option<(ErasureRow, ErasureRow)> {
    let row = blocking(shared, move |shared| shared.rows.erasure(digest)).await;
    let before = row.ok()?.ok()??;
    let after = carry_on(shared, before.clone()).await;
    let after = after.unwrap_or_else(|| before.clone());
    Some((before, after))
}

/// One look at an erasure; none where nothing could be done about it now.
async fn carry_on(shared: &Arc<Shared>, row: ErasureRow) -> Option<ErasureRow> {
    let digest = B256::from(row.digest);
    let group = shared.known().groups.get(&B256::from(row.group)).cloned()?;
    let worked = blocking(shared, move |shared| {
        let row = at_home(shared, &group, row)?;
        // It may have been sealed anew while it was being erased.
        if row.is_ours && row.done_at_s.is_some() && add_twins(shared, &row)? {
            wake(shared);
        }
        let is_asked = row.is_senders || {
            let view = |view: &View<'_>| view.erased_at(row.group.into(), row.digest.into());
            shared.registry.now(view)?.is_some()
        };
        Ok::<_, EraseError>((row, is_asked))
    });
    let (row, is_asked) = match worked.await.ok()? {
        Ok(worked) => worked,
        Err(error) => {
            debug!(%digest, %error, "an erasure waits");
            return None;
        }
    };
    if row.done_at_s.is_none() {
        return Some(row);
    }
    let row = match row.is_ours && is_asked {
        true => holders::ask_all(shared, row).await,
        false => row,
    };
    let finished = blocking(shared, move |shared| finish(shared, row)).await;
    match finished.ok()? {
        Ok(row) => Some(row),
        Err(error) => {
            warn!(%digest, %error, "an erasure cannot be written");
            None
        }
    }
}

/// Writes what came, and tells the chain: a sender's node once everybody has answered,
/// every other one what it did itself.
fn finish(shared: &Shared, mut row: ErasureRow) -> Result<ErasureRow, EraseError> {
    let mut is_time = !row.is_senders || row.is_known_everywhere();
    if is_time && row.is_senders {
        for twin in known::sealed_as(shared, row.digest.into())? {
            let twin = shared.rows.erasure(twin)?;
            let mut others = twin.iter().filter(|twin| twin.digest != row.digest);
            is_time &= others.all(ErasureRow::is_complete);
        }
    }
    if is_time && row.event.is_none() {
        reporting::report(shared, &mut row)?;
    }
    shared.rows.put_erasure(&row)?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erasure_that_waits_for_others_is_looked_at_ever_more_seldom_and_when_somebody_joins() {
        let digest = B256::repeat_byte(1);
        let order = crate::private::erasing::Order {
            digest,
            group: B256::repeat_byte(2),
            by: B256::ZERO,
            reason: String::new(),
            at_s: 0,
            after: 0,
            signature: Vec::new(),
        };
        let mut row = order.row(true, &[B256::ZERO]);
        let mut pace = Pace::default();
        pace.looked(&row, 3, (false, 0));
        assert!(pace.is_due(digest, 0, |_| 3), "not done here");
        row.done_at_s = Some(1);
        let mut now_ms = 0;
        for _ in 0..12 {
            pace.looked(&row, 3, (false, now_ms));
            assert!(!pace.is_due(digest, now_ms, |_| 3));
            now_ms += PAUSE_MS_MAX;
            assert!(pace.is_due(digest, now_ms, |_| 3));
        }
        assert!(pace.is_due(digest, 0, |_| 4), "somebody has joined");
        pace.looked(&row, 3, (true, now_ms));
        assert!(
            pace.is_due(digest, now_ms + PAUSE_MS, |_| 3),
            "something moved"
        );
        row.event = Some([1; 32]);
        row.holders.clear();
        pace.looked(&row, 3, (false, now_ms));
        assert!(pace.0.is_empty(), "complete");
    }
}
