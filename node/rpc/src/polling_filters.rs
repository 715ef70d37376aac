//! Filters that a caller installs and polls: `eth_newFilter` and its kin.
//!
//! Blocks are final, so a filter is no queue but a bookmark: the first height
//! that its owner has not seen. Only pending hashes, which are kept nowhere
//! else, are remembered, in one bounded ring for all filters. The registry is
//! told the time.

use alloy_primitives::{B128, B256, U128};
use medina_types::{Height, limits};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::log_filter::LogFilter;

/// Addresses and topics of all installed filters together, some 64 bytes each. Where
/// there are more, the least recently used filter goes.
const CRITERIA_MAX: usize = 1_000_000;

/// What a filter reports, and from where on.
#[derive(Clone, Debug)]
pub(crate) enum Bookmark {
    /// Hashes of blocks from this height on.
    Blocks(Height),
    /// Hashes of pending transactions from this place of the ring on.
    Pending(u64),
    /// Logs from this height on.
    Logs(Arc<LogFilter>, Height),
}

impl Bookmark {
    fn criteria(&self) -> usize {
        match self {
            Self::Logs(filter, _) => filter.criteria(),
            Self::Blocks(_) | Self::Pending(_) => 0,
        }
    }
}

#[derive(Debug)]
struct Installed {
    bookmark: Bookmark,
    used: Instant,
}

/// Installed filters of one server.
#[derive(Debug)]
pub(crate) struct PollingFilters {
    installed: Mutex<BTreeMap<U128, Installed>>,
    pending: Mutex<PendingRing>,
    filters_max: usize,
    lifetime: Duration,
}

impl PollingFilters {
    pub(crate) fn new(filters_max: usize, lifetime: Duration) -> Self {
        let pending = Mutex::new(PendingRing::default());
        Self {
            installed: Mutex::default(),
            pending,
            filters_max: filters_max.max(1),
            lifetime,
        }
    }

    /// Installs a filter under an identifier that nobody can guess. Where there
    /// are too many, the least recently used goes.
    pub(crate) fn install(&self, bookmark: Bookmark, now: Instant) -> U128 {
        let id = U128::from_be_bytes(B128::random().0);
        let mut installed = self.installed.lock();
        self.drop_expired(&mut installed, now);
        let of_installed = installed.values().map(|one| one.bookmark.criteria());
        let mut criteria = bookmark.criteria() + of_installed.sum::<usize>();
        while installed.len() >= self.filters_max || criteria > CRITERIA_MAX {
            let oldest = installed.iter().min_by_key(|(_, filter)| filter.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            let gone = installed.remove(&oldest);
            criteria -= gone.map_or(0, |gone| gone.bookmark.criteria());
        }
        installed.insert(
            id,
            Installed {
                bookmark,
                used: now,
            },
        );
        id
    }

    /// Removes a filter; false if there is none.
    pub(crate) fn uninstall(&self, id: U128, now: Instant) -> bool {
        let mut installed = self.installed.lock();
        self.drop_expired(&mut installed, now);
        installed.remove(&id).is_some()
    }

    /// Where a filter stands, and counts as a use of it.
    pub(crate) fn bookmark(&self, id: U128, now: Instant) -> Option<Bookmark> {
        let mut installed = self.installed.lock();
        self.drop_expired(&mut installed, now);
        let filter = installed.get_mut(&id)?;
        filter.used = now;
        Some(filter.bookmark.clone())
    }

    /// Moves a filter on after its changes were answered.
    pub(crate) fn advance(&self, id: U128, bookmark: Bookmark) {
        if let Some(filter) = self.installed.lock().get_mut(&id) {
            filter.bookmark = bookmark;
        }
    }

    /// Moves back those that stand behind a height, whose blocks are decided anew.
    pub(crate) fn go_back(&self, next: Height) {
        for filter in self.installed.lock().values_mut() {
            if let Bookmark::Blocks(from) | Bookmark::Logs(_, from) = &mut filter.bookmark {
                *from = next.min(*from);
            }
        }
    }

    fn drop_expired(&self, installed: &mut BTreeMap<U128, Installed>, now: Instant) {
        installed.retain(|_, filter| now.saturating_duration_since(filter.used) < self.lifetime);
    }

    /// Remembers a transaction that entered the pool.
    pub(crate) fn on_pending(&self, hash: B256) {
        self.pending.lock().push(hash);
    }

    /// Place in the ring behind the newest hash.
    pub(crate) fn pending_end(&self) -> u64 {
        self.pending.lock().end()
    }

    /// Hashes from a place of the ring on, and the place behind them.
    pub(crate) fn pending_since(&self, place: u64) -> (Vec<B256>, u64) {
        let ring = self.pending.lock();
        (ring.since(place), ring.end())
    }
}

/// The last pending hashes, numbered from the start of the server.
#[derive(Debug, Default)]
struct PendingRing {
    hashes: VecDeque<B256>,
    dropped: u64,
}

impl PendingRing {
    fn push(&mut self, hash: B256) {
        if self.hashes.len() >= limits::RPC_PENDING_HASHES_MAX {
            self.hashes.pop_front();
            self.dropped += 1;
        }
        self.hashes.push_back(hash);
    }

