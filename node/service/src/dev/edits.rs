//! Changes of a development network's state, by the hash that a block names them with.

use alloy_primitives::{B256, keccak256};
use medina_execution::{EditedBlocks, StateEdit};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

/// Changes that are remembered, for nodes that still have to follow.
const EDITS_MAX: usize = 4_096;

/// Changes of the state by their hash.
#[derive(Default)]
pub(crate) struct EditBook(Mutex<Edits>);

#[derive(Default)]
struct Edits {
    known: BTreeMap<B256, Arc<Vec<StateEdit>>>,
    oldest_first: VecDeque<B256>,
    /// The one that the next block is to make.
    waiting: Option<B256>,
    /// Makes each hash another one.
    count: u64,
}

impl fmt::Debug for EditBook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.lock().known.len();
        formatter
            .debug_struct("EditBook")
            .field("known", &known)
            .finish()
    }
}

impl EditedBlocks for EditBook {
    fn edits_of(&self, extra_data: &[u8]) -> Option<Arc<Vec<StateEdit>>> {
        let hash = B256::try_from(extra_data).ok()?;
        self.0.lock().known.get(&hash).cloned()
    }
}

impl EditBook {
    /// The next block is to make these changes.
    pub(crate) fn ask(&self, edits: Vec<StateEdit>) -> B256 {
        let mut book = self.0.lock();
        book.count += 1;
        let hash = keccak256(format!("{} {edits:?}", book.count));
        if book.oldest_first.len() >= EDITS_MAX
            && let Some(oldest) = book.oldest_first.pop_front()
        {
            book.known.remove(&oldest);
        }
        book.known.insert(hash, Arc::new(edits));
        book.oldest_first.push_back(hash);
        book.waiting = Some(hash);
        hash
    }

    /// The changes that the next block is to make.
    pub(crate) fn waiting(&self) -> Option<B256> {
        self.0.lock().waiting
    }

    /// A block was committed; true if it made changes.
    pub(crate) fn on_block(&self, extra_data: &[u8]) -> bool {
        let mut book = self.0.lock();
        let Ok(hash) = B256::try_from(extra_data) else {
            return false;
        };
        if book.waiting == Some(hash) {
            book.waiting = None;
        }
        book.known.contains_key(&hash)
    }

    /// Nobody waits for these changes any more.
    pub(crate) fn give_up(&self, hash: B256) {
        let mut book = self.0.lock();
        if book.waiting == Some(hash) {
            book.waiting = None;
        }
    }
}
