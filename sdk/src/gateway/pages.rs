//! Pages of readings with their proofs.
//!
//! A cursor names the next place: `source-seq-index`, where `source` is the place in the
//! listing's own order. It stays right while batches are added. `0` or nothing is the start; any
//! other bare number counts places from the start.

use std::sync::Arc;

use alloy_primitives::B256;
use parking_lot::Mutex;

use super::wire::{Page, PageItem, PageRecord};
use crate::companion::{Companion, CompanionError, Slot};
use crate::limits::{
    GATEWAY_PAGE_READINGS_MAX, GATEWAY_PAGE_RECORD_BYTES_MAX, GATEWAY_TREES_CACHED_MAX,
};
use crate::merkle::MerkleTree;

/// The next place to hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    source: usize,
    seq: u64,
    index: u32,
}

/// Where a page shall begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Cursor(Cursor),
    Offset(u64),
}

impl From {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(offset) = text.parse() {
            return Some(Self::Offset(offset));
        }
        let mut parts = text.splitn(3, '-');
        let source = parts.next()?.parse().ok()?;
        let seq = parts.next()?.parse().ok()?;
        let index = parts.next()?.parse().ok()?;
        Some(Self::Cursor(Cursor { source, seq, index }))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}-{}", self.source, self.seq, self.index)
    }
}

/// Records read before the size of the page is looked at again.
const READ_AT_ONCE: usize = 32;

fn record_bytes(slot: &Slot) -> usize {
    match slot {
        Slot::Present(stored) => stored.record.len(),
        Slot::Erased(_) => 0,
    }
}

/// Makes pages; keeps the last trees, because a batch usually spans many pages.
pub(super) struct Pages {
    companion: Arc<Companion>,
    trees: Mutex<Vec<CachedTree>>,
    /// Held while a tree is built: a large batch takes its memory once, however many ask for it.
    building: Mutex<()>,
}

struct CachedTree {
    source: B256,
    seq: u64,
    tree: Arc<MerkleTree>,
}

impl Pages {
    pub(super) fn new(companion: Arc<Companion>) -> Self {
        Self {
            companion,
            trees: Mutex::new(Vec::new()),
            building: Mutex::new(()),
        }
    }

    /// Up to `limit` places of the anchored batches of `sources`.
    pub(super) fn page(
        &self,
        sources: &[B256],
        from: From,
        limit: usize,
    ) -> Result<Page, CompanionError> {
        let limit = limit.clamp(1, GATEWAY_PAGE_READINGS_MAX);
        let mut cursor = match from {
            From::Cursor(cursor) => Cursor {
                seq: cursor.seq.max(1),
                ..cursor
            },
            From::Offset(offset) => self.seek(sources, offset)?,
        };
        let mut readings = Vec::new();
        let mut bytes = 0;
        while let Some(source) = sources.get(cursor.source).copied() {
            if cursor.seq > self.companion.last_anchored(source)? {
                cursor = Cursor {
                    source: cursor.source + 1,
                    seq: 1,
                    index: 0,
                };
                continue;
            }
            if readings.len() == limit || bytes >= GATEWAY_PAGE_RECORD_BYTES_MAX {
                break;
            }
            let room = (limit - readings.len()).min(READ_AT_ONCE);
            let slots = self
                .companion
                .records(source, cursor.seq, cursor.index, room)?;
            bytes += slots.iter().map(record_bytes).sum::<usize>();
            let taken = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            self.add(&mut readings, source, cursor.seq, slots)?;
            let count = self.companion.batch(source, cursor.seq)?.batch.count;
            let index = cursor.index.saturating_add(taken);
            cursor = if index < count {
                Cursor { index, ..cursor }
            } else {
                Cursor {
                    seq: cursor.seq + 1,
                    index: 0,
                    ..cursor
                }
            };
        }
        let is_more = cursor.source < sources.len();
        Ok(Page {
            readings,
            next: is_more.then(|| cursor.to_string()),
        })
    }

    /// The place `offset` places from the start.
    fn seek(&self, sources: &[B256], offset: u64) -> Result<Cursor, CompanionError> {
        let mut rest = offset;
        for (place, source) in sources.iter().enumerate() {
            for seq in 1..=self.companion.last_anchored(*source)? {
                let count = self.companion.batch(*source, seq)?.batch.count;
                if let Some(index) = u32::try_from(rest).ok().filter(|index| *index < count) {
                    return Ok(Cursor {
                        source: place,
                        seq,
                        index,
                    });
                }
                rest -= u64::from(count);
            }
        }
        Ok(Cursor {
            source: sources.len(),
            seq: 1,
            index: 0,
        })
    }

    fn add(
        &self,
        readings: &mut Vec<PageItem>,
        source: B256,
        seq: u64,
        slots: Vec<Slot>,
    ) -> Result<(), CompanionError> {
        let tree = self.tree(source, seq)?;
        for slot in slots {
            let (id, record, erased_leaf) = match slot {
                Slot::Present(stored) => {
                    let record =
                        String::from_utf8(stored.record).map_err(|_| CompanionError::Damaged {
                            what: "record: it is not text",
                        })?;
                    (
                        stored.id,
                        Some(PageRecord {
                            record,
                            salt: stored.salt,
                        }),
                        None,
                    )
                }
                Slot::Erased(id) => (id, None, Some(self.companion.leaf(id)?)),
            };
            let proof = tree.proof(id.index)?;
            readings.push(PageItem {
                source,
                seq,
                index: id.index,
                record,
                erased_leaf,
                proof,
            });
        }
        Ok(())
    }