    fn end(&self) -> u64 {
        self.dropped + self.hashes.len() as u64
    }

    fn since(&self, place: u64) -> Vec<B256> {
        let seen = usize::try_from(place.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.hashes.iter().skip(seen).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(300);

    fn blocks(height: u64) -> Bookmark {
        Bookmark::Blocks(Height(height))
    }

    #[test]
    fn idle_filter_expires_and_used_filter_does_not() {
        let filters = PollingFilters::new(10, LIFETIME);
        let start = Instant::now();
        let idle = filters.install(blocks(1), start);
        let used = filters.install(blocks(1), start);
        assert!(filters.bookmark(used, start + LIFETIME / 2).is_some());
        assert!(filters.bookmark(used, start + LIFETIME).is_some());
        assert!(filters.bookmark(idle, start + LIFETIME).is_none());
        assert!(!filters.uninstall(idle, start + LIFETIME));
    }

    #[test]
    fn filters_go_back_and_never_on() {
        let filters = PollingFilters::new(10, LIFETIME);
        let start = Instant::now();
        let [early, late] = [2, 9].map(|height| filters.install(blocks(height), start));
        filters.go_back(Height(5));
        for (id, expected) in [(early, 2), (late, 5)] {
            let found = filters.bookmark(id, start);
            assert!(matches!(found, Some(Bookmark::Blocks(Height(height))) if height == expected));
        }
    }

    #[test]
    fn least_recently_used_filter_makes_room() {
        let filters = PollingFilters::new(2, LIFETIME);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = filters.install(blocks(1), at(0));
        let second = filters.install(blocks(1), at(1));
        assert!(filters.bookmark(first, at(2)).is_some());
        filters.install(blocks(1), at(3));
        assert!(filters.bookmark(first, at(4)).is_some());
        assert!(filters.bookmark(second, at(4)).is_none());
    }

    #[test]
    fn filters_of_many_criteria_make_room_for_each_other() {
        let filters = PollingFilters::new(1_000, LIFETIME);
        let start = Instant::now();
        let topics: Vec<_> = (0..1_000).map(|index| format!("{index:#066x}")).collect();
        let large = serde_json::json!({ "topics": [topics, topics, topics, topics] });
        let large = Arc::new(LogFilter::read(Some(large)).unwrap());
        assert_eq!(large.criteria(), 4_000);
        let at = |index: u64| start + Duration::from_millis(index);
        let install = |index| filters.install(Bookmark::Logs(large.clone(), Height(1)), at(index));
        let ids: Vec<_> = (0..251).map(install).collect();
        assert!(filters.bookmark(ids[0], at(300)).is_none());
        assert!(filters.bookmark(ids[1], at(300)).is_some());
    }

    #[test]
    fn ring_forgets_the_oldest_hashes_only() {
        let filters = PollingFilters::new(2, LIFETIME);
        let hash = |index: usize| B256::left_padding_from(&index.to_be_bytes());
        for index in 0..limits::RPC_PENDING_HASHES_MAX + 3 {
            filters.on_pending(hash(index));
        }
        let (all, end) = filters.pending_since(0);
        assert_eq!(all.len(), limits::RPC_PENDING_HASHES_MAX);
        assert_eq!(all[0], hash(3));
        filters.on_pending(hash(7));
        assert_eq!(filters.pending_since(end), (vec![hash(7)], end + 1));
        assert_eq!(filters.pending_since(u64::MAX).0, Vec::<B256>::new());
    }
}