    /// Leaves never change once stored, so a cached tree is never stale.
    fn tree(&self, source: B256, seq: u64) -> Result<Arc<MerkleTree>, CompanionError> {
        let find = |trees: &[CachedTree]| {
            trees
                .iter()
                .find(|cached| cached.source == source && cached.seq == seq)
                .map(|c| c.tree.clone())
        };
        if let Some(tree) = find(&self.trees.lock()) {
            return Ok(tree);
        }
        let _turn = self.building.lock();
        if let Some(tree) = find(&self.trees.lock()) {
            return Ok(tree);
        }
        let tree = Arc::new(self.companion.tree(source, seq)?);
        let mut trees = self.trees.lock();
        if trees.len() >= GATEWAY_TREES_CACHED_MAX {
            trees.remove(0);
        }
        trees.push(CachedTree {
            source,
            seq,
            tree: tree.clone(),
        });
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::MasterKey;
    use crate::merkle::{RecordId, leaf, verify};
    use crate::readings::{Decimal, Reading};
    use proptest::prelude::*;

    const SOURCES: [B256; 2] = [B256::repeat_byte(1), B256::repeat_byte(2)];

    /// Batches of 3 and 4 of the first source, 2 of the second, and one that is not anchored.
    fn pages(dir: &tempfile::TempDir) -> Pages {
        let companion =
            Companion::open(&dir.path().join("db"), MasterKey::from_bytes([1; 32])).expect("opens");
        let mut time_ms = 0;
        for (source, count) in [(0, 3), (0, 4), (1, 2)] {
            let readings = (0..count).map(|_| {
                time_ms += 1_000;
                Reading::new(time_ms, "p", Decimal::from(time_ms))
            });
            let batch = companion
                .prepare(SOURCES[source], readings.collect())
                .expect("stores");
            companion
                .mark_anchored(batch.source, batch.seq, B256::ZERO)
                .expect("notes");
        }
        let late = Reading::new(time_ms + 1_000, "p", Decimal::from(0));
        companion.prepare(SOURCES[1], vec![late]).expect("stores");
        Pages::new(Arc::new(companion))
    }

    fn walk(pages: &Pages, limit: usize) -> Vec<(B256, u64, u32)> {
        let mut seen = Vec::new();
        let mut from = From::Offset(0);
        loop {
            let page = pages.page(&SOURCES, from, limit).expect("reads");
            assert!(page.readings.len() <= limit);
            seen.extend(
                page.readings
                    .iter()
                    .map(|item| (item.source, item.seq, item.index)),
            );
            match page.next {
                Some(next) => from = From::parse(&next).expect("own cursor"),
                None => return seen,
            }
        }
    }

    #[test]
    fn pages_of_any_size_give_every_anchored_place_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let pages = pages(&dir);
        let all = walk(&pages, 100);
        assert_eq!(all.len(), 9);
        for limit in 1..=9 {
            assert_eq!(walk(&pages, limit), all, "limit {limit}");
        }
        let rest = pages
            .page(&SOURCES, From::Offset(6), 100)
            .expect("reads")
            .readings;
        assert_eq!(rest.len(), 3);
        let behind = pages.page(&SOURCES, From::Offset(9), 100).expect("reads");
        assert_eq!(
            behind,
            Page {
                readings: vec![],
                next: None
            }
        );
    }

    #[test]
    fn every_item_proves_itself_and_an_erased_one_its_leaf() {
        let dir = tempfile::tempdir().expect("a folder");
        let pages = pages(&dir);
        let erased = RecordId {
            source: SOURCES[0],
            seq: 2,
            index: 1,
        };
        pages.companion.erase(&[erased]).expect("erases");
        let page = pages.page(&SOURCES, From::Offset(0), 100).expect("reads");
        for item in page.readings {
            let PageItem {
                source,
                seq,
                index,
                record,
                erased_leaf,
                proof,
            } = item;
            let id = RecordId { source, seq, index };
            let of_record = record.map(|r| leaf(id, r.salt, r.record.as_bytes()));
            assert_eq!(erased_leaf.is_some(), id == erased);
            let leaf = of_record.or(erased_leaf).expect("one of both");
            let root = pages
                .companion
                .batch(source, seq)
                .expect("reads")
                .batch
                .root;
            assert!(verify(root, leaf, &proof));
        }
    }

    proptest! {
        #[test]
        fn no_cursor_panics(text in "[0-9]{0,22}-?[0-9]{0,22}-?[0-9]{0,12}.{0,3}") {
            let _ = From::parse(&text);
        }
    }

    #[test]
    fn cursors_behind_the_end_give_an_empty_page() {
        let dir = tempfile::tempdir().expect("a folder");
        let pages = pages(&dir);
        for text in [
            "9-1-0",
            "1-99-0",
            "1-1-4294967295",
            "0-0-0",
            "18446744073709551615-1-0",
        ] {
            let from = From::parse(text).expect("a cursor");
            assert!(pages.page(&SOURCES, from, 1).is_ok(), "{text}");
        }
    }
}
